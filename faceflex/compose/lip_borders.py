"""Where the borders of the red of the lips go when a smile relaxes.

Landmarks lie beside the border of lips, so lips that follow them come out too thin or too thick. Of
66 pairs of pictures of people, neutral and smiling, is known what lips do: where the mouth becomes
narrower they become thicker, and the upper one gets back what the smile drew thin at the corners.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.lips import SAMPLES, Lips, lips_from_landmarks
from faceflex.faces.vermilion import Vermilion

# Thickness grows by the ratio of widths to these powers: medians of 66 pairs (FEI, London).
_UPPER, _LOWER = 0.7, 0.45
# Near the corners the upper and the lower lip grow by this many pixels of the crop more, times the
# share by which the mouth becomes narrower.
_AT_CORNERS, _CORNER, _SPREAD = (3.0, 2.0), 0.12, 0.09
_WIDER = 1.5  # Pixels of the crop by which landmarks widen an opening at most.
_COLUMNS = np.linspace(4, 60, 9).round().astype(int)

Floats = NDArray[np.float32]
Borders = tuple[tuple[Floats, Floats], tuple[Floats, Floats]]


def widen_opening(before: Lips, after: Lips, landmarks: Floats) -> tuple[Lips, Lips]:
    """Return lips that close, with all of the opening that either contours or landmarks see.

    Where teeth are like lips, a contour may run across them; what it leaves over would become a
    part of the closed lips. A pixel of lip less does no harm, for lips keep their thickness.

    Parameters
    ----------
    before, after
        The inner lips in the photo, and where they go.
    landmarks
        (68, 2) in the photo.
    """
    if not before.open:
        return before, after
    rough = lips_from_landmarks(landmarks)
    upper, lower = (np.interp(before.x, rough.x, e) for e in (rough.upper, rough.lower))
    up = np.clip(before.upper - upper, 0, _WIDER)
    down = np.clip(lower - before.lower, 0, _WIDER)
    inside = np.minimum(1, np.minimum(np.arange(SAMPLES), np.arange(SAMPLES)[::-1]) / 4)
    up, down = (cv2.GaussianBlur(np.float32(v * inside)[None], (0, 0), 1.5)[0] for v in (up, down))
    left = np.float32(np.clip(after.gap / before.gap, 0, 1))
    return (
        Lips(before.x, np.float32(before.upper - up), np.float32(before.lower + down)),
        Lips(after.x, np.float32(after.upper - left * up), np.float32(after.lower + left * down)),
    )


def border_targets(
    border: Vermilion, before: Lips, after: Lips, landmarks: Floats, targets: Floats
) -> Borders:
    """Return where points of both borders are, and where they go.

    Parameters
    ----------
    border
        The borders in the photo.
    before, after
        The inner lips there, and where they go.
    landmarks, targets
        (68, 2) where the landmarks are, and where they go: the corners of the mouth count.

    Returns
    -------
    For the upper lip and for the lower one: (9, 2) places in the photo, and (9, 2) where they go.
    """
    old, new = (float(p[54, 0] - p[48, 0]) for p in (landmarks, targets))
    old, new = max(old, 1.0), max(new, 1.0)
    narrower = float(np.clip(1 - new / old, 0, 0.4))
    x = border.x[_COLUMNS]
    place = (x - landmarks[48, 0]) / old
    to_x = targets[48, 0] + place * new
    near = np.minimum(np.abs(place - _CORNER), np.abs(place - 1 + _CORNER))
    corner = narrower * np.exp(-((near / _SPREAD) ** 2) / 2)
    result = []
    for edge, y, thick, power, more, sign in (
        ("upper", border.upper, border.thick[0], _UPPER, _AT_CORNERS[0], -1),
        ("lower", border.lower, border.thick[1], _LOWER, _AT_CORNERS[1], 1),
    ):
        inner = np.interp(x, before.x, getattr(before, edge))
        height = thick[_COLUMNS]
        if sign < 0:  # Contours across teeth are an upper lip's; widened, it has lost them.
            height = np.minimum(height, np.maximum(inner - y[_COLUMNS], 0))
        goal = np.interp(to_x, after.x, getattr(after, edge))
        # Across the lip, not down: beside an open mouth it runs steeply.
        steep = np.hypot(1, np.gradient(inner, x))
        level = height * np.hypot(1, np.gradient(goal, to_x)) / steep
        grown = level * (1 - narrower) ** -power + more * corner
        result.append(
            (
                np.float32(np.stack([x, y[_COLUMNS]], axis=1)),
                np.float32(np.stack([to_x, goal + sign * grown], axis=1)),
            )
        )
    return result[0], result[1]
