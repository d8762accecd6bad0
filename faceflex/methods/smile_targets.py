"""Where landmarks and lips go in a smile: its learned motion, and the latent's own.

Pairs of pictures say how a face moves on the way to its own smile and back, and when it has none to
lose. The latent says how the kind of smile moves that its vector was fitted to. Where a smile is
given, both are right about different things, and their mean is nearer to people's real smiles than
either; where one is taken away, and where lips are to stay closed, the latent does not know, and
the learned motion is taken alone.

A mean falls short of what it is the mean of: mouths of smiles in the wild are wider, their corners
higher, and their lips a little less apart. So the mean is broadened.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.head_turn import frontal_view
from faceflex.faces.infant import is_child
from faceflex.faces.landmark_groups import BROWS, MOUTH, OUTER_MOUTH_CORNERS
from faceflex.faces.lips import CLOSED_GAP, Lips, middle_mean
from faceflex.methods.landmark_readout import landmark_targets
from faceflex.methods.smile_motion import SmileMotion

LEARNED = 0.5
"""Share of the learned motion where a smile is given."""

# Broader than the mean: how much farther a mouth goes sideways, how much higher its corners go for
# each pixel that they go out, and the share of the lips' parting that is left. With these, given
# smiles have the width, the corners and the opening of 150 real smiles in the wild, and come nearer
# to people's own in pairs.
_WIDER, _RISING, _PARTING = 1.35, 0.4, 0.9
# Lips get thinner as a mouth gets wider: by this power of its ratio (about as in 66 pairs).
_THIN_UPPER, _THIN_LOWER = 1.0, 0.3
_UPPER_OUTER, _LOWER_OUTER = [49, 50, 51, 52, 53], [59, 58, 57, 56, 55]
_INWARDS = np.array([0.5, 0.9, 1.0, 0.9, 0.5])  # Less in the corners, where lips taper.
# Less of it where lips are apart already, in pixels of the crop, and in small children.
_APART, _CHILD = (1.0, 4.0), 0.4
_STILL = 0.3  # Square of the place, from the middle to the corner, that corners rise against.

_UPPER_SHARE = 0.3  # Of what lips part less, the upper one takes this.
_UPPER_MIDDLE = {49: 0.4, 50: 0.85, 51: 1.0, 52: 0.85, 53: 0.4, 61: 0.9, 62: 1.0, 63: 0.9}
_LOWER_MIDDLE = {55: 0.4, 56: 0.85, 57: 1.0, 58: 0.85, 59: 0.4, 65: 0.9, 66: 1.0, 67: 0.9}

Floats = NDArray[np.float32]


def smile_targets(
    motion: SmileMotion,
    landmarks: Floats,
    lips: Lips,
    strength: float,
    shift: NDArray[np.floating] | None = None,
    *,
    variant: int = 0,
    seed: int = 0,
    closed: bool = False,
    certainty: float | None = None,
    sideways: float = 1.0,
    opening: float = 1.0,
) -> tuple[Floats, Lips]:
    """Return where landmarks and inner lips go in a smile.

    Parameters
    ----------
    motion
        The learned motion.
    landmarks
        (68, 2) in pixels of the 128-pixel crop.
    lips
        The inner lips there.
    strength
        Of the smile; below 0 it is taken away.
    shift
        (68, 2) what is read from the latent, or None.
    variant, seed, closed, certainty
        Kind of smile, and whether there is one to lose; as for :meth:`SmileMotion.targets`.
    sideways
        As for :func:`landmark_targets`.
    opening
        Share of the lips' parting that is left.
    """
    view = frontal_view(landmarks, lips) if strength else None
    if view is not None:  # Motions are known of faces seen from the front.
        landmarks, lips = view.landmarks, view.lips
    targets = _frontal_targets(
        motion, landmarks, lips, strength, shift, variant, seed, closed, certainty, sideways
    )
    if opening < 1 and strength > 0:
        targets = _part_less(*targets, lips, opening)
    return targets if view is None else view.back(*targets)


def _part_less(goal: Floats, after: Lips, before: Lips, share: float) -> tuple[Floats, Lips]:
    """Return targets whose lips part by a share of what they did; the jaw stays up."""
    more = np.maximum((after.lower - after.upper) - (before.lower - before.upper), 0)
    less = np.float32((1 - share) * more)
    upper, lower = after.upper + _UPPER_SHARE * less, after.lower - (1 - _UPPER_SHARE) * less
    goal, middle = goal.copy(), middle_mean(less)
    for points, shift in (
        (_UPPER_MIDDLE, _UPPER_SHARE * middle),
        (_LOWER_MIDDLE, (_UPPER_SHARE - 1) * middle),
    ):
        for point, part in points.items():
            goal[point, 1] += np.float32(part * shift)
    return goal, Lips(after.x, np.float32(upper), np.float32(lower))


def _frontal_targets(
    motion: SmileMotion,
    landmarks: Floats,
    lips: Lips,
    strength: float,
    shift: NDArray[np.floating] | None,
    variant: int,
    seed: int,
    closed: bool,
    certainty: float | None,
    sideways: float,
) -> tuple[Floats, Lips]:
    """Return where landmarks and inner lips of a face seen from the front go in a smile."""
    learned = motion.targets(
        landmarks, lips, strength, variant, seed, closed=closed, certainty=certainty
    )
    if closed and strength > 0:
        return _broadened(landmarks, lips, *learned)
    if strength <= 0 or shift is None:
        return learned
    read = landmark_targets(landmarks, shift, lips, sideways=sideways)
    goal, upper, lower, x = (
        np.float32(LEARNED * a + (1 - LEARNED) * b)
        for a, b in (
            (learned[0], read[0]),
            (learned[1].upper, read[1].upper),
            (learned[1].lower, read[1].lower),
            (learned[1].x, read[1].x),
        )
    )
    goal, after = _broadened(landmarks, lips, goal, Lips(x, upper, lower))
    if not lips.open and middle_mean(after.lower - after.upper) < 0.6 * CLOSED_GAP:
        line = np.float32(after.midline)  # Lips that hardly part do not part.
        after = Lips(after.x, line, line)
    return goal, after


def _broadened(landmarks: Floats, before: Lips, goal: Floats, after: Lips) -> tuple[Floats, Lips]:
    """Return targets of a smile that is broader, and lifts no brow and lowers none."""
    goal = goal.copy()
    goal[BROWS] = landmarks[BROWS]
    right, left = (landmarks[corner, 0] for corner in OUTER_MOUTH_CORNERS)
    half, middle = np.float32((left - right) / 2), np.float32((left + right) / 2)
    moved = (goal - landmarks)[list(OUTER_MOUTH_CORNERS), 0]
    share = 1 - float(np.clip((before.gap - _APART[0]) / (_APART[1] - _APART[0]), 0, 1))
    if is_child(landmarks):
        share *= _CHILD
    out = np.float32(share * max(0.0, float(moved[1] - moved[0]) / 2))

    def farther(x: Floats) -> tuple[Floats, Floats]:
        place = (x - middle) / max(half, np.float32(1))
        rise = np.float32(_RISING) * out * (np.square(place) - np.float32(_STILL))
        return np.float32((_WIDER - 1) * out * place), np.float32(-rise)

    goal[MOUTH] += np.stack(farther(landmarks[MOUTH, 0]), axis=1)
    aside, down = farther(before.x)
    broader = Lips(after.x + aside, after.upper + down, after.lower + down)
    goal, less = _part_less(goal, broader, before, _PARTING)
    ends = goal[list(OUTER_MOUTH_CORNERS), 0]
    wider = max(1.0, float(ends[1] - ends[0]) / max(float(left - right), 1.0))
    for outer, was, now, power, sign in (
        (_UPPER_OUTER, before.upper, less.upper, _THIN_UPPER, -1.0),
        (_LOWER_OUTER, before.lower, less.lower, _THIN_LOWER, 1.0),
    ):
        old, new = landmarks[outer], goal[outer]
        thick = np.maximum(sign * (old[:, 1] - np.interp(old[:, 0], before.x, was)), 0)
        left_over = sign * (new[:, 1] - np.interp(new[:, 0], less.x, now))
        goal[outer, 1] += np.float32(sign * _INWARDS * (thick * wider**-power - left_over))
    return goal, less
