"""Controls of valence and arousal; imports are light, for the registry."""

from __future__ import annotations

from faceflex.errors import UsageError
from faceflex.methods.controls import Control

VALENCE, AROUSAL = "valence", "arousal"


def shift_of(name: str) -> str:
    """Return the control that shifts what ``name`` sets."""
    return f"{name}_shift"


CONTROLS = (
    Control(
        VALENCE, -1.0, 1.0, about="How pleasant a face feels; +0.3 shifts", shift=shift_of(VALENCE)
    ),
    Control(
        AROUSAL, -1.0, 1.0, about="How excited a face is; +0.3 shifts", shift=shift_of(AROUSAL)
    ),
    Control(shift_of(VALENCE), -2.0, 2.0, about="Change of valence from the face's own"),
    Control(shift_of(AROUSAL), -2.0, 2.0, about="Change of arousal from the face's own"),
)
"""Each is set, or shifted from the face's own estimated value."""

FEELINGS = {
    "happy": (0.68, 0.08),
    "sad": (-0.64, -0.27),
    "angry": (-0.44, 0.55),
    "afraid": (-0.11, 0.76),
    "surprised": (0.20, 0.69),
    "disgusted": (-0.69, 0.45),
    "calm": (0.40, -0.40),
}
"""Valence and arousal of named feelings: the means of AffectNet's faces; of ``calm``, which it does
not have, the quadrant of Russell (1980)."""


def feeling_place(name: str, strength: float) -> tuple[float, float]:
    """Return the place of a feeling, ``strength`` of the way from the middle of the plane to it.

    Raises
    ------
    UsageError
        If there is no such feeling, or that lies outside the plane.

    Examples
    --------
    >>> feeling_place("happy", 0.5)
    (0.34, 0.04)
    """
    key = name.strip().lower()
    if key not in FEELINGS:
        raise UsageError(f"`feeling` {name}: use one of {', '.join(FEELINGS)}")
    valence, arousal = (round(strength * v, 6) for v in FEELINGS[key])
    if not (strength >= 0 and max(abs(valence), abs(arousal)) <= 1):
        most = 1 / max(abs(v) for v in FEELINGS[key])
        raise UsageError(f"`strength` {strength:g}: {key} needs 0 to {most:.1f}")
    return valence, arousal
