"""Bring the photo's own detail back: transfer the change, not the decoded face.

The decoder's face is 128 pixels wide, smooth, and a slightly other person. What is carried over is
what changes between two decodes, of the face as it is and as it is edited:

1. what moves is moved: the photo's own pixels, at its own resolution (see :mod:`.warp`);
2. what the motion does not explain is added as the difference of the decodes. Adding a smile must
   not redden the skin, so unless the edit is about tone, the difference loses its low frequencies;
3. between lips that part or meet there is nothing to move: see :mod:`.interior`.

Residual editing goes back to Shen and Liu, "Learning residual images for face attribute
manipulation", CVPR 2017; moving the photo by a field found at low resolution to Dorta et al., "The
GAN that warped", CVPR 2020.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.mouth import between, window
from faceflex.compose.mouth_interior import fill_mouth
from faceflex.compose.warp import FaceWarp, crop_places, merge_fields, warp_crop
from faceflex.faces.align import SIZE
from faceflex.faces.mask import fill_hull
from faceflex.faces.region import LUMA, Region
from faceflex.methods.attribute_styles import TransferStyle

_LIGHT = 7.0  # Pixels of the crop: the light that decodes lack is smoother than that.
_DOUBT = 0.35  # Pixels that the motion is off by, for each that it moves ...
_MOST_DOUBT = 1.2  # ... and at most.
_NEAR = 14.0  # Pixels of the crop: what lies on skin is compared with the skin around it, ...
_SPREAD = 1.0  # ... and may be brighter by this many standard deviations.
_FINE = 2.0  # Pixels of the crop: what is finer is skin.
_LITTLE = 0.02  # Changes of a colour that hardly count.
_LIP_ROOM = 5  # Pixels around lips that move.
_LINE_ROOM = 3.0  # Pixels around the mouth's line where the two sides are told apart exactly.

_AS_SHAPE = TransferStyle()

Crop = NDArray[np.float32]


def smooth(crop: Crop, weight: NDArray[np.float32], width: float = _LIGHT) -> Crop:
    """Blur a (128, 128, 3) crop, counting each pixel by ``weight`` (128, 128)."""
    total = cv2.GaussianBlur(crop * weight[:, :, None], (0, 0), width)
    share = cv2.GaussianBlur(weight, (0, 0), width)[:, :, None]
    return np.asarray(total / np.maximum(share, 1e-3), np.float32)


def warp_residual(after: Crop, there: Crop, moved: FaceWarp) -> Crop:
    """Return what a motion does not explain of the change between two decodes.

    A motion that is off by a part of a pixel leaves a rim along every edge that it moves: an old
    lip, a ghost of a tooth. So what such an error could make is taken off the difference, the more
    the farther a place moves.

    Parameters
    ----------
    after, there
        (128, 128, 3) decodes: of the edited face, and of the face as it was, moved.
    moved
        The motion.

    Returns
    -------
    (128, 128, 3).
    """
    change = after - there
    field = moved.crop_field
    doubt = np.minimum(_DOUBT * np.hypot(field[..., 0], field[..., 1]), _MOST_DOUBT)
    doubt = cv2.GaussianBlur(doubt, (0, 0), 2.0)[:, :, None]
    steep = np.maximum(*(np.hypot(*_slopes(p)) for p in (there, after)))
    size = cv2.GaussianBlur(np.linalg.norm(change, axis=2), (0, 0), 1.0)[:, :, None] + 1e-6
    error = doubt * np.linalg.norm(steep, axis=2, keepdims=True)
    kept = np.clip(1 - error / size, 0, 1) * (1 - _lip_zone(moved))[:, :, None]
    return np.asarray(change * kept, np.float32)


def _lip_zone(moved: FaceWarp) -> NDArray[np.float32]:
    """Return (128, 128): where lips are that have moved, 0 to 1.

    Decodes know less of lips than the photo does: they blur them, and have them a little elsewhere.
    """
    lips = np.concatenate([moved.start[48:60], moved.targets[48:60]])
    zone = fill_hull(lips, SIZE, grow=_LIP_ROOM).astype(np.float32)
    zone = cv2.GaussianBlur(zone, (0, 0), 2.5)
    far = np.linalg.norm((moved.targets - moved.start)[48:68], axis=1).max()
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


def _brought(region: Region, crop: NDArray[np.float32]) -> NDArray[np.float32]:
    return region.bring(np.ascontiguousarray(crop, dtype=np.float32))


def _slopes(crop: Crop) -> tuple[Crop, Crop]:
    """Return the change per pixel along x and along y."""
    dx, dy = (
        cv2.Sobel(crop, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1))
    )
    return dx, dy


def _move(
    picture: NDArray[np.uint8],
    region: Region,
    moved: FaceWarp,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Resample a region of the photo through a motion; float32 in 0 to 255."""
    shift = _shift(region, moved, x, y)
    across, down = shift[..., 0].copy(), shift[..., 1].copy()
    across += np.arange(region.size[0], dtype=np.float32)
    down += np.arange(region.size[1], dtype=np.float32)[:, None]
    # In a large face the finest detail spans pixels, and the quicker kernel loses none of it.
    method = cv2.INTER_LANCZOS4 if region.step == 1 else cv2.INTER_CUBIC
    mapped = cv2.remap(picture, across, down, method, borderMode=cv2.BORDER_REFLECT)
    return mapped.astype(np.float32)


def _shift(
    region: Region, moved: FaceWarp, x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (h, w, 2): where each pixel comes from, relative to it, in pixels of the photo."""
    back = np.linalg.inv(region.matrix[:, :2]).astype(np.float32).T
    fields = [f @ back for f in moved.fields]

    def joined(part: Region, x: NDArray[np.float32], y: NDArray[np.float32]) -> Crop:
        upper, lower = (part.bring(f) for f in fields)
        return merge_fields(moved, upper, lower, x, y)

    if region.step == 1:
        return joined(region, x, y)
    # It is sharp along the mouth's line only; elsewhere a lower resolution will do.
    shift = region.enlarge(joined(region.coarse, *region.coarse.places()))
    rows, columns = window(moved.after, x, y, _LINE_ROOM)
    if rows.stop > rows.start and columns.stop > columns.start:
        at = rows, columns
        shift[at] = joined(region.part(rows, columns), x[at], y[at])
    return shift


def transfer(
    photo: NDArray[np.uint8],
    region: Region,
    crop: NDArray[np.uint8],
    before: Crop,
    after: Crop,
    moved: FaceWarp | None = None,
    how: TransferStyle = _AS_SHAPE,
    *,
    blur: float = 0.0,
    trace: dict[str, Any] | None = None,
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
    how
        How the change is carried over.
    blur
        How blurred the photo is, in its pixels.
    trace
        Gets the stages in between: ``moved``, the motion; ``warped``, the region with its pixels
        moved; ``warp_residual``, what the motion leaves over; ``new``, (h, w) where new content is
        shown.

    Returns
    -------
    (h, w, 3) float32 in 0 to 255.
    """
    picture = region.cut(photo)
    everywhere = np.ones((SIZE, SIZE), np.float32)
    if moved is None:
        change = after - before
        if how.tone < 1:
            change = change - np.float32(1 - how.tone) * smooth(change, everywhere, how.scale)
            if how.taken > 0:
                less = limit_removal(np.float32(crop) / np.float32(255), change)
                change = change + np.float32(how.taken) * (less - change)
        return picture + _brought(region, 255 * change)
    x, y = region.places()
    patch = _move(picture, region, moved, x, y)
    warped = patch.copy() if trace is not None else None
    there = warp_crop(before, moved)
    outside = 1 - between(moved.after, *crop_places(), 1.0)
    change = warp_residual(after, there, moved) * outside[:, :, None]
    light = smooth(np.float32(crop) / np.float32(255) - before, everywhere)
    if how.tone < 1:
        shape = (change - smooth(change, outside, how.scale)) * outside[:, :, None]
        shading = _shading(there + light, shape, how.depth) * np.float32(1 - how.tone)
        patch *= _brought(region, 1 + shading)[:, :, None]
    if how.tone > 0:
        patch += _brought(region, np.float32(255 * how.tone) * change)
    if trace is not None:
        trace.update(moved=moved, warped=warped, warp_residual=change)
    return fill_mouth(patch, picture, region, moved, after + light, x, y, blur, trace)


def paste(region: Region, after: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the decode itself in the region, as Face Flex pastes it: (h, w, 3), 0 to 255."""
    return region.bring(np.ascontiguousarray(after * 255, dtype=np.float32))
