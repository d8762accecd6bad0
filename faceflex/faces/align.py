"""Similarity alignment of a face to the square template, and its exact inverse.

Training and editing both use :func:`estimate_similarity` and :func:`warp`, so a network always gets
crops like those it was trained on.

Least-squares similarity: Umeyama, "Least-squares estimation of transformation parameters between
two point patterns", IEEE PAMI 13(4), 1991.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.landmark_groups import LEFT_EYE, RIGHT_EYE

SIZE = 128
"""Side of the aligned crop in pixels."""

# Factor of supersampling; of a face larger than this many crops, the photo is halved first.
_MAX_SUPERSAMPLING = 8


@cache
def template(size: int = SIZE) -> NDArray[np.float32]:
    """Return the template: the 68 landmarks of a frontal mean face, in a crop of ``size`` pixels.

    Parameters
    ----------
    size
        Side of the square crop in pixels.

    Returns
    -------
    (68, 2) float32 array, x then y, in pixels of the crop (read-only).
    """
    text = resources.files("faceflex.assets").joinpath("template68.csv").read_text()
    points = np.loadtxt(text.splitlines(), delimiter=",", skiprows=1, dtype=np.float64)
    # Pixel centres are at integers: scaling keeps the crop's edges, not its first pixel's centre.
    scaled = ((points + 0.5) * (size / SIZE) - 0.5).astype(np.float32)
    scaled.setflags(write=False)
    return scaled


def estimate_similarity(
    points: NDArray[np.floating], target: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Estimate the rotation, scale and translation that best map ``points`` onto ``target``.

    Parameters
    ----------
    points
        (N, 2) landmarks in pixels of the photo.
    target
        (N, 2) corresponding points; the 68-point template by default.

    Returns
    -------
    (2, 3) matrix, photo pixels to target pixels; never a reflection.

    Raises
    ------
    ValueError
        If the points coincide or are not finite.

    Examples
    --------
    >>> from faceflex.faces.align import template, transform_points
    >>> photo_points = template() * 3 + 100  # The same face, three times as large.
    >>> matrix = estimate_similarity(photo_points)
    >>> round(scale_of(matrix), 4)
    0.3333
    >>> bool(abs(transform_points(matrix, photo_points) - template()).max() < 1e-3)
    True
    """
    src = np.asarray(points, dtype=np.float64)
    dst = np.asarray(template() if target is None else target, dtype=np.float64)
    src_mean, dst_mean = src.mean(axis=0), dst.mean(axis=0)
    a, b = src - src_mean, dst - dst_mean
    spread = float((a * a).sum())
    if not np.isfinite(spread) or spread < 1e-9:
        raise ValueError("landmarks coincide or are not finite, so no alignment exists")
    # In the plane, a similarity's linear part is one complex number.
    cos = float((a * b).sum()) / spread
    sin = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    linear = np.array([[cos, -sin], [sin, cos]])
    shift = dst_mean - linear @ src_mean
    return np.column_stack([linear, shift])


def invert(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the exact inverse of a (2, 3) affine ``matrix`` as another (2, 3) matrix.

    Examples
    --------
    >>> invert(np.array([[2.0, 0.0, 10.0], [0.0, 2.0, 20.0]])).tolist()
    [[0.5, 0.0, -5.0], [0.0, 0.5, -10.0]]
    """
    full = np.vstack([np.asarray(matrix, dtype=np.float64), [0.0, 0.0, 1.0]])
    return np.ascontiguousarray(np.linalg.inv(full)[:2])


def compose_affine(
    second: NDArray[np.floating], first: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the (2, 3) affine matrix that applies ``first`` and then ``second``."""
    full = np.vstack([np.asarray(first, dtype=np.float64), [0.0, 0.0, 1.0]])
    return np.ascontiguousarray(np.asarray(second, dtype=np.float64) @ full)


def transform_points(
    matrix: NDArray[np.floating], points: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Map (N, 2) ``points`` through a (2, 3) affine ``matrix``; float32 (N, 2).

    Examples
    --------
    >>> enlarge = np.array([[2.0, 0.0, 10.0], [0.0, 2.0, 20.0]])
    >>> transform_points(enlarge, np.array([[1.0, 1.0], [3.0, 5.0]])).tolist()
    [[12.0, 22.0], [16.0, 30.0]]
    """
    m = np.asarray(matrix, dtype=np.float64)
    return (np.asarray(points, dtype=np.float64) @ m[:, :2].T + m[:, 2]).astype(np.float32)


def scale_of(matrix: NDArray[np.floating]) -> float:
    """Return the scale of a (2, 3) similarity: target pixels per source pixel."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def fit_error(points: NDArray[np.floating]) -> float:
    """Return the residual of aligning 68 landmarks to the template.

    Returns
    -------
    Root mean square distance in pixels of the 128-pixel crop: below 5 for frontal faces, above 10
    for collages, extreme close-ups and wrong landmarks.

    Examples
    --------
    >>> fit_error(template() * 5 - 40) < 1e-3  # Size and place do not count.
    True
    """
    moved = transform_points(estimate_similarity(points), points)
    return float(np.sqrt(((moved - template()) ** 2).sum(axis=1).mean()))


@dataclass(frozen=True)
class AlignedCrop:
    """A face crop, aligned to the template.

    Attributes
    ----------
    crop
        (size, size, 3) uint8 RGB; outside the photo its reflection (``BORDER_REFLECT_101``).
    valid
        (size, size) bool; False outside the photo.
    matrix
        (2, 3) similarity, photo pixels to crop pixels.
    """

    crop: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    matrix: NDArray[np.float64]

    @property
    def inverse(self) -> NDArray[np.float64]:
        """(2, 3) similarity, crop pixels to photo pixels."""
        return invert(self.matrix)


def _scale_target(matrix: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Return ``matrix`` with its target scaled by ``factor`` about the corner of the image."""
    out = matrix * factor
    out[:, 2] += 0.5 * factor - 0.5
    return out


def warp(
    image: NDArray[np.uint8], matrix: NDArray[np.floating], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Resample ``image`` through ``matrix`` into a square of ``size`` pixels.

    Downscaling is antialiased (supersampling, then a box filter); upscaling is bicubic. Outside
    the image, its reflection is read.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    matrix
        (2, 3) affine, image pixels to target pixels.
    size
        Side of the target in pixels.

    Returns
    -------
    The (size, size, 3) uint8 result, and (size, size) bool: True for pixels inside the image.
    """
    m = np.asarray(matrix, dtype=np.float64)
    scale = scale_of(m)
    source = image
    # Very large faces: halving the source first bounds the size of the supersampled result.
    while scale * _MAX_SUPERSAMPLING < 1.0 and min(source.shape[:2]) >= 4:
        h, w = source.shape[:2]
        even = source[: h - h % 2, : w - w % 2]
        source = cv2.resize(even, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
        half = np.array([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5]])  # halved pixels -> full pixels
        m = np.column_stack([m[:, :2] @ half[:, :2], m[:, :2] @ half[:, 2] + m[:, 2]])
        scale = scale_of(m)
    factor = int(min(_MAX_SUPERSAMPLING, max(1, np.ceil(1.0 / scale))))
    big = (size * factor, size * factor)
    fine = _scale_target(m, factor)
    flags = cv2.INTER_LINEAR if factor > 1 else cv2.INTER_CUBIC
    warped = cv2.warpAffine(source, fine, big, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    inside = np.full(source.shape[:2], 255, np.uint8)
    valid = cv2.warpAffine(inside, fine, big, flags=cv2.INTER_LINEAR, borderValue=0)
    if factor > 1:
        warped = cv2.resize(warped, (size, size), interpolation=cv2.INTER_AREA)
        valid = cv2.resize(valid, (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(warped), valid > 127


def face_flex_matrix(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (2, 3) similarity, photo to crop, of Face Flex's own alignment.

    The face is rotated until its eyes are level; the bounding square of landmarks 0, 16, 24 and 8
    is padded by 0.3 of its side and moved up by 0.15 of the result. Unlike Face Flex, pixels are
    rotated too, and a square that exceeds the photo stays a square.
    """
    p = np.asarray(points, np.float64)
    eye_axis = p[LEFT_EYE].mean(axis=0) - p[RIGHT_EYE].mean(axis=0)
    angle = -np.arctan2(eye_axis[1], eye_axis[0])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rotated = p @ rotation.T
    left, right, top, bottom = rotated[0, 0], rotated[16, 0], rotated[24, 1], rotated[8, 1]
    side = max(right - left, bottom - top)
    size = max(side * 1.6, 1e-6)
    corner = np.array([(left + right - size) / 2, (top + bottom - size) / 2 - 0.15 * size])
    scale = SIZE / size
    return np.column_stack([scale * rotation, -scale * corner])


def align(
    image: NDArray[np.uint8],
    points: NDArray[np.floating],
    margin: int = 0,
    crop: str = "template",
) -> AlignedCrop:
    """Crop and align a face.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB photo.
    points
        (68, 2) landmarks in pixels of the photo.
    margin
        Padding in pixels on every side of the 128-pixel crop, at the same scale.
    crop
        ``template``: least-squares similarity to the template; ``face-flex``:
        :func:`face_flex_matrix`.

    Returns
    -------
    The crop, of side ``128 + 2 * margin``.
    """
    matrix = estimate_similarity(points) if crop == "template" else face_flex_matrix(points)
    matrix[:, 2] += margin
    pixels, valid = warp(image, matrix, SIZE + 2 * margin)
    return AlignedCrop(pixels, valid, matrix)
