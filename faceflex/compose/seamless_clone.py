"""Put an edited face into the photo: seamless cloning in the region, whatever the photo's size.

Poisson cloning (Perez, Gangnet and Blake, "Poisson image editing", SIGGRAPH 2003) keeps the patch's
gradients and takes its brightness from the photo around the mask. What it adds to the patch is a
membrane, smooth everywhere inside the mask; so OpenCV's clone runs on a small copy, and the
membrane, being smooth, is enlarged and added to the full-size patch. Cost and memory do not grow
with the solver's, and the patch's pores are never resampled.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.region import Region

WORK_SIDE = 192
"""Long side in pixels of the copy that the clone runs on."""

_PAD = 8


def membrane(
    patch: NDArray[np.float32],
    photo: NDArray[np.uint8],
    mask: NDArray[np.float32],
    side: int = WORK_SIDE,
) -> NDArray[np.float32] | None:
    """Return what seamless cloning adds to a patch.

    Parameters
    ----------
    patch
        (h, w, 3) float32 in 0 to 255, the edited region.
    photo
        (h, w, 3) uint8, the region as it was.
    mask
        (h, w) float32; the clone covers where it is above 0.
    side
        Long side in pixels of the copy that the clone runs on.

    Returns
    -------
    (h, w, 3) float32 to add to the patch; None where the clone cannot work (a mask of a few
    pixels, or one that the solver refuses).
    """
    height, width = mask.shape
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    source = np.clip(cv2.resize(patch, size, interpolation=cv2.INTER_AREA), 0, 255)
    source = np.round(source).astype(np.uint8)
    inside = cv2.resize((mask > 0).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    # OpenCV asks for room around the mask; at the photo's border there is only its reflection.
    border = (_PAD,) * 4
    source_pad, small_pad = (
        cv2.copyMakeBorder(p, *border, cv2.BORDER_REFLECT_101) for p in (source, small)
    )
    area = cv2.copyMakeBorder(inside.astype(np.uint8) * 255, *border, cv2.BORDER_CONSTANT, value=0)
    x, y, w, h = cv2.boundingRect(area)
    if w < 8 or h < 8:
        return None
    try:
        # The clone centres the mask's bounding box on the point: this one leaves it in place.
        centre = (x + w // 2, y + h // 2)
        cloned = cv2.seamlessClone(source_pad, small_pad, area, centre, cv2.NORMAL_CLONE)
    except cv2.error:
        return None
    m = slice(_PAD, -_PAD)
    added = cloned[m, m].astype(np.float32) - source
    smooth = _spread(added, inside & (cloned[m, m] != small).any(axis=2), inside)
    method = cv2.INTER_CUBIC if side >= WORK_SIDE else cv2.INTER_LINEAR
    return cv2.resize(smooth, (width, height), interpolation=method)


def _spread(
    values: NDArray[np.float32], known: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Smooth values over a mask, and carry them a little beyond its edge."""
    weight = (known & inside).astype(np.float32)
    if not weight.any():
        weight = inside.astype(np.float32)
    total = cv2.GaussianBlur(values * weight[:, :, None], (0, 0), 2.0)
    share = cv2.GaussianBlur(weight, (0, 0), 2.0)[:, :, None]
    spread: NDArray[np.float32] = np.where(share > 1e-3, total / np.maximum(share, 1e-3), 0)
    return spread


def seamless_clone(
    canvas: NDArray[np.uint8],
    region: Region,
    patch: NDArray[np.float32],
    side: int = WORK_SIDE,
) -> None:
    """Clone a patch into a photo, in place.

    Parameters
    ----------
    canvas
        (H, W, 3) uint8 photo, changed inside the region's mask only.
    region
        Where the patch goes.
    patch
        (h, w, 3) float32 in 0 to 255. Where the clone cannot work it is blended as it is, under
        the mask's soft edge.
    side
        Long side in pixels of the copy that the clone runs on.
    """
    photo = region.crop(canvas)
    added = membrane(patch, photo, region.mask, side)
    mixed = patch - photo
    if added is not None:
        mixed += added
    mixed *= region.mask[:, :, None]  # 0 outside the mask, so that there the photo itself is left.
    mixed += photo
    np.clip(np.rint(mixed, out=mixed), 0, 255, out=mixed)
    photo[...] = mixed
