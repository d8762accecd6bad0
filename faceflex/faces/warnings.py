"""What to tell people about a face before they trust an edit of it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import SIZE
from faceflex.faces.mask import fill_hull

TYPICAL = 25
"""Numbers of the latent, the first and strongest, that make a typical face of a crop."""

_SMALL = 60
_TURNED = 1.5  # Log of the nose's distances to both sides of the face, about 35 degrees.
# Mean difference of mouth and typical mouth, in [0, 1]. Of 600 faces in the wild 5 exceed it, three
# of them with a hand, a bottle or a cup before the mouth.
_COVERED = 0.115


def remarks(
    width: int,
    points: NDArray[np.floating],
    crop: NDArray[np.uint8],
    typical: NDArray[np.float32],
) -> tuple[str, ...]:
    """Say what is hard about a face.

    Parameters
    ----------
    width
        Width of its box in pixels of the photo.
    points
        (68, 2) landmarks in pixels of the crop.
    crop
        (128, 128, 3) uint8, the aligned face.
    typical
        (128, 128, 3) float32 in [0, 1]: the typical face nearest to it.

    Returns
    -------
    A phrase for each difficulty.
    """
    found = []
    if width < _SMALL:
        found.append(f"only {width} pixels wide: edits of it are coarse")
    left, right = (float(np.hypot(*(points[30] - points[k]))) for k in (2, 14))
    if abs(np.log(max(left, 1e-3) / max(right, 1e-3))) > _TURNED:
        found.append("turned far to one side: edits suit faces seen from the front")
    seen = cv2.GaussianBlur(crop.astype(np.float32) / 255, (0, 0), 2.0)
    mouth = fill_hull(points[48:60], SIZE, grow=5)
    if mouth.any() and float(np.abs(seen - typical)[mouth].mean()) > _COVERED:
        found.append("something unusual at its mouth, perhaps covering it: look at the result")
    return tuple(found)
