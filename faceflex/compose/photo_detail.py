"""Rendered content at a photo's own resolution: edges that stay sharp, and the photo's grain."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content_window import SCALE, to_window
from faceflex.faces.align import invert
from faceflex.faces.landmark_groups import CHEEKS
from faceflex.faces.region import LUMA, Region

_STRENGTH = 0.25  # How far a step of the shock filter goes.
_SLOPE = 0.02 * 255
_ENLARGED = 0.7  # Pixels of the window to one of the photo below which edges are sharpened.
_TILE = 256  # Side of the noise, in pixels.
_MAD = 1.4826  # Standard deviations to a median absolute deviation of normal noise.

Floats = NDArray[np.float32]


def shock_filter(picture: Floats, steps: int, width: float) -> Floats:
    """Sharpen edges without overshoot (shock filter, Osher and Rudin 1990).

    Parameters
    ----------
    picture
        (h, w, 3) float32 in 0 to 255.
    steps
        How often.
    width
        Pixels over which edges are looked for.

    Returns
    -------
    (h, w, 3): pixels move towards the darker or the brighter side of the edge that they lie on.
    """
    kernel = np.ones((3, 3), np.uint8)
    for _ in range(steps):
        luma = cv2.GaussianBlur(picture @ LUMA, (0, 0), width)
        bend = cv2.Laplacian(luma, cv2.CV_32F)
        sign = np.tanh(bend / np.float32(_SLOPE / width))[:, :, None]
        darker, brighter = cv2.erode(picture, kernel), cv2.dilate(picture, kernel)
        goal = np.where(sign > 0, darker, brighter)
        picture = picture + np.float32(_STRENGTH) * np.abs(sign) * (goal - picture)
    return np.asarray(picture, np.float32)


def upsample_sharp(window: Floats, x: Floats, y: Floats, crop_pixels: float) -> Floats:
    """Resample a window at a photo's pixels; where that enlarges it, keep edges sharp.

    Parameters
    ----------
    window
        (128, 160, 3) float32 in 0 to 255.
    x, y
        (h, w) coordinates of the photo's pixels, in pixels of the crop.
    crop_pixels
        Pixels of the crop to one of the photo.

    Returns
    -------
    (h, w, 3).
    """
    scale = crop_pixels * SCALE
    if scale > 1.2:
        window = cv2.GaussianBlur(window, (0, 0), 0.4 * scale)
    picture = cv2.remap(window, *to_window(x, y), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if scale > _ENLARGED:
        return picture
    return shock_filter(picture, max(1, round(1.5 / scale)), 0.5 / scale)


@cache
def _noise_tile() -> Floats:
    """Return standard normal noise (256, 256, 3), mostly gray."""
    rng = np.random.default_rng(0)
    gray = rng.standard_normal((_TILE, _TILE, 1), np.float32)
    return np.asarray(0.9 * gray + 0.4 * rng.standard_normal((_TILE, _TILE, 3), np.float32))


def grain_like(
    patch: Floats,
    region: Region,
    landmarks: NDArray[np.floating],
    blur: float,
    rows: slice,
    columns: slice,
) -> Floats:
    """Make grain like that of the photo's cheeks.

    Parameters
    ----------
    patch
        (h, w, 3) float32 in 0 to 255.
    region
        Where it is in the photo.
    landmarks
        (68, 2) in pixels of the crop.
    blur
        Standard deviation of the photo's blur, in its pixels.
    rows, columns
        Where in the region the grain goes; a place always has the same.

    Returns
    -------
    (h', w', 3) to add.
    """
    back = invert(region.matrix)
    side = int(np.clip(5 / region.scale, 4, 60))
    samples = []
    for pair in CHEEKS:
        place = back[:, :2] @ landmarks[list(pair)].mean(axis=0) + back[:, 2]
        x, y = (
            int(np.clip(v, side, max(n - side, side)))
            for v, n in zip(place, region.size, strict=True)
        )
        part = patch[y - side : y + side, x - side : x + side]
        if part.size:
            samples.append((part - cv2.GaussianBlur(part, (0, 0), 1.2)).reshape(-1, 3))
    if not samples:
        return np.zeros((rows.stop - rows.start, columns.stop - columns.start, 3), np.float32)
    spread = _MAD * np.median(np.abs(np.concatenate(samples)))
    noise = _noise_tile()[np.ix_(*(np.arange(s.start, s.stop) % _TILE for s in (rows, columns)))]
    if blur > 0.3:
        noise = cv2.GaussianBlur(noise, (0, 0), min(blur, 1.5))
    return np.asarray(noise * (spread / max(float(noise.std()), 1e-6)), np.float32)
