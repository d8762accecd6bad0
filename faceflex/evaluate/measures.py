"""What an edit did to a face, in figures: pure functions on the photo before and after."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import estimate_similarity, template, transform_points
from faceflex.faces.landmark_groups import RIGID_LANDMARKS
from faceflex.faces.mask import face_outline

# Patches of skin in pixels of the 128-pixel template, as centre and half side: they stay clear of
# brows, nose, mouth and, mostly, of beards. Left cheek, right cheek, forehead.
_SKIN = ((35.0, 74.0, 5.0), (92.0, 74.0, 5.0), (63.5, 24.0, 6.0))
_LAPLACIAN_TWICE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)

Picture = NDArray[np.uint8]
Points = NDArray[np.floating]


def area(shape: tuple[int, ...], outline: Points) -> NDArray[np.bool_]:
    """Return (H, W) bool: inside the convex hull of (N, 2) points in pixels of the picture."""
    mask = np.zeros(shape[:2], np.uint8)
    hull = cv2.convexHull(np.asarray(outline, np.float32))
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    return mask.astype(bool)


def _gray(picture: Picture) -> NDArray[np.float32]:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


def sharpness(picture: Picture, where: NDArray[np.bool_]) -> float:
    """Return the variance of the Laplacian of an (H, W, 3) uint8 picture inside ``where``."""
    values = cv2.Laplacian(_gray(picture), cv2.CV_32F)[where]
    return float(values.var()) if values.size else 0.0


def noise(picture: Picture, where: NDArray[np.bool_]) -> float:
    """Estimate the noise inside ``where``, as a standard deviation in grey levels.

    Source: Immerkaer, "Fast noise variance estimation", CVIU 64(2), 1996.
    """
    values = np.abs(cv2.filter2D(_gray(picture), cv2.CV_32F, _LAPLACIAN_TWICE))[where]
    return float(np.sqrt(np.pi / 2) * values.mean() / 6) if values.size else 0.0


def skin_colours(picture: Picture, points: Points) -> NDArray[np.float64]:
    """Return the mean CIE Lab colours (3, 3) of the cheeks and the forehead.

    Parameters
    ----------
    picture
        (H, W, 3) uint8.
    points
        (68, 2) landmarks in its pixels.
    """
    back = estimate_similarity(template(), points)
    colours: list[NDArray[np.float64]] = []
    for x, y, half in _SKIN:
        corners = np.array([[x - half, y - half], [x + half, y - half]], np.float32)
        corners = np.concatenate([corners, corners[::-1] + np.array([0, 2 * half], np.float32)])
        where = area(picture.shape, transform_points(back, corners))
        pixels = picture[where].reshape(-1, 1, 3).astype(np.float32) / 255
        lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2Lab) if len(pixels) else np.full((1, 1, 3), np.nan)
        colours.append(lab.reshape(-1, 3).mean(axis=0, dtype=np.float64))
    return np.array(colours)


def colour_change(before: Picture, after: Picture, points: Points) -> float:
    """Return the mean CIE76 difference of the mean colours of cheeks and forehead."""
    change = skin_colours(after, points) - skin_colours(before, points)
    distances = np.sqrt((change**2).sum(axis=1))
    known = distances[np.isfinite(distances)]
    return float(known.mean()) if len(known) else 0.0


def seam(before: Picture, after: Picture, points: Points) -> float:
    """Return the mean gradient on the edge of the face's hull, after over before.

    Parameters
    ----------
    before, after
        (H, W, 3) uint8.
    points
        (68, 2) landmarks of the photo before.

    Returns
    -------
    1 where no edge was added; above 1 where the edge shows.
    """
    outline = face_outline(points)
    width = max(1, round(0.012 * float(np.ptp(outline[:, 0]))))
    inside = area(before.shape, outline).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    band = cv2.dilate(inside, disc) != cv2.erode(inside, disc)

    def steepness(picture: Picture) -> float:
        gray = cv2.GaussianBlur(_gray(picture), (0, 0), max(0.6, width / 2))
        dx, dy = (cv2.Sobel(gray, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
        return float(np.hypot(dx, dy)[band].mean()) if band.any() else 0.0

    return steepness(after) / max(steepness(before), 1e-6)


def without_pose(points: Points) -> NDArray[np.float32]:
    """Return (68, 2) landmarks in the template's frame, laid on nose and corners of the eyes."""
    rigid = list(RIGID_LANDMARKS)
    matrix = estimate_similarity(np.asarray(points)[rigid], template()[rigid])
    return transform_points(matrix, points)


def shape_distance(first: Points, second: Points) -> float:
    """Return the mean distance of brows, eyes, nose and mouth in pixels of the 128-pixel crop."""
    apart = without_pose(first)[17:] - without_pose(second)[17:]
    return float(np.hypot(apart[:, 0], apart[:, 1]).mean())


def nearer(before: Points, after: Points, real: Points) -> float:
    """Return how much nearer an edit's landmarks come to those of the real picture.

    Parameters
    ----------
    before, after, real
        (68, 2) landmarks of the photo, of its edit, and of a photo of the same person that shows
        what the edit should.

    Returns
    -------
    1 when it arrives there, 0 when it is as far as the photo was, below 0 when farther.

    Examples
    --------
    >>> start = template()
    >>> smile = start.copy()
    >>> smile[48] += [-4, -3]
    >>> nearer(start, smile, smile), round(nearer(start, start, smile), 3)
    (1.0, 0.0)
    """
    return 1 - shape_distance(after, real) / max(shape_distance(before, real), 1e-6)
