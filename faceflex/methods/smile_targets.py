"""Where landmarks and lips go in a smile: its learned motion, and the latent's own.

Pairs of pictures say how a face moves on the way to its own smile and back, and when it has none to
lose. The latent says how the kind of smile moves that its vector was fitted to. Where a smile is
given, both are right about different things, and their mean is nearer to people's real smiles than
either; where one is taken away, and where lips are to stay closed, the latent does not know, and
the learned motion is taken alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.head_turn import frontal_view
from faceflex.faces.lips import CLOSED_GAP, Lips, middle_mean
from faceflex.methods.landmark_readout import landmark_targets
from faceflex.methods.smile_motion import SmileMotion

LEARNED = 0.5
"""Share of the learned motion where a smile is given."""

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
    view = frontal_view(landmarks, lips) if strength > 0 else None
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
    if strength <= 0 or closed or shift is None:
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
    if not lips.open and middle_mean(lower - upper) < 0.6 * CLOSED_GAP:
        upper = lower = np.float32((upper + lower) / 2)  # Lips that hardly part do not part.
    return goal, Lips(x, upper, lower)
