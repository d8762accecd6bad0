"""Where landmarks and lips go when a latent moves: a linear readout, and what mends it.

Landmarks regressed linearly on latents say which way a face moves, but not how lips behave: they
say too little of an opening, let closing lips cross, and widen mouth and nose too much. The gains
and limits here belong to that readout alone; targets that are known from elsewhere need none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import estimate_similarity, transform_points
from faceflex.faces.landmark_groups import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    MOUTH,
    NOSE,
    RIGID_LANDMARKS,
)
from faceflex.faces.lips import CLOSED_GAP, SAMPLES, Lips, interpolate_shift, middle_mean

# How the two lips share a closing that goes beyond what the landmarks' shift says: the jaw moves.
_UPPER_SHARE, _UPPER_OPENS = 0.3, 0.1
# The lips of most smiles are this far apart; wider mouths close in proportion.
_USUAL_GAP = 4.5
# Lips that touch stick together at first: a faint smile keeps them closed.
_STICK = 0.8
# Landmarks read linearly say less of an opening than smiles have; and no smile is a yawn.
_OPENING_GAIN, _WIDEST = 2.0, 9.0
_UPPER_OUTER = {50: 0.8, 51: 1.0, 52: 0.8}
_LOWER_OUTER = {55: 0.5, 56: 0.9, 57: 1.0, 58: 0.9, 59: 0.5}
# Corners hang no farther than about twice this below the middle of the mouth, in pixels.
_HANGING = 1.5
_CORNERS = {48: 1.0, 54: 1.0, 60: 1.0, 64: 1.0, 49: 0.45, 53: 0.45, 55: 0.45, 59: 0.45}
# How an opening is distributed over the columns of the mouth: 1 in the middle, 0 at the corners.
_ARCH = 1 - np.abs(np.linspace(-1, 1, SAMPLES)) ** 2.5

Floats = NDArray[np.float32]


def landmark_targets(
    landmarks: NDArray[np.floating],
    shift: NDArray[np.floating],
    lips: Lips,
    *,
    sideways: float = 1.0,
) -> tuple[Floats, Lips]:
    """Correct a shift that was read linearly from a latent.

    Parameters
    ----------
    landmarks
        (68, 2) in pixels of the 128-pixel crop.
    shift
        (68, 2) how far the readout moves each.
    lips
        The inner lips.
    sideways
        Gain of the sideways motion of mouth and nose.

    Returns
    -------
    Where the landmarks go, (68, 2) float32, and where the inner lips go.
    """
    start = np.asarray(landmarks, np.float32)
    motion = remove_rigid_motion(start, shift)
    for group in (NOSE, MOUTH):
        motion[group, 0] *= np.float32(sideways)
    if not motion.any():
        return start, lips
    lip_targets, targets = move_lips(lips, start, motion)
    return targets, lip_targets


def remove_rigid_motion(
    points: NDArray[np.floating], shift: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return a shift of landmarks without what moves, turns or scales the whole head.

    A shift read in aligned crops has some of that: a wider mouth makes the same face fit the
    template at another scale. The nose and the corners of the eyes hold the head still.
    """
    goal = np.asarray(points + shift, np.float32)
    rigid = list(RIGID_LANDMARKS)
    back = estimate_similarity(goal[rigid], np.asarray(points)[rigid])
    return np.asarray(transform_points(back, goal) - points, np.float32)


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


def move_lips(
    lips: Lips,
    points: Floats,
    shift: NDArray[np.floating],
    *,
    opening: float = _OPENING_GAIN,
    widest: float = _WIDEST,
) -> tuple[Lips, Floats]:
    """Move lips as the landmarks move, so that they part and meet as lips do.

    Parameters
    ----------
    lips
        Where the inner lips are, in pixels of the crop.
    points
        (68, 2) landmarks.
    shift
        (68, 2) how far each is to move.
    opening
        Gain of lips that part: a linear readout says less of it than there is.
    widest
        Gap in pixels that none goes beyond.

    Returns
    -------
    Where the inner lips go: they never cross, a mouth open more than most closes more, and lips
    that touch part only after a while. And the (68, 2) landmarks, moved with them.
    """
    up, down = (
        interpolate_shift(shift, group, lips, points)
        for group in (INNER_UPPER_LIP, INNER_LOWER_LIP)
    )
    sideways = (up[:, 0] + down[:, 0]) / 2
    was, asked = lips.lower - lips.upper, down[:, 1] - up[:, 1]
    mean = middle_mean(asked)
    if mean < 0:
        wanted = was * max(0.0, 1 + mean / max(min(lips.gap, _USUAL_GAP), 1e-6))
    else:
        stick = _STICK * max(0.0, 1 - lips.gap / 2)
        further = lips.gap + max(0.0, opening * mean - stick)
        wanted = was + max(0.0, widest * float(np.tanh(further / widest)) - lips.gap) * _ARCH
    if middle_mean(wanted) < CLOSED_GAP * 0.6:
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
    columns = np.interp(points[list(INNER_UPPER_LIP[1:4]), 0], lips.x, np.arange(SAMPLES))
    for edge, inner in ((moved.upper, INNER_UPPER_LIP), (moved.lower, INNER_LOWER_LIP)):
        goal[list(inner[1:4]), 1] = np.interp(columns, np.arange(SAMPLES), edge)
    return moved, goal
