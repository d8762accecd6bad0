"""The edges of the inner lips, found in the photo.

Landmarks say where a mouth is to a few pixels; a closing mouth must know where teeth end and lips
begin. Lips are modelled by their colour in this very photo; each edge is the smooth path, near the
landmarks, that has lip on one side and something else on the other (dynamic programming over the
columns of the mouth). Where lips touch, their line is the darkest path.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import estimate_similarity, transform_points, warp
from faceflex.faces.landmark_groups import INNER_LOWER_LIP, INNER_UPPER_LIP

SAMPLES = 65
CLOSED = 1.0
"""Lips less than this far apart, in pixels of the 128-pixel crop, touch."""

_FINE = 4  # Pixels of the mouth's picture to one of the crop.
_CORNER = (32.0, 68.0)  # Its upper left corner, in pixels of the crop, ...
_SIDE = 64  # ... and its side.
_STEP = 0.25
# How far from the landmarks' curve an edge is looked for: upper lip, lower lip, line of a closed
# mouth. Below a lower lip's edge there may be its gloss.
_REACH = (4.0, 2.25, 3.0)
_STIFF, _HOLD = 2.5, 0.08  # What a bend costs, and what distance from the landmarks costs.
_LIMIT = 4.0  # The most that a distance from the lips' colour counts.

# Between 1 and 4 pixels, landmarks may be wrong about lips being apart: what shows there must be
# less red than lips (teeth) or much darker (the mouth), in units of CIE Lab.
_SURELY_OPEN, _LESS_RED, _DARKER = 4.0, 3.5, 20.0

Floats = NDArray[np.float32]


def middle_mean(values: NDArray[np.floating]) -> float:
    """Return the mean of (65,) values over the middle third of the mouth's columns."""
    third = SAMPLES // 3
    return float(values[third:-third].mean())


@dataclass(frozen=True)
class Lips:
    """The edges of the inner lips, column by column.

    Attributes
    ----------
    x
        (65,) from the left to the right corner, in pixels of the crop.
    upper, lower
        (65,) y of the upper and of the lower lip's edge.
    """

    x: Floats
    upper: Floats
    lower: Floats

    @property
    def gap(self) -> float:
        """Distance between the lips in the middle of the mouth."""
        return middle_mean(self.lower - self.upper)

    @property
    def open(self) -> bool:
        """Whether anything shows between the lips."""
        return self.gap >= CLOSED

    @property
    def line(self) -> Floats:
        """(65,) y of the line midway between the lips."""
        return np.float32((self.upper + self.lower) / 2)


def _curve(points: NDArray[np.floating], inner: tuple[int, ...], x: Floats) -> Floats:
    """Return the y at ``x`` of a smooth curve (cubic Hermite) through five landmarks."""
    px = np.maximum.accumulate(points[list(inner), 0].astype(np.float64) + 1e-3 * np.arange(5))
    py = points[list(inner), 1].astype(np.float64)
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
    """Return the inner lips as (68, 2) landmarks in pixels of the crop have them."""
    left = float(points[60, 0] + points[48, 0]) / 2
    right = max(left + 1, float(points[64, 0] + points[54, 0]) / 2)
    x = np.linspace(left, right, SAMPLES, dtype=np.float32)
    upper, lower = (_curve(points, group, x) for group in (INNER_UPPER_LIP, INNER_LOWER_LIP))
    return tidy_lips(x, upper, lower)


def tidy_lips(x: Floats, upper: Floats, lower: Floats) -> Lips:
    """Return lips that do not cross and meet at the corners."""
    line, half = (upper + lower) / 2, np.maximum(lower - upper, 0) / 2
    half *= np.minimum(1, np.minimum(np.arange(SAMPLES), np.arange(SAMPLES)[::-1]) / 2)
    lips = Lips(x, np.float32(line - half), np.float32(line + half))
    return lips if lips.open else Lips(x, np.float32(line), np.float32(line))


def interpolate_shift(
    shift: NDArray[np.floating],
    group: tuple[int, ...],
    lips: Lips,
    landmarks: NDArray[np.floating],
) -> Floats:
    """Spread the shift of one inner lip's landmarks over the columns of the mouth.

    Parameters
    ----------
    shift
        (68, 2) how far each landmark moves, in pixels of the crop.
    group
        :data:`~faceflex.faces.landmark_groups.INNER_UPPER_LIP`, or the lower one.
    lips
        The inner lips, whose columns are meant.
    landmarks
        (68, 2) where the landmarks are.

    Returns
    -------
    (65, 2) float32.
    """
    x = np.maximum.accumulate(landmarks[list(group), 0])
    values = shift[list(group)]
    return np.float32(np.stack([np.interp(lips.x, x, values[:, k]) for k in (0, 1)], axis=1))


def find_lips(image: NDArray[np.uint8], points: NDArray[np.floating]) -> Lips:
    """Find the inner lips of a face.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB photo.
    points
        (68, 2) landmarks in its pixels.

    Returns
    -------
    Their edges, in pixels of the aligned 128-pixel crop.
    """
    matrix = estimate_similarity(points)
    own = transform_points(matrix, points)
    first = lips_from_landmarks(own)
    fine = matrix * _FINE
    fine[:, 2] -= np.array(_CORNER) * _FINE
    picture, _ = warp(image, fine, _SIDE * _FINE)
    lab = cv2.cvtColor(
        cv2.GaussianBlur(picture, (0, 0), 0.8).astype(np.float32) / 255, cv2.COLOR_RGB2Lab
    )
    strange = _strangeness(lab, own)
    if strange is None:
        return first
    if not first.open or not _shows(lab, own, first):
        line = _path(cv2.GaussianBlur(lab[..., 0], (0, 0), 1.5), first.x, first.line, 0.05)
        return Lips(first.x, line, line)
    upper = _edge(strange, first.x, first.upper, 1)
    lower = _edge(strange, first.x, first.lower, -1)
    return tidy_lips(first.x, upper, lower)


def _fine(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return places of the crop in pixels of the mouth's picture."""
    return np.float32((x - _CORNER[0]) * _FINE), np.float32((y - _CORNER[1]) * _FINE)


def _shows(lab: Floats, points: NDArray[np.floating], lips: Lips) -> bool:
    """Tell whether teeth or a dark mouth show between lips that landmarks have apart."""
    if lips.gap > _SURELY_OPEN:
        return True
    middle = slice(SAMPLES // 5, -SAMPLES // 5)
    inside = _look(lab, lips.x[middle], lips.line[middle])
    outer, inner = (points[list(k)] for k in ((50, 51, 52, 58, 57, 56), (61, 62, 63, 67, 66, 65)))
    places = np.concatenate([outer + (inner - outer) * t for t in (0.35, 0.5, 0.65)])
    change = np.median(inside - np.median(_look(lab, *places.T), axis=0), axis=0)
    return bool(change[1] < -_LESS_RED or change[0] < -_DARKER)


def _look(lab: Floats, x: NDArray[np.floating], y: NDArray[np.floating]) -> Floats:
    """Return the colours (n, 3) at places of the crop."""
    fx, fy = _fine(np.float32(x), np.float32(y))
    return cv2.remap(lab, fx[None], fy[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]


def _strangeness(lab: Floats, points: NDArray[np.floating]) -> Floats | None:
    """Return how unlike lips each pixel is in colour (Mahalanobis), or None without lips."""
    outer, inner = (
        np.stack(_fine(*points[a:b].astype(np.float32).T), axis=1) for a, b in ((48, 60), (60, 68))
    )
    mask = np.zeros(lab.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outer).astype(np.int32)], 1)
    hole = np.zeros_like(mask)
    cv2.fillPoly(hole, [np.round(inner).astype(np.int32)], 1)
    mask[cv2.dilate(hole, np.ones((7, 7), np.uint8)) > 0] = 0
    mask = cv2.erode(mask, np.ones((3, 3), np.uint8))
    colours = lab[mask > 0]
    if len(colours) < 40:
        return None
    low, high = np.percentile(colours[:, 0], (10, 90))
    colours = colours[(colours[:, 0] >= low) & (colours[:, 0] <= high)]
    spread = np.cov(colours.T) + np.diag([9.0, 4.0, 4.0])
    apart = lab - colours.mean(axis=0)
    square = np.einsum("hwi,ij,hwj->hw", apart, np.linalg.inv(spread), apart)
    return np.float32(np.sqrt(np.maximum(square, 0)))


def _profiles(picture: Floats, x: Floats, y: Floats, reach: float) -> tuple[Floats, Floats]:
    """Return what stands above and below a curve, (65, offsets), and the offsets."""
    offsets = np.arange(-reach, reach + _STEP / 2, _STEP, dtype=np.float32)
    fx, fy = _fine(np.repeat(x[:, None], len(offsets), 1), y[:, None] + offsets)
    return cv2.remap(picture, fx, fy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), offsets


def _edge(strange: Floats, x: Floats, y: Floats, sign: int) -> Floats:
    """Return the edge near ``y``; ``sign`` 1 for the upper lip, which is above it."""
    values, offsets = _profiles(strange, x, y, _REACH[0] if sign > 0 else _REACH[1])
    values = cv2.GaussianBlur(np.minimum(values, _LIMIT), (0, 0), 1.5, sigmaY=1.0)
    rise = sign * np.gradient(values, _STEP, axis=1)
    return _cheapest(np.float32(-np.maximum(rise, 0)), offsets, y)


def _path(picture: Floats, x: Floats, y: Floats, weight: float) -> Floats:
    """Return the darkest path near a curve."""
    values, offsets = _profiles(picture, x, y, _REACH[2])
    return _cheapest(np.float32(values * weight), offsets, y)


def _cheapest(cost: Floats, offsets: Floats, y: Floats) -> Floats:
    """Return y plus the smooth path of offsets that costs least (Viterbi)."""
    cost = cost + _HOLD * offsets[None] ** 2
    bend = _STIFF * (offsets[:, None] - offsets[None]) ** 2
    total, back = cost[0], []
    for column in cost[1:]:
        ways = total[None] + bend
        back.append(ways.argmin(axis=1))
        total = ways.min(axis=1) + column
    place = int(total.argmin())
    chosen = [place]
    for step in reversed(back):
        place = int(step[place])
        chosen.append(place)
    moved = offsets[chosen[::-1]]
    padded = np.pad(moved, 8, mode="edge")
    return np.float32(y + cv2.GaussianBlur(padded[None], (0, 0), 2.0)[0, 8:-8])
