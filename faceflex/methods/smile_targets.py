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
    """
    view = frontal_view(landmarks, lips) if strength > 0 else None
    if view is not None:  # Motions are known of faces seen from the front.
        landmarks, lips = view.landmarks, view.lips
    targets = _frontal_targets(
        motion, landmarks, lips, strength, shift, variant, seed, closed, certainty, sideways
    )
    return targets if view is None else view.back(*targets)


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
