"""A second way to edit, as another package would add it: the colour temperature of faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceflex.compose.change import FaceChange, TransferStyle
from faceflex.methods.controls import Control, MethodEntry, find_control

CONTROL = Control("Warmth", -1.0, 1.0, 0.0, "Colour temperature of the skin", "good")
ENTRY = MethodEntry("warmth", "warmth:WarmthMethod", "Warmer or colder skin", (CONTROL,))
_TINT = np.float32([0.15, 0.0, -0.15])


@dataclass(frozen=True)
class WarmthMethod:
    """Adds red and takes blue away; its code of a face is the face's crop."""

    options: object

    name = "warmth"
    fingerprints = {"tint": "1"}  # noqa: RUF012
    controls = {CONTROL.name: CONTROL}  # noqa: RUF012
    accelerated = False

    def load(self):
        """Nothing is to be loaded."""

    def resolve(self, settings):
        """Return settings under the control's proper name."""
        return tuple((find_control(name, self.controls), value) for name, value in settings.items())

    def encode(self, faces, photo):
        """Return crops, (128, 128, 3) float32 in [0, 1]."""
        return [np.float32(face.crop) / 255 for face in faces]

    def changes(self, codes, shots):
        """Yield one step a face; none where nothing changes."""
        style = TransferStyle(color=1.0)
        for shot in shots:
            strength = np.float32(sum(value for _, value in shot.settings))
            yield [
                [FaceChange(crop, np.clip(crop + strength * _TINT, 0, 1), style=style)]
                if strength
                else []
                for crop in codes
            ]
