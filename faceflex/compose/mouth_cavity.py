"""The dark of a mouth that opens without a smile: below the upper teeth, nothing is lit.

A smile bares teeth from lip to lip. A jaw that drops does not: upper lips stay over most of the
upper teeth, and lower ones go down with their lip.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.lips_motion import edges
from faceflex.faces.lips import Lips
from faceflex.faces.smoothstep import smoothstep

_TEETH = 1.8  # Pixels of the crop below the upper lip where teeth show, ...
_FADE = 2.2  # ... and over which they pass into the dark.
_DARK = np.array([0.30, 0.20, 0.19], np.float32)  # What is left there of the color of teeth.
_LIT = 2.0  # Pixels above the lower lip: it catches a little light.

Floats = NDArray[np.float32]


def darken_cavity(teeth: Floats, lips: Lips, x: Floats, y: Floats, share: float) -> Floats:
    """Return rendered teeth with the dark below them.

    Parameters
    ----------
    teeth
        (h, w, 3) as they were rendered, from lip to lip.
    lips
        The inner lips, in pixels of the crop.
    x, y
        (h, w) the pixels, in pixels of the crop.
    share
        How far the mouth opens without a smile, 0 to 1.
    """
    if share <= 0:
        return teeth
    upper, lower = edges(lips, x)
    dark = smoothstep((y - upper - _TEETH) / _FADE) * np.float32(share)
    lit = 1 + 0.5 * np.clip(1 - (lower - y) / _LIT, 0, 1)
    left = 1 - dark[:, :, None] * (1 - _DARK * lit[:, :, None])
    return np.asarray(teeth * left, np.float32)
