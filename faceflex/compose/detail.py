"""Bring the photo's own detail back: transfer the change, not the decoded face.

The decoder's face is 128 pixels wide, smooth, and a slightly other person. What is carried over is
what changes between two decodes, of the face as it is and as it is edited:

1. what moves is moved: the photo's own pixels, at its own resolution (see :mod:`.warp`);
2. what the motion does not explain is added as the difference of the decodes. Adding a smile must
   not redden the skin, so unless the edit is about tone, the difference loses its low frequencies;
3. inside a mouth that opens or closes there is nothing to move: there the decode itself is shown,
   in the photo's tone.

Residual editing goes back to Shen and Liu, "Learning residual images for face attribute
manipulation", CVPR 2017; moving the photo by a field found at low resolution to Dorta et al., "The
GAN that warped", CVPR 2020.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.region import Region
from faceflex.compose.warp import Motion, warp_crop
from faceflex.faces.align import SIZE

_TONE = 7.0  # Pixels of the crop: what is smoother than that is tone.
_SHARPEN, _KNEE, _BRIGHTEST = 0.6, 0.72, 0.9
_GRAIN = 0.5

Crop = NDArray[np.float32]


def _smooth(crop: Crop, weight: NDArray[np.float32]) -> Crop:
    """Blur a (128, 128, 3) crop, counting each pixel by ``weight`` (128, 128)."""
    total = cv2.GaussianBlur(crop * weight[:, :, None], (0, 0), _TONE)
    share = cv2.GaussianBlur(weight, (0, 0), _TONE)[:, :, None]
    return np.asarray(total / np.maximum(share, 1e-3), np.float32)


def new_content(moved: Motion) -> NDArray[np.float32]:
    """Return (128, 128): how far each pixel of the crop must come from the decoder.

    It is the inside of the lips, as far as their opening changes.
    """
    before, after = moved.opening
    wider = max(before, after)
    share = abs(after - before) / wider if wider > 0.3 else 0.0
    mask = np.zeros((SIZE, SIZE), np.float32)
    inner = np.round(moved.targets[60:68] * 16).astype(np.int32)
    cv2.fillPoly(mask, [inner], 1.0, cv2.LINE_AA, 4)
    if share > 0:
        mask = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    return cv2.GaussianBlur(mask, (0, 0), 0.9) * np.float32(min(1.0, 1.3 * share))


def _move(picture: NDArray[np.uint8], region: Region, moved: Motion) -> NDArray[np.float32]:
    """Resample a region of the photo through a motion; float32 in 0 to 255."""
    field = cv2.resize(moved.field, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    back = np.linalg.inv(region.matrix[:, :2]).astype(np.float32)
    shift = region.bring(field) @ back.T
    width, height = region.size
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    mapped = cv2.remap(
        picture,
        x + shift[..., 0],
        y + shift[..., 1],
        cv2.INTER_LANCZOS4,
        borderMode=cv2.BORDER_REFLECT,
    )
    still = (np.abs(shift) < 1e-3).all(axis=2)
    mapped[still] = picture[still]
    return mapped.astype(np.float32)


def transfer(
    photo: NDArray[np.uint8],
    region: Region,
    crop: NDArray[np.uint8],
    before: Crop,
    after: Crop,
    moved: Motion | None = None,
    *,
    tone: float = 0.0,
) -> NDArray[np.float32]:
    """Return the region with the change between two decodes carried over.

    Parameters
    ----------
    photo
        (H, W, 3) uint8.
    region
        Where the face is.
    crop
        (128, 128, 3) uint8, the aligned face.
    before, after
        (128, 128, 3) float32 in [0, 1], decodes of the face as it is and as edited.
    moved
        How the landmarks move; None when nothing does.
    tone
        How much of the low-frequency colour is carried over, 0 to 1: all of it for edits that are
        about tone, none for those about shape.

    Returns
    -------
    (h, w, 3) float32 in 0 to 255.
    """
    picture = region.cut(photo)
    weight = np.zeros((SIZE, SIZE), np.float32)
    if moved is None:
        base, change = picture.astype(np.float32), after - before
    else:
        weight = new_content(moved)
        base, change = _move(picture, region, moved), after - warp_crop(before, moved)
    if tone < 1:
        change = change - np.float32(1 - tone) * _smooth(change, 1 - weight)
    patch = base + region.bring(np.ascontiguousarray(change * 255))
    if not weight.any():
        return patch
    shown = after + _smooth(np.float32(crop) / np.float32(255) - before, np.ones_like(weight))
    shown = shown + _SHARPEN * (shown - cv2.GaussianBlur(shown, (0, 0), 1.5))
    # Teeth are never paper white: highlights bend over towards _BRIGHTEST.
    room = np.float32(_BRIGHTEST - _KNEE)
    shown = np.where(shown > _KNEE, _KNEE + room * np.tanh((shown - _KNEE) / room), shown)
    share = np.clip(region.bring(np.repeat(weight[:, :, None], 3, axis=2)), 0, 1)
    content = region.bring(np.ascontiguousarray(shown * 255, dtype=np.float32))
    # The photo's own grain, from the pixels that the content covers.
    content += _GRAIN * (base - cv2.GaussianBlur(base, (0, 0), 0.006 * max(region.size) + 0.5))
    return np.asarray(patch + (content - patch) * share, np.float32)


def paste(region: Region, after: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the decode itself in the region, as Face Flex pastes it: (h, w, 3), 0 to 255."""
    return region.bring(np.ascontiguousarray(after * 255, dtype=np.float32))
