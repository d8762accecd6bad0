"""Transfer the change between two pictures of a face to the photo's own pixels.

A model's face is 128 pixels wide, smooth, and a slightly other person. What is transferred is what
changes between two pictures of it, of the face as it is and as it is edited:

1. what moves is moved: the photo's own pixels, at its own resolution (see :mod:`.warp`);
2. what the warp does not explain is added as the difference of the two pictures. Adding a smile
   must not redden the skin, so unless the edit is about color, the difference is high-pass
   filtered;
3. between lips that part or meet there is nothing to move: see :mod:`.content`.

Residual editing goes back to Shen and Liu, "Learning residual images for face attribute
manipulation", CVPR 2017; moving the photo by a field found at low resolution to Dorta et al., "The
GAN that warped", CVPR 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.change import FaceChange
from faceflex.compose.lips_motion import between, window
from faceflex.compose.warp import FaceWarp, crop_coordinates, merge_fields, warp_crop
from faceflex.faces.align import SIZE
from faceflex.faces.mask import fill_hull
from faceflex.faces.region import LUMA, Region

_LIGHT = 7.0  # Pixels of the crop: the light that decodes lack is smoother than that.
_DOUBT = 0.35  # Pixels that the motion is off by, for each that it moves ...
_MOST_DOUBT = 1.2  # ... and at most.
_NEAR = 14.0  # Pixels of the crop: what lies on skin is compared with the skin around it, ...
_SPREAD = 1.0  # ... and may be brighter by this many standard deviations.
_FINE = 2.0  # Pixels of the crop: what is finer is skin.
_LITTLE = 0.02  # Changes of a colour that hardly count.
_LIP_ROOM = 5  # Pixels around lips that move.
_LINE_ROOM = 3.0  # Pixels around the mouth's line where the two sides are told apart exactly.

Crop = NDArray[np.float32]


def smooth(crop: Crop, weight: NDArray[np.float32], width: float = _LIGHT) -> Crop:
    """Blur a (128, 128, 3) crop, counting each pixel by ``weight`` (128, 128)."""
    total = cv2.GaussianBlur(crop * weight[:, :, None], (0, 0), width)
    share = cv2.GaussianBlur(weight, (0, 0), width)[:, :, None]
    return np.asarray(total / np.maximum(share, 1e-3), np.float32)


def warp_residual(after: Crop, there: Crop, warp: FaceWarp) -> Crop:
    """Return what a warp does not explain of the change between two decodes.

    A warp that is off by a part of a pixel leaves a rim along every edge that it moves: an old
    lip, a ghost of a tooth. So what such an error could make is taken off the difference, the more
    the farther a place moves.

    Parameters
    ----------
    after, there
        (128, 128, 3) decodes: of the edited face, and of the face as it was, warped.
    warp
        How the face moves.

    Returns
    -------
    (128, 128, 3).
    """
    change = after - there
    field = warp.crop_field
    doubt = np.minimum(_DOUBT * np.hypot(field[..., 0], field[..., 1]), _MOST_DOUBT)
    doubt = cv2.GaussianBlur(doubt, (0, 0), 2.0)[:, :, None]
    steep = np.maximum(*(np.hypot(*_slopes(p)) for p in (there, after)))
    size = cv2.GaussianBlur(np.linalg.norm(change, axis=2), (0, 0), 1.0)[:, :, None] + 1e-6
    error = doubt * np.linalg.norm(steep, axis=2, keepdims=True)
    kept = np.clip(1 - error / size, 0, 1) * (1 - _lip_zone(warp))[:, :, None]
    return np.asarray(change * kept, np.float32)


def _lip_zone(warp: FaceWarp) -> NDArray[np.float32]:
    """Return (128, 128): where lips are that have moved, 0 to 1.

    Decodes know less of lips than the photo does: they blur them, and have them a little elsewhere.
    """
    lips = np.concatenate([warp.landmarks[48:60], warp.targets[48:60]])
    zone = fill_hull(lips, SIZE, grow=_LIP_ROOM).astype(np.float32)
    zone = cv2.GaussianBlur(zone, (0, 0), 2.5)
    far = np.linalg.norm((warp.targets - warp.landmarks)[48:68], axis=1).max()
    return zone * np.float32(np.clip(far / 4, 0, 1))


def _shading(there: Crop, change: Crop, depth: float) -> NDArray[np.float32]:
    """Return (128, 128): by what share a change makes each pixel brighter, its hue kept."""
    bright = np.maximum(there @ LUMA, 0.08)
    share = (change @ LUMA) / (bright * max(depth, 1e-6))
    return np.asarray(depth * np.tanh(share), np.float32)


def limit_removal(own: Crop, change: Crop) -> Crop:
    """Return a change that takes away what lies on a face, where something lies there.

    Parameters
    ----------
    own
        (128, 128, 3) the aligned face, in [0, 1].
    change
        (128, 128, 3) what the decodes change by.

    Returns
    -------
    (128, 128, 3): nothing gets brighter or darker than the skin around. So glasses that are not
    there leave no glare, and mustaches no lipstick.
    """
    everywhere = np.ones(own.shape[:2], np.float32)
    around, square = (smooth(p, everywhere, _NEAR) for p in (own, own * own))
    room = np.float32(_SPREAD) * np.sqrt(np.maximum(square - around * around, 0))
    mine = smooth(own, everywhere, _FINE)  # So that the skin keeps its texture.
    least, most = np.minimum(around - mine, 0), np.maximum(around + room - mine, 0)
    # The colour that goes too far decides for all three, so that hues stay.
    little = np.copysign(np.float32(_LITTLE), change)
    share = ((np.clip(change, least, most) + little) / (change + little)).min(axis=2)
    return change * cv2.GaussianBlur(share, (0, 0), 1.5)[:, :, None]


def _to_region(region: Region, crop: NDArray[np.float32]) -> NDArray[np.float32]:
    return region.from_crop(np.ascontiguousarray(crop, dtype=np.float32))


def _slopes(crop: Crop) -> tuple[Crop, Crop]:
    """Return the change per pixel along x and along y."""
    dx, dy = (
        cv2.Sobel(crop, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1))
    )
    return dx, dy


def _resample(
    picture: NDArray[np.uint8],
    region: Region,
    warp: FaceWarp,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Resample a region of the photo through a warp; float32 in 0 to 255."""
    shift = _shift(region, warp, x, y)
    across, down = shift[..., 0].copy(), shift[..., 1].copy()
    across += np.arange(region.size[0], dtype=np.float32)
    down += np.arange(region.size[1], dtype=np.float32)[:, None]
    # In a large face the finest detail spans pixels, and the quicker kernel loses none of it.
    method = cv2.INTER_LANCZOS4 if region.stride == 1 else cv2.INTER_CUBIC
    mapped = cv2.remap(picture, across, down, method, borderMode=cv2.BORDER_REFLECT)
    return mapped.astype(np.float32)


def _shift(
    region: Region, warp: FaceWarp, x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (h, w, 2): where each pixel comes from, relative to it, in pixels of the photo."""
    back = np.linalg.inv(region.matrix[:, :2]).astype(np.float32).T
    fields = [f @ back for f in warp.fields]

    def joined(part: Region, x: NDArray[np.float32], y: NDArray[np.float32]) -> Crop:
        upper, lower = (part.from_crop(f) for f in fields)
        return merge_fields(warp, upper, lower, x, y)

    if region.stride == 1:
        return joined(region, x, y)
    # It is sharp along the mouth's line only; elsewhere a lower resolution will do.
    shift = region.upsample(joined(region.coarse, *region.coarse.coordinates()))
    rows, columns = window(warp.after, x, y, _LINE_ROOM)
    if rows.stop > rows.start and columns.stop > columns.start:
        at = rows, columns
        shift[at] = joined(region.subregion(rows, columns), x[at], y[at])
    return shift


@dataclass(frozen=True)
class Transferred:
    """A region of the photo after a transfer.

    Attributes
    ----------
    patch
        (h, w, 3) float32 in 0 to 255.
    warp
        How the face moved; None when nothing did.
    after
        (128, 128, 3) float32: the edited face in the photo's light.
    warped
        (h, w, 3) float32: the region with its pixels moved, nothing added; None unless recorded.
    residual
        (128, 128, 3) float32: what the warp does not explain; None when nothing moved.
    """

    patch: NDArray[np.float32]
    warp: FaceWarp | None
    after: Crop
    warped: NDArray[np.float32] | None = None
    residual: Crop | None = None


def transfer(
    photo: NDArray[np.uint8],
    region: Region,
    crop: NDArray[np.uint8],
    change: FaceChange,
    warp: FaceWarp | None,
    *,
    record: bool = False,
) -> Transferred:
    """Transfer a change to the photo.

    Parameters
    ----------
    photo
        (H, W, 3) uint8.
    region
        Where the face is.
    crop
        (128, 128, 3) uint8, the aligned face.
    change
        What changes, and how it is transferred.
    warp
        How the face moves; None when nothing does.
    record
        Also keep the region as it was warped.
    """
    picture = region.crop(photo)
    before, after, style = change.before, change.after, change.style
    everywhere = np.ones((SIZE, SIZE), np.float32)
    if warp is None:
        added = after - before
        if style.color < 1:
            low = smooth(added, everywhere, style.highpass_sigma)
            added = added - np.float32(1 - style.color) * low
            if style.removal > 0:
                less = limit_removal(np.float32(crop) / np.float32(255), added)
                added = added + np.float32(style.removal) * (less - added)
        return Transferred(picture + _to_region(region, 255 * added), None, after)
    x, y = region.coordinates()
    patch = _resample(picture, region, warp, x, y)
    warped = patch.copy() if record else None
    there = warp_crop(before, warp)
    outside = 1 - between(warp.after, *crop_coordinates(), 1.0)
    residual = warp_residual(after, there, warp) * outside[:, :, None]
    light = smooth(np.float32(crop) / np.float32(255) - before, everywhere)
    if style.color < 1:
        low = smooth(residual, outside, style.highpass_sigma)
        shape = (residual - low) * outside[:, :, None]
        shading = _shading(there + light, shape, style.max_shading) * np.float32(1 - style.color)
        patch *= _to_region(region, 1 + shading)[:, :, None]
    if style.color > 0:
        patch += _to_region(region, np.float32(255 * style.color) * residual)
    return Transferred(patch, warp, after + light, warped, residual)


def paste(region: Region, after: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a model's face itself in the region, as Face Flex pastes it: (h, w, 3), 0 to 255."""
    return region.from_crop(np.ascontiguousarray(after * 255, dtype=np.float32))
