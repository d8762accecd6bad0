"""Contours of the outer lips: where their red meets the skin, refined from landmarks by color.

Landmarks lie up to three pixels of the crop beside the border of lips that smile, mostly in the
skin below the lower lip. Where a closing mouth must show lips as thick as this person's, that is
too far. Each contour is the smooth path near the landmarks along which the Mahalanobis distance to
the lips' colors rises most (see :mod:`.lips`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces import lips as inner
from faceflex.faces.align import estimate_similarity, transform_points, warp
from faceflex.faces.lips import SAMPLES, Lips

_UPPER, _LOWER = (48, 49, 50, 51, 52, 53, 54), (48, 59, 58, 57, 56, 55, 54)
_OUT, _IN = 1.5, 5.0  # Pixels of the crop around the landmarks that are searched.
_CORE = (0.3, 0.75)  # Where, from the inner edge to the landmarks, surely is lip.
_SMOOTH = 2.0

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Vermilion:
    """Borders of the red of the lips, sampled at 65 columns from corner to corner of the mouth.

    Attributes
    ----------
    x
        (65,) in pixels of the crop.
    upper, lower
        (65,) y of the upper lip's upper and of the lower lip's lower border.
    """

    x: Floats
    upper: Floats
    lower: Floats


def vermilion_from_landmarks(landmarks: NDArray[np.floating]) -> Vermilion:
    """Return the borders through (68, 2) landmarks, in pixels of the crop."""
    left, right = float(landmarks[48, 0]), float(landmarks[54, 0])
    x = np.linspace(left, max(right, left + 1), SAMPLES, dtype=np.float32)
    curves = []
    for group in (_UPPER, _LOWER):
        points = landmarks[list(group)]
        across = np.maximum.accumulate(points[:, 0] + 1e-3 * np.arange(len(points)))
        y = np.interp(x, across, points[:, 1])
        curves.append(_smooth(np.float32(y)))
    return Vermilion(x, *curves)


def find_vermilion(image: NDArray[np.uint8], points: NDArray[np.floating], lips: Lips) -> Vermilion:
    """Find the borders of a face's lips in a photo."""
    matrix = estimate_similarity(points)
    landmarks = transform_points(matrix, points)
    initial = vermilion_from_landmarks(landmarks)
    to_mouth = matrix * inner._SCALE
    to_mouth[:, 2] -= np.array(inner._CORNER) * inner._SCALE
    mouth, _ = warp(image, to_mouth, inner._SIDE * inner._SCALE)
    lab = cv2.cvtColor(
        cv2.GaussianBlur(mouth, (0, 0), 2.5).astype(np.float32) / 255, cv2.COLOR_RGB2Lab
    )
    return refine(lab, initial, lips)


def refine(lab: Floats, initial: Vermilion, lips: Lips) -> Vermilion:
    x = initial.x
    middle = slice(SAMPLES // 6, -SAMPLES // 6)
    up, low = (np.interp(x, lips.x, e) for e in (lips.upper, lips.lower))
    out = []
    for edge, border, sign in ((up, initial.upper, -1), (low, initial.lower, 1)):
        core = [
            inner._sample_colors(lab, x[middle], np.float32(edge + t * (border - edge))[middle])
            for t in (0.35, 0.5, 0.65)
        ]
        skin = [
            inner._sample_colors(lab, x[middle], np.float32(border + sign * t)[middle])
            for t in (2.5, 3.5, 4.5)
        ]
        lip, around = (np.median(np.concatenate(c), axis=0) for c in (core, skin))
        # Projected on the way from the lip's color to the skin's, in their own spread.
        spread = np.concatenate(core) - lip
        cov = np.cov(spread.T) + np.diag([16.0, 4.0, 4.0])
        axis = np.linalg.solve(cov, around - lip)
        gain = float(axis @ (around - lip))
        value = np.float32(((lab - (lip + around) / 2) @ axis) / max(gain, 1e-3))
        offsets = np.arange(-_IN, _OUT + 0.125, 0.25, dtype=np.float32)
        places = border[:, None] + sign * offsets
        mx, my = inner._to_mouth(np.repeat(x[:, None], len(offsets), 1), np.float32(places))
        seen = cv2.remap(value, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.GaussianBlur(np.clip(seen, -0.7, 0.7), (0, 0), 1.0, sigmaY=1.5)
        rise = np.gradient(seen, 0.25, axis=1)
        weight = np.float32(min(1.0, gain / 4.0))
        cost = -8.0 * weight * np.maximum(rise, 0)
        # Not nearer to the inner edge than a thin lip.
        thick = sign * (places - edge[:, None])
        cost = cost + 0.3 * np.square(np.maximum(0.8 - thick, 0))
        path = inner._shortest_path(np.float32(cost), sign * offsets, border)
        fade = np.minimum(1, np.minimum(np.arange(SAMPLES), np.arange(SAMPLES)[::-1]) / 8)
        y = border + fade * (path - border)
        y = edge + sign * np.maximum(sign * (y - edge), 0.4 * fade)
        out.append(np.float32(y))
    return Vermilion(x, *out)


def _smooth(y: Floats) -> Floats:
    padded = np.pad(y, 8, mode="reflect", reflect_type="odd")
    return cv2.GaussianBlur(padded[None], (0, 0), _SMOOTH)[0, 8:-8]
