"""Contours of the inner lips, refined from landmarks by the photo's colours.

Landmarks locate a mouth to a few pixels; closing it needs the exact border of lips and teeth. A
Gaussian models the colour of the lips in this photo; each contour is the smooth path near the
landmarks along which the Mahalanobis distance to it rises most (dynamic programming over columns).
Where the lips touch, their common contour is the darkest path.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import estimate_similarity, transform_points, warp
from faceflex.faces.landmark_groups import (
    CENTRAL_INNER_LIPS,
    CENTRAL_OUTER_LIPS,
    INNER_LIPS,
    INNER_LOWER_LIP,
    INNER_MOUTH_CORNERS,
    INNER_UPPER_LIP,
    OUTER_LIPS,
    OUTER_MOUTH_CORNERS,
)
from faceflex.faces.parted_lips import STRIP_OFFSETS, Strip, find_strip

SAMPLES = 65
"""Columns at which contours of lips are sampled, from one corner of the mouth to the other."""
CLOSED_GAP = 1.0
"""Gap in pixels of the 128-pixel crop below which lips count as touching."""

_SCALE = 4  # Pixels of the mouth's image to one of the crop.
_CORNER = (32.0, 68.0)  # Its upper left corner, in pixels of the crop, ...
_SIDE = 64  # ... and its side.
_STEP = 0.25
# Search range around the landmarks' curve: upper lip, lower lip, contour of a closed mouth. Small
# for the lower lip, below whose contour there may be gloss.
_RANGE = (4.0, 2.25, 3.0)
_BENDING_COST, _OFFSET_COST = 2.5, 0.08  # Of the slope of a path, and of its distance to landmarks.
_MAX_DISTANCE = 4.0  # Mahalanobis distances are clipped here.

# Landmarks with a gap of 1 to 4 pixels may be wrong: the interior must be less red than the lips
# (teeth) or much darker (the mouth's cavity), in units of CIE Lab.
_SEEN = slice(SAMPLES // 5, -(SAMPLES // 5))  # Columns that are looked at.
_RAISED = 0.04  # Times the mouth's width: corners so far above the middle are raised.
_CERTAIN_GAP, _LESS_RED, _DARKER = 4.0, 3.5, 20.0

Floats = NDArray[np.float32]


def middle_mean(values: NDArray[np.floating]) -> float:
    """Return the mean of (65,) values over the middle third of the mouth's columns."""
    third = SAMPLES // 3
    return float(values[third:-third].mean())


@dataclass(frozen=True)
class Lips:
    """Contours of the inner lips, sampled at columns.

    Attributes
    ----------
    x
        (65,) from the left to the right corner of the mouth, in pixels of the crop.
    upper, lower
        (65,) y of the upper and of the lower lip's contour.
    """

    x: Floats
    upper: Floats
    lower: Floats

    @property
    def gap(self) -> float:
        """Mean distance between the lips over the middle third of the mouth."""
        return middle_mean(self.lower - self.upper)

    @property
    def open(self) -> bool:
        """Whether the lips are apart."""
        return self.gap >= CLOSED_GAP

    @property
    def midline(self) -> Floats:
        """(65,) y midway between the lips."""
        return np.float32((self.upper + self.lower) / 2)


def _hermite(points: NDArray[np.floating], group: tuple[int, ...], x: Floats) -> Floats:
    """Evaluate at ``x`` the cubic Hermite spline through a group of five landmarks."""
    px = np.maximum.accumulate(points[list(group), 0].astype(np.float64) + 1e-3 * np.arange(5))
    py = points[list(group), 1].astype(np.float64)
    slope = np.diff(py) / np.maximum(np.diff(px), 0.5)
    middle = (slope[1:] + slope[:-1]) / 2
    tangent = np.concatenate(
        [[1.5 * slope[0] - 0.5 * middle[0]], middle, [1.5 * slope[-1] - 0.5 * middle[-1]]]
    )
    k = np.clip(np.searchsorted(px, x) - 1, 0, 3)
    width = np.maximum(px[k + 1] - px[k], 0.5)
    t = np.clip((x - px[k]) / width, 0, 1)
    y = (
        py[k] * (1 + 2 * t) * (1 - t) ** 2
        + py[k + 1] * t * t * (3 - 2 * t)
        + tangent[k] * width * t * (1 - t) ** 2
        + tangent[k + 1] * width * t * t * (t - 1)
    )
    return np.float32(y)


def lips_from_landmarks(points: NDArray[np.floating]) -> Lips:
    """Return the contours through (68, 2) landmarks, in pixels of the crop.

    Examples
    --------
    >>> from faceflex.faces.align import template
    >>> lips = lips_from_landmarks(template())
    >>> lips.x.shape, lips.open
    ((65,), True)
    """
    outer, inner = points[list(OUTER_MOUTH_CORNERS), 0], points[list(INNER_MOUTH_CORNERS), 0]
    left = float(inner[0] + outer[0]) / 2
    right = max(left + 1, float(inner[1] + outer[1]) / 2)
    x = np.linspace(left, right, SAMPLES, dtype=np.float32)
    upper, lower = (_hermite(points, group, x) for group in (INNER_UPPER_LIP, INNER_LOWER_LIP))
    return uncross_lips(x, upper, lower)


def uncross_lips(x: Floats, upper: Floats, lower: Floats) -> Lips:
    """Return lips from contours, made not to cross and to meet at the corners of the mouth."""
    midline, half_gap = (upper + lower) / 2, np.maximum(lower - upper, 0) / 2
    half_gap *= np.minimum(1, np.minimum(np.arange(SAMPLES), np.arange(SAMPLES)[::-1]) / 2)
    lips = Lips(x, np.float32(midline - half_gap), np.float32(midline + half_gap))
    return lips if lips.open else Lips(x, np.float32(midline), np.float32(midline))


def interpolate_shift(
    shift: NDArray[np.floating],
    group: tuple[int, ...],
    lips: Lips,
    landmarks: NDArray[np.floating],
) -> Floats:
    """Interpolate the displacement of one inner lip's landmarks linearly at the lips' columns.

    Parameters
    ----------
    shift
        (68, 2) displacement of each landmark, in pixels of the crop.
    group
        :data:`~faceflex.faces.landmark_groups.INNER_UPPER_LIP`, or the lower one.
    lips
        Gives the columns.
    landmarks
        (68, 2) positions of the landmarks.

    Returns
    -------
    (65, 2) float32.
    """
    x = np.maximum.accumulate(landmarks[list(group), 0])
    values = shift[list(group)]
    return np.float32(np.stack([np.interp(lips.x, x, values[:, k]) for k in (0, 1)], axis=1))


def find_lips(image: NDArray[np.uint8], points: NDArray[np.floating]) -> Lips:
    """Find the contours of a face's inner lips in a photo.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB photo.
    points
        (68, 2) landmarks in its pixels.

    Returns
    -------
    The contours, in pixels of the aligned 128-pixel crop.
    """
    matrix = estimate_similarity(points)
    landmarks = transform_points(matrix, points)
    initial = lips_from_landmarks(landmarks)
    mouth = cut_mouth(image, matrix)
    lab = cv2.cvtColor(
        cv2.GaussianBlur(mouth, (0, 0), 0.8).astype(np.float32) / 255, cv2.COLOR_RGB2Lab
    )
    distance = _mahalanobis_map(lab, landmarks)
    if distance is None:
        return initial
    strip = None
    if not initial.open or not _interior_visible(lab, landmarks, initial):
        if _corners_up(landmarks):  # Of others, gloss would more often be taken for teeth.
            strip = _teeth(lab, landmarks, initial)
        if strip is None or not strip.teeth:
            lightness = cv2.GaussianBlur(lab[..., 0], (0, 0), 1.5)
            contour = _darkest_path(lightness, initial.x, initial.midline, 0.05)
            return Lips(initial.x, contour, contour)
    if strip is not None and not initial.open:  # A strip of teeth that landmarks know nothing of.
        ends = np.minimum(1, np.minimum(np.arange(SAMPLES), np.arange(SAMPLES)[::-1]) / 10)
        columns = np.arange(SAMPLES)
        top, bottom = (
            np.float32(ends * np.interp(columns, columns[_SEEN], edge))
            for edge in (strip.top, strip.bottom)
        )
        return uncross_lips(initial.x, initial.midline + top, initial.midline + bottom)
    upper = _strongest_edge(distance, initial.x, initial.upper, 1)
    lower = _strongest_edge(distance, initial.x, initial.lower, -1)
    return uncross_lips(initial.x, upper, lower)


def cut_mouth(image: NDArray[np.uint8], matrix: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Cut the mouth (256, 256, 3) out of a photo (H, W, 3), 4 pixels to one of the crop.

    Parameters
    ----------
    image
        The photo.
    matrix
        (2, 3) similarity, its pixels to those of the crop.
    """
    to_cut = matrix * _SCALE
    to_cut[:, 2] -= np.array(_CORNER) * _SCALE
    return warp(image, to_cut, _SIDE * _SCALE)[0]


def to_mouth(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Convert pixels of the crop to pixels of the mouth's image."""
    return np.float32((x - _CORNER[0]) * _SCALE), np.float32((y - _CORNER[1]) * _SCALE)


def _interior_visible(lab: Floats, points: NDArray[np.floating], lips: Lips) -> bool:
    """Return whether teeth or a dark cavity are visible between lips with a gap."""
    if lips.gap > _CERTAIN_GAP:
        return True
    interior = sample_colors(lab, lips.x[_SEEN], lips.midline[_SEEN])
    difference = np.median(interior - _lip_color(lab, points), axis=0)
    return bool(difference[1] < -_LESS_RED or difference[0] < -_DARKER)


def _corners_up(points: NDArray[np.floating]) -> bool:
    """Return whether the corners of a mouth lie above the middle of its lips."""
    corners, middle = points[[48, 54]], points[[62, 66], 1].mean()
    return bool(middle - corners[:, 1].mean() > _RAISED * np.ptp(corners[:, 0]))


def _teeth(lab: Floats, points: NDArray[np.floating], lips: Lips) -> Strip:
    """Look for a strip of teeth between lips that landmarks take for closed."""
    x, y = lips.x[_SEEN], lips.midline[_SEEN]
    colors = np.stack([sample_colors(lab, x, y + offset) for offset in STRIP_OFFSETS])
    gap = float((points[[65, 66, 67], 1] - points[[63, 62, 61], 1]).mean())
    return find_strip(colors, _lip_color(lab, points), gap)


def _lip_color(lab: Floats, points: NDArray[np.floating]) -> Floats:
    """Return the color (3,) of the lips between outer and inner landmarks."""
    outer, inner = points[list(CENTRAL_OUTER_LIPS)], points[list(CENTRAL_INNER_LIPS)]
    on_lips = np.concatenate([outer + (inner - outer) * t for t in (0.35, 0.5, 0.65)])
    return np.float32(np.median(sample_colors(lab, *on_lips.T), axis=0))


def sample_colors(lab: Floats, x: NDArray[np.floating], y: NDArray[np.floating]) -> Floats:
    """Sample colours (n, 3) at pixels of the crop."""
    mx, my = to_mouth(np.float32(x), np.float32(y))
    return cv2.remap(lab, mx[None], my[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]


def _mahalanobis_map(lab: Floats, points: NDArray[np.floating]) -> Floats | None:
    """Return each pixel's Mahalanobis distance to the lips' colours; None if they are too small."""
    outer, inner = (
        np.stack(to_mouth(*points[group].astype(np.float32).T), axis=1)
        for group in (OUTER_LIPS, INNER_LIPS)
    )
    mask = np.zeros(lab.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outer).astype(np.int32)], 1)
    interior = np.zeros_like(mask)
    cv2.fillPoly(interior, [np.round(inner).astype(np.int32)], 1)
    mask[cv2.dilate(interior, np.ones((7, 7), np.uint8)) > 0] = 0
    mask = cv2.erode(mask, np.ones((3, 3), np.uint8))
    colors = lab[mask > 0]
    if len(colors) < 40:
        return None
    low, high = np.percentile(colors[:, 0], (10, 90))
    colors = colors[(colors[:, 0] >= low) & (colors[:, 0] <= high)]
    covariance = np.cov(colors.T) + np.diag([9.0, 4.0, 4.0])
    centred = lab - colors.mean(axis=0)
    squared = np.einsum("hwi,ij,hwj->hw", centred, np.linalg.inv(covariance), centred)
    return np.float32(np.sqrt(np.maximum(squared, 0)))


def _profiles(image: Floats, x: Floats, y: Floats, extent: float) -> tuple[Floats, Floats]:
    """Sample an image above and below a curve: values (65, offsets), and the offsets."""
    offsets = np.arange(-extent, extent + _STEP / 2, _STEP, dtype=np.float32)
    mx, my = to_mouth(np.repeat(x[:, None], len(offsets), 1), y[:, None] + offsets)
    return cv2.remap(image, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), offsets


def _strongest_edge(distance: Floats, x: Floats, y: Floats, sign: int) -> Floats:
    """Return the path near ``y`` of steepest rise: downwards (``sign`` 1) or upwards (-1)."""
    values, offsets = _profiles(distance, x, y, _RANGE[0] if sign > 0 else _RANGE[1])
    values = cv2.GaussianBlur(np.minimum(values, _MAX_DISTANCE), (0, 0), 1.5, sigmaY=1.0)
    gradient = sign * np.gradient(values, _STEP, axis=1)
    return shortest_path(np.float32(-np.maximum(gradient, 0)), offsets, y)


def _darkest_path(lightness: Floats, x: Floats, y: Floats, weight: float) -> Floats:
    """Return the darkest path near ``y``."""
    values, offsets = _profiles(lightness, x, y, _RANGE[2])
    return shortest_path(np.float32(values * weight), offsets, y)


def shortest_path(cost: Floats, offsets: Floats, y: Floats) -> Floats:
    """Return ``y`` plus the smooth path of offsets of least cost (Viterbi)."""
    cost = cost + _OFFSET_COST * offsets[None] ** 2
    transition = _BENDING_COST * (offsets[:, None] - offsets[None]) ** 2
    total, predecessors = cost[0], []
    for column in cost[1:]:
        candidates = total[None] + transition
        predecessors.append(candidates.argmin(axis=1))
        total = candidates.min(axis=1) + column
    state = int(total.argmin())
    path = [state]
    for predecessor in reversed(predecessors):
        state = int(predecessor[state])
        path.append(state)
    padded = np.pad(offsets[path[::-1]], 8, mode="edge")
    return np.float32(y + cv2.GaussianBlur(padded[None], (0, 0), 2.0)[0, 8:-8])
