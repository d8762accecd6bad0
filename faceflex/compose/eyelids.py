"""Eyelids that come down: an upper lid covers the eye, which stays where it is behind it.

A smooth warp would squeeze the eye. So the skin between lid and brow is stretched down over it, as
far as the lid's edge goes, and the eye below that edge is left alone.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.region import LUMA, Region

_EYES = (
    ((36, 37, 38, 39), (36, 41, 40, 39), (18, 19, 20)),
    ((42, 43, 44, 45), (42, 47, 46, 45), (23, 24, 25)),
)
"""Landmarks of the edges of upper and lower lid, and of the brow above."""
_EDGE = 0.7  # Pixels of the crop above the landmarks at which the lid's skin surely begins.
_SKIN = 0.5  # Share of the way from lid to brow whose skin is stretched.
_CHEEK, _LIT = 2.5, 0.5  # Pixels below the eye whose light a shut lid has, and how far.
_LASHES = 0.9  # Pixels of the crop at the lid's edge that move without being stretched.
_MEETS = 0.3  # Pixels of the crop below the lower lid's landmarks at which both meet.
_SOFT = 0.5  # Pixels of the crop over which the lid's edge passes into the eye.
_UNFOLDS = 0.5  # How far an eye is shut when the crease above it is gone.
_CREASE, _FADES = 1.6, 0.85  # Pixels of the crop over which it is blurred then, and how far.

Floats = NDArray[np.float32]
Points = NDArray[np.float64]


def lower_lids(
    patch: Floats,
    region: Region,
    x: Floats,
    y: Floats,
    landmarks: NDArray[np.floating],
    shut: float,
) -> None:
    """Bring the upper lids down over the eyes, in place.

    Parameters
    ----------
    patch
        (h, w, 3) float32: the region.
    region
        Where it is.
    x, y
        (h, w) its pixels in pixels of the crop.
    landmarks
        (68, 2) where they are in the patch, in pixels of the crop.
    shut
        0 for the eyes as they are, to 1 for shut ones.
    """
    if shut <= 0:
        return
    points = np.asarray(landmarks, np.float64)
    for upper, lower, brow in _EYES:
        _lower_lid(patch, region, x, y, tuple(points[list(g)] for g in (upper, lower, brow)), shut)


def _lower_lid(
    patch: Floats, region: Region, x: Floats, y: Floats, eye: tuple[Points, ...], shut: float
) -> None:
    """Bring one lid down, in place; ``eye`` holds the landmarks of both lids and of the brow."""
    upper, lower, brow = eye
    left, right = float(upper[0, 0]), float(upper[-1, 0])
    distance = float(np.clip(upper[1:3, 1].mean() - brow[:, 1].mean(), 4.0, 16.0))
    near = (x > left) & (x < right) & (y > upper[:, 1].min() - distance)
    near &= y < lower[:, 1].max() + 4.0
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if not len(rows) or right - left < 2:
        return
    at = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    x, y, part = x[at], y[at], patch[at]
    inside = np.clip(x, left, right)
    from scipy.interpolate import PchipInterpolator  # Slow to import, and only blinks need it.

    high, low = (PchipInterpolator(_rising(g[:, 0]), g[:, 1])(inside) for g in (upper, lower))
    # Towards the corners the lid has ever less way to go.
    aside = np.clip(np.minimum(inside - left, right - inside) / (0.12 * (right - left)), 0, 1)
    edge = high - _EDGE * aside
    way = np.maximum(low + _MEETS * aside - edge, 0) * shut * aside
    moved, top = edge + way, edge - _SKIN * distance
    # The skin above the lashes is stretched; its crease unfolds.
    share = np.clip((y - top) / np.maximum(moved - _LASHES - top, 1e-3), 0, 1)
    source = top + share * (edge - _LASHES - top)
    skin = np.float32((y < edge - 1.4) & (y > top - 1.0))
    soft = _blurred(part, skin, _CREASE / region.scale)
    folded, smooth = (_sample(picture, region, source - y) for picture in (part, soft))
    unfolded = min(1.0, shut / _UNFOLDS)
    fading = unfolded * _FADES * np.clip(share * 2.5, 0, 1)
    below = _sample(part, region, np.float64(low + _CHEEK - y)) @ LUMA
    light = np.median(below) / max(float(np.median(smooth @ LUMA)), 1.0)
    smooth = smooth * np.float32(np.clip(1 + _LIT * (light - 1), 0.9, 1.4))
    lid = folded + np.float32(fading)[:, :, None] * (smooth - folded)
    lashes = np.clip((y - (moved - _LASHES)) / 0.4 + 0.5, 0, 1)
    lid += np.float32(lashes)[:, :, None] * (_sample(part, region, -way) - lid)
    weight = np.clip((moved - y) / _SOFT + 0.5, 0, 1) * np.clip(way / 0.5, 0, 1)
    weight *= np.clip((y - top) / 1.5, 0, 1) * np.clip(aside * 1.4, 0, 1)
    part += np.float32(weight)[:, :, None] * (lid - part)


def _blurred(part: Floats, weight: Floats, sigma: float) -> Floats:
    """Blur a picture (h, w, 3), counting each pixel by ``weight`` (h, w)."""
    total = cv2.GaussianBlur(part * weight[:, :, None], (0, 0), sigma)
    share = cv2.GaussianBlur(weight, (0, 0), sigma)
    return np.asarray(total / np.maximum(share, 1e-3)[:, :, None], np.float32)


def _sample(part: Floats, region: Region, down: Points) -> Floats:
    """Sample a part of the region ``down`` (h, w) pixels of the crop below each of its pixels."""
    back = np.linalg.inv(region.matrix[:, :2])[:, 1]
    rows, columns = np.indices(down.shape)
    return cv2.remap(
        np.ascontiguousarray(part),
        np.float32(columns + down * back[0]),
        np.float32(rows + down * back[1]),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _rising(values: Points) -> Points:
    """Return values made strictly rising, as an interpolation needs them."""
    return np.maximum.accumulate(values + 1e-3 * np.arange(len(values)))
