"""How far a face's corners, lips and cheeks go at a moment of its smile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.smoothstep import smoothstep
from faceflex.methods.action_motion import ActionMotion, turned_away
from faceflex.methods.base import Shot
from faceflex.methods.latent_steps import infant_keeps_lips_closed
from faceflex.methods.smile_sequences import SmileSequence

_USUAL, _SPREAD, _NEARER = 1.0, 0.5, (0.8, 1.2)  # Corners' amounts that smiles are shown with.
_BROAD, _PARTED = 1.3, 6.0  # Corners' amounts and pixels between lips at a boosted smile's apex.
_LEFT = 0.25  # What is left to do to a face that smiles already.
_OPEN, _OPEN_FIRST = 6.0, 1.0  # Pixels that lips part at most, for corners' amounts, and beyond.
_TURNED = 0.5  # Of the motion, that a face turned far away does not make.
_PARTING = (0.35, 1.0)  # Shares of a smile between which lips part that a boost parts.
_SHUT = 1.0  # How far a blink shuts an eye.


def smile_amounts(
    motion: ActionMotion, face: AlignedFace, smiling: float, sequence: SmileSequence, shot: Shot
) -> tuple[NDArray[np.float64], float]:
    """Return how far corners, lips and cheeks go in a shot (3,), and how far a blink shuts eyes.

    Parameters
    ----------
    motion
        How landmarks move.
    face
        The face.
    smiling
        How far it smiles already, 0 to 1.
    sequence
        Its smile over time.
    shot
        The moment; ``boost`` among its settings raises a smile that would hardly show.
    """
    settings = dict(shot.settings)
    intensity = settings.get("intensity", 0.0)
    if shot.time is None:
        units, shut = sequence.curves[sequence.apex], 0.0
    else:
        loop, seconds = settings.get("loop", 0.0) >= 0.5, settings.get("seconds", 2.0)
        units, shut = sequence.at(shot.time, seconds, loop=loop)
    apex = np.asarray(motion.amounts_of(sequence.curves).max(axis=0))
    moved = motion.amounts_of(units) * intensity
    moved[0] *= nearer_to_usual(float(apex[0]))
    boost = boost_of(shot)
    if boost:
        reached = float(np.clip(motion.amounts_of(units)[0] / max(apex[0], 1e-6), 0, 1))
        shown = apex[0] * nearer_to_usual(float(apex[0]))
        moved[0] *= 1 + boost * max(0.0, _BROAD / max(shown, 1e-6) - 1)
        missing = boost * max(0.0, _PARTED - float(apex[1]))
        low, high = _PARTING
        moved[1] += missing * intensity * float(smoothstep((reached - low) / (high - low)))
        apex[1] += missing
    moved *= 1 - (1 - _LEFT) * smiling
    # Teeth that are bared without a smile would be another expression.
    moved[1] = min(moved[1], _OPEN * moved[0] + _OPEN_FIRST)
    # What a turned face shows of its smile is not known well: less is done to it.
    moved *= 1 - _TURNED * turned_away(face.landmarks)
    # Where lips may not be where they seem, they stay closed; as infants' do, who have no teeth.
    if face.warnings or infant_keeps_lips_closed(face):
        moved[1] = 0
    gap = face.lips.gap
    # Lips that are apart open as much less.
    moved[1] *= float(np.clip(1 - gap / max(apex[1] * intensity, 1e-6), 0, 1))
    return moved, shut * _SHUT if intensity else 0.0


def boost_of(shot: Shot) -> float:
    """Return a shot's boost, 0 to 1."""
    return float(np.clip(dict(shot.settings).get("boost", 0.0), 0, 1))


def nearer_to_usual(apex: float) -> float:
    """Return by how much a smile's corners are moved farther, of how far they go at its apex.

    Real smiles range from ones that nobody would notice in a photo to ones that would make another
    person of it.

    Examples
    --------
    >>> [round(a * nearer_to_usual(a), 2) for a in (0.3, 0.9, 1.4)]
    [0.8, 0.95, 1.2]
    """
    low, high = _NEARER
    wanted = min(max(_USUAL + _SPREAD * (apex - _USUAL), low), high)
    return wanted / max(apex, 1e-6)
