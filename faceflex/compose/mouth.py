"""How lips part and meet, and on which side of the mouth a place lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.lips import CLOSED, SAMPLES, Lips, middle_mean

# How the two lips share a closing that goes beyond what the landmarks' shift says: the jaw moves.
_UPPER_SHARE, _UPPER_OPENS = 0.3, 0.1
# The lips of most smiles are this far apart; wider mouths close in proportion.
_USUAL_GAP = 4.5
# Lips that touch stick together at first: a faint smile keeps them closed.
_STICK = 0.8
# Landmarks read linearly say less of an opening than smiles have; and no smile is a yawn.
_WIDER, _WIDEST = 2.0, 9.0
_UPPER, _LOWER = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
_UPPER_OUTER = {50: 0.8, 51: 1.0, 52: 0.8}
_LOWER_OUTER = {55: 0.5, 56: 0.9, 57: 1.0, 58: 0.9, 59: 0.5}
# Corners hang no farther than about twice this below the middle of the mouth, in pixels.
_HANGING = 1.5
_CORNERS = {48: 1.0, 54: 1.0, 60: 1.0, 64: 1.0, 49: 0.45, 53: 0.45, 55: 0.45, 59: 0.45}
# How an opening is distributed over the columns of the mouth: 1 in the middle, 0 at the corners.
_ARCH = 1 - np.abs(np.linspace(-1, 1, SAMPLES)) ** 2.5

Floats = NDArray[np.float32]


def _along(
    shift: NDArray[np.floating], inner: tuple[int, ...], lips: Lips, points: Floats
) -> Floats:
    """Return how the samples of an edge move, (65, 2), from how its five landmarks do."""
    places = np.maximum.accumulate(points[list(inner), 0])
    values = shift[list(inner)]
    columns = [np.interp(lips.x, places, values[:, k]) for k in (0, 1)]
    return np.float32(np.stack(columns, axis=1))


def _rounded(line: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the polynomial of degree 4 nearest to a line (65,)."""
    place = np.linspace(-1, 1, SAMPLES)
    fitted: NDArray[np.floating] = np.polyval(np.polyfit(place, line, 4), place)
    return fitted


def _hold_corners(upper: NDArray[np.floating], lower: NDArray[np.floating], goal: Floats) -> None:
    """Raise corners that would hang, in place: a mouth that loses its smile does not weep."""
    line = (upper + lower) / 2
    drop = (line[0] + line[-1]) / 2 - line[SAMPLES // 2]
    if drop <= _HANGING:
        return
    raised = drop - _HANGING - _HANGING * np.tanh((drop - _HANGING) / _HANGING)
    share = np.linspace(-1, 1, SAMPLES) ** 2
    upper -= raised * share
    lower -= raised * share
    for k, part in _CORNERS.items():
        goal[k, 1] -= part * raised


def move_lips(lips: Lips, points: Floats, shift: NDArray[np.floating]) -> tuple[Lips, Floats]:
    """Move lips as the landmarks move, so that they part and meet as lips do.

    Parameters
    ----------
    lips
        Where the inner lips are, in pixels of the crop.
    points
        (68, 2) landmarks.
    shift
        (68, 2) how far each is to move.

    Returns
    -------
    Where the inner lips go: they never cross, a mouth open more than most closes more, and lips
    that touch part only after a while. And the (68, 2) landmarks, moved with them.
    """
    up, down = (_along(shift, k, lips, points) for k in (_UPPER, _LOWER))
    sideways = (up[:, 0] + down[:, 0]) / 2
    was, asked = lips.lower - lips.upper, down[:, 1] - up[:, 1]
    mean = middle_mean(asked)
    if mean < 0:
        wanted = was * max(0.0, 1 + mean / max(min(lips.gap, _USUAL_GAP), 1e-6))
    else:
        stick = _STICK * max(0.0, 1 - lips.gap / 2)
        further = lips.gap + max(0.0, _WIDER * mean - stick)
        wanted = was + max(0.0, _WIDEST * float(np.tanh(further / _WIDEST)) - lips.gap) * _ARCH
    if middle_mean(wanted) < CLOSED * 0.6:
        wanted = np.zeros_like(wanted)
    upper, lower = lips.upper + up[:, 1], lips.lower + down[:, 1]
    more = lower - upper - wanted  # What is still to close; negative: to open.
    share = _UPPER_SHARE if mean < 0 else _UPPER_OPENS
    upper, lower = upper + share * more, lower - (1 - share) * more
    goal = np.asarray(points + shift, np.float32)
    _hold_corners(upper, lower, goal)
    # Lips that come to touch do so along a smooth line.
    line = (upper + lower) / 2
    flat = _rounded(line) - line
    near = np.float32(np.clip(1 - middle_mean(lower - upper) / 3, 0, 1))
    moved = Lips(
        np.maximum.accumulate(np.float32(lips.x + sideways)),
        np.float32(upper + near * flat),
        np.float32(lower + near * flat),
    )
    extra = middle_mean(more)
    for k, part in _UPPER_OUTER.items():
        goal[k, 1] += part * share * extra
    for k, part in _LOWER_OUTER.items():
        goal[k, 1] -= part * (1 - share) * extra
    columns = np.interp(points[list(_UPPER[1:4]), 0], lips.x, np.arange(SAMPLES))
    for edge, inner in ((moved.upper, _UPPER), (moved.lower, _LOWER)):
        goal[list(inner[1:4]), 1] = np.interp(columns, np.arange(SAMPLES), edge)
    return moved, goal


def edges(lips: Lips, x: Floats) -> tuple[Floats, Floats]:
    """Return the y of both edges at each x; beyond a corner, that of the corner."""
    return (
        np.float32(np.interp(x, lips.x, lips.upper)),
        np.float32(np.interp(x, lips.x, lips.lower)),
    )


def side(lips: Lips, x: Floats, y: Floats) -> Floats:
    """Return how far each place belongs to the upper lip's side, 0 to 1.

    Between the corners the line between the lips divides sharply; beyond them, ever more softly.
    """
    line = np.interp(x, lips.x, lips.line)
    beyond = np.maximum(np.maximum(lips.x[0] - x, x - lips.x[-1]), 0)
    rise = np.clip(0.5 - (y - line) / (1.2 * beyond + 1e-3), 0, 1)
    return np.float32(rise * rise * (3 - 2 * rise))


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
