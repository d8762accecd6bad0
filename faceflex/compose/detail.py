"""Bring the photo's own detail back: transfer the change, not the decoded face.

The decoder's face is 128 pixels wide, smooth, and a slightly other person. The difference between
two decodes, of the face as it is and as it is edited, holds the change alone; added to the photo
at its own resolution it leaves pores, grain and the person in place. Residual editing goes back to
Shen and Liu, "Learning residual images for face attribute manipulation", CVPR 2017.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.region import Region


def transfer(
    photo: NDArray[np.uint8],
    region: Region,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the region with the change between two decodes added.

    Parameters
    ----------
    photo
        (H, W, 3) uint8.
    region
        Where the face is.
    before, after
        (128, 128, 3) float32 in [0, 1], decodes of the face as it is and as edited.

    Returns
    -------
    (h, w, 3) float32 in 0 to 255.
    """
    change = region.bring(np.ascontiguousarray((after - before) * 255, dtype=np.float32))
    moved: NDArray[np.float32] = region.cut(photo) + change
    return moved


def paste(region: Region, after: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the decode itself in the region, as Face Flex pastes it: (h, w, 3), 0 to 255."""
    return region.bring(np.ascontiguousarray(after * 255, dtype=np.float32))
