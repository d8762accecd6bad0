"""Landmarks drawn: as lines over a photo, or as the binary pictures that CMM-Net learns of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import SIZE

CURVES: tuple[tuple[int, ...], ...] = (
    tuple(range(17)),
    tuple(range(17, 22)),
    tuple(range(22, 27)),
    tuple(range(27, 31)),
    tuple(range(31, 36)),
    (*range(36, 42), 36),
    (*range(42, 48), 42),
    (*range(48, 60), 48),
    (*range(60, 68), 60),
)
"""Landmarks that lines join: jaw, brows, nose, eyes, lips."""

PICTURE = 64
"""Side of a landmark picture in pixels."""

_BITS = 4  # Sub-pixel bits of OpenCV's drawing.


def draw_landmarks(points: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Draw landmarks (68, 2), in pixels of the crop, as a binary picture (64, 64): 0 and 1.

    Examples
    --------
    >>> from faceflex.faces.align import template
    >>> picture = draw_landmarks(template())
    >>> picture.shape, sorted(set(picture.ravel().tolist()))
    ((64, 64), [0, 1])
    """
    picture = np.zeros((PICTURE, PICTURE), np.uint8)
    places = (np.asarray(points) + 0.5) * (PICTURE / SIZE) - 0.5
    fixed = np.round(places * (1 << _BITS)).astype(np.int32)
    for curve in CURVES:
        cv2.polylines(picture, [fixed[list(curve)][:, None]], False, 1, 1, cv2.LINE_8, _BITS)
    return picture
