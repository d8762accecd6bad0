"""Controls of valence and arousal; imports are light, for the registry."""

from __future__ import annotations

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
