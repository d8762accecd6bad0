"""The relief of teeth: the detail that a decoder's pale bar between new lips lacks.

``assets/teeth.png`` holds how much brighter or darker teeth are than their surroundings, in the
frame of the aligned crop: x from the middle of the face, y upwards from the lower lip's edge. Made
by :mod:`faceflex.train.teeth` from a smile of the Face Research Lab London Set (CC BY 4.0).
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.lips import Lips

FINE = 8
"""Pixels of the relief to one of the 128-pixel crop."""

HALF, BELOW, ABOVE = 24, 1, 11
"""How far it reaches sideways, below the lower lip's edge and above it, in pixels of the crop."""

MIDDLE = 128.0

_BLUR, _DEPTH = 1.5, 0.85

Floats = NDArray[np.float32]


@cache
def relief() -> Floats:
    """Return the relief, (96, 384) float32; 1 where a place is as bright as what surrounds it."""
    data = resources.files("faceflex.assets").joinpath("teeth.png").read_bytes()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    level = cv2.GaussianBlur(np.asarray(picture, np.float32), (0, 0), _BLUR)
    return 1 + np.float32(_DEPTH) * (level / np.float32(MIDDLE) - 1)


def relief_at(lips: Lips, middle: float, x: Floats, y: Floats, scale: float = 0.0) -> Floats:
    """Return the relief at places between lips.

    Parameters
    ----------
    lips
        Where the lips are, in pixels of the crop.
    middle
        x of the middle of the face there.
    x, y
        (h, w) the places.
    scale
        Pixels of the crop from one place to the next: what is finer does not show.

    Returns
    -------
    (h, w) float32, around 1.
    """
    low = np.interp(x, lips.x, lips.lower)
    column = (x - middle + HALF) * FINE
    row = (low - y + BELOW) * FINE
    seen = relief()
    if scale * FINE > 1.5:
        seen = cv2.GaussianBlur(seen, (0, 0), 0.5 * scale * FINE)
    return cv2.remap(
        seen,
        np.float32(column),
        np.float32(row),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=1.0,
    )
