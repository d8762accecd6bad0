"""Where the inner lips go, and on which side of the mouth a place lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.landmark_groups import INNER_LOWER_LIP, INNER_UPPER_LIP, MOUTH_MIDDLE
from faceflex.faces.lips import Lips, interpolate_shift, uncross_lips
from faceflex.faces.smoothstep import smoothstep

Floats = NDArray[np.float32]


def move_lips_with(lips: Lips, landmarks: Floats, targets: Floats) -> Lips:
    """Move the edges of the inner lips exactly as far as their landmarks move.

    Parameters
    ----------
    lips
        Where the inner lips are, in pixels of the crop.
    landmarks, targets
        (68, 2) where the landmarks are, and where they go.

    Returns
    -------
    Where the inner lips go. They never cross; lips that touch, and are meant to, stay closed.
    """
    shift = targets - landmarks
    up, down = (
        interpolate_shift(shift, group, lips, landmarks)
        for group in (INNER_UPPER_LIP, INNER_LOWER_LIP)
    )
    x = np.maximum.accumulate(np.float32(lips.x + (up[:, 0] + down[:, 0]) / 2))
    return uncross_lips(x, np.float32(lips.upper + up[:, 1]), np.float32(lips.lower + down[:, 1]))


def edges(lips: Lips, x: Floats) -> tuple[Floats, Floats]:
    """Return the y of both edges at each x; beyond a corner, that of the corner."""
    return (
        np.float32(np.interp(x, lips.x, lips.upper)),
        np.float32(np.interp(x, lips.x, lips.lower)),
    )


def mouth_middle(landmarks: NDArray[np.floating]) -> float:
    """Return the x of the middle of a face at its mouth, from its (68, 2) landmarks."""
    return float(landmarks[list(MOUTH_MIDDLE), 0].mean())


def side(lips: Lips, x: Floats, y: Floats) -> Floats:
    """Return how far each place belongs to the upper lip's side, 0 to 1.

    Between the corners the line between the lips divides sharply; beyond them, ever more softly.
    """
    line = np.interp(x, lips.x, lips.midline)
    beyond = np.maximum(np.maximum(lips.x[0] - x, x - lips.x[-1]), 0)
    return np.float32(smoothstep(0.5 - (y - line) / (1.2 * beyond + 1e-3)))


def between(lips: Lips, x: Floats, y: Floats, soft: float) -> Floats:
    """Return how far each place lies between the lips, 0 to 1, over an edge of ``soft`` pixels.

    Nothing lies between lips that touch.
    """
    upper, lower = edges(lips, x)
    depth = np.minimum(y - upper, lower - y)
    there = np.clip(depth / soft + 0.5, 0, 1) * np.clip((lower - upper) / (2 * soft), 0, 1)
    inside = (x > lips.x[0]) & (x < lips.x[-1])
    return np.float32(there * inside)


def window(lips: Lips, x: Floats, y: Floats, room: float = 2.0) -> tuple[slice, slice]:
    """Return the rows and columns that hold the mouth and ``room`` pixels of the crop around it."""
    near = (x > lips.x[0] - room) & (x < lips.x[-1] + room)
    near &= (y > lips.upper.min() - room) & (y < lips.lower.max() + room)
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
