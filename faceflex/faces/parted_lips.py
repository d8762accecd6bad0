"""Teeth that glimpse between lips which landmarks take for closed.

A line along which lips meet is dark, and both lips become lighter away from it. Where a strip of
teeth shows there are two dark lines, and between them a lighter one that is not as red as the lips.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

STRIP_OFFSETS = np.arange(-3, 3.01, 0.25, dtype=np.float32)
"""Distances below the middle of the mouth, in pixels of the crop, at which colors are looked at."""

_CENTRAL = 1.75  # Pixels of the crop: a strip's middle is not farther from the mouth's.
_LIGHTER, _REDDER = 3.0, 1.0  # In CIE Lab: than the dark lines, and than the lips.
# Of 734 mouths that a classifier calls closed none that has raised corners is taken for parted by
# either rule. In the first one landmarks see a gap, in the second the colors are clear.
_GAP, _SHARE, _LESS_RED = 2.2, 0.5, 0.5
_CLEAR_SHARE, _CLEAR_LIGHTER, _CLEAR_LESS_RED = 0.75, 10.0, 2.5

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Strip:
    """A strip between the lips that is lighter than what is above and below.

    Attributes
    ----------
    top, bottom
        (n,) its edges in each column, in pixels of the crop below the mouth's middle.
    teeth
        Whether it is teeth.
    """

    top: Floats
    bottom: Floats
    teeth: bool


def find_strip(colors: Floats, lips: Floats, gap: float) -> Strip:
    """Look for teeth between the lips.

    Parameters
    ----------
    colors
        (25, n, 3) CIE Lab, :data:`STRIP_OFFSETS` below the middle of the mouth, in n columns.
    lips
        (3,) color of the lips.
    gap
        Distance of the inner lips' landmarks, in pixels of the crop.

    Examples
    --------
    >>> dark, light = np.float32([30, 20, 10]), np.float32([70, 8, 10])
    >>> colors = np.tile(np.float32([50, 25, 10]), (25, 9, 1))
    >>> colors[6:9] = colors[16:19] = dark
    >>> find_strip(colors, np.float32([50, 25, 10]), 2.0).teeth
    False
    >>> colors[9:16] = light
    >>> strip = find_strip(colors, np.float32([50, 25, 10]), 2.0)
    >>> strip.teeth, float(strip.top[4]), float(strip.bottom[4])
    (True, -0.75, 0.75)
    """
    light = colors[..., 0]
    columns = np.arange(light.shape[1])
    above, below = (
        np.minimum.accumulate(light),
        np.minimum.accumulate(light[::-1])[::-1],
    )
    stands_out = light - np.maximum(above, below)
    stands_out[np.abs(STRIP_OFFSETS) > _CENTRAL] = 0
    place = stands_out.argmax(axis=0)
    height = stands_out[place, columns]
    color = colors[place, columns] - lips
    seen = (height > _LIGHTER) & (color[:, 1] < _REDDER)
    share = float(seen.mean())
    lighter, redder = np.median(color[:, 0]), np.median(color[:, 1])
    teeth = (gap > _GAP and share > _SHARE and redder < -_LESS_RED) or (
        share > _CLEAR_SHARE and lighter > _CLEAR_LIGHTER and redder < -_CLEAR_LESS_RED
    )
    # It ends where half of the way to the dark lines is gone.
    half = light[place, columns] - height / 2
    rows = np.arange(len(light))[:, None]
    under = light < half
    first = np.where(under & (rows < place), rows, -1).max(axis=0) + 1
    last = np.where(under & (rows > place), rows, len(light)).min(axis=0) - 1
    top, bottom = STRIP_OFFSETS[first], STRIP_OFFSETS[last]
    if seen.any():  # Columns in which nothing is seen follow those beside them.
        top, bottom = (np.interp(columns, columns[seen], v[seen]) for v in (top, bottom))
    edges = (cv2.medianBlur(np.float32(v)[None], 5)[0] for v in (top, bottom))
    top, bottom = (
        cv2.GaussianBlur(v[None], (0, 0), 2.0, borderType=cv2.BORDER_REPLICATE)[0] for v in edges
    )
    return Strip(np.float32(top), np.float32(bottom), bool(teeth))
