"""From a window of a face to the input of a content renderer's network."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content_window import to_window
from faceflex.compose.mouth_maps import MouthMaps, fill_hole, grid_coordinates, spread_grid
from faceflex.faces.landmark_groups import CHEEKS
from faceflex.faces.lips import Lips

NOISE = 0.25
"""Standard deviation of the noise in the hole."""

_ASIDE = 7  # Plane of the distance to the middle of the face.
_CHEEK = 5  # Half the side of the square of a cheek that is looked at, pixels of the window.
_GRID_BLUR = 0.6
_MOST_GAP = 12.0

Floats = NDArray[np.float32]


def condition_vector(smile: float, age: float, gap: float) -> Floats:
    """Return the condition (3,) of the network.

    Parameters
    ----------
    smile
        Smile degree, standardised: 0 for the mean of all faces.
    age
        In years.
    gap
        Distance between the lips in the middle of the mouth, in pixels of the crop.
    """
    opening = min(gap, _MOST_GAP) / 4 - 0.5
    return np.array([np.clip(smile, -2, 2), age / 40 - 1, opening], np.float32)


def skin_color(picture: Floats, landmarks: NDArray[np.floating]) -> Floats:
    """Return the color (3,) of the cheeks.

    Parameters
    ----------
    picture
        (128, 160, 3) the window, in [0, 1].
    landmarks
        (68, 2) in pixels of the crop.
    """
    samples, side = [], 2 * _CHEEK + 1
    for pair in CHEEKS:
        place = to_window(*landmarks[list(pair)].mean(axis=0))
        left, top = (
            int(np.clip(v - _CHEEK, 0, n - side))
            for v, n in zip(place, picture.shape[1::-1], strict=True)
        )
        samples.append(picture[top : top + side, left : left + side].reshape(-1, 3))
    return np.median(np.concatenate(samples), axis=0).astype(np.float32).clip(0.02, 1)


def sample_grid(picture: Floats, lips: Lips) -> Floats:
    """Sample what shows between lips: a window (128, 160, 3) -> (8, 24, 3)."""
    soft = cv2.GaussianBlur(picture, (0, 0), _GRID_BLUR)
    x, y = to_window(*grid_coordinates(lips))
    return cv2.remap(soft, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def network_base(
    picture: Floats, maps: MouthMaps, grid: Floats | None, lips: Lips, x: Floats, y: Floats
) -> Floats:
    """Fill the hole: with what is around it, and between the lips with a grid of colors.

    Parameters
    ----------
    picture
        (h, w, 3) float32 in [0, 1].
    maps
        The mouth's maps.
    grid
        (8, 24, 3) what may show between the lips, in [0, 1]; None for nothing.
    lips
        Contours of the inner lips, in pixels of the crop.
    x, y
        (h, w) coordinates, in pixels of the crop.

    Returns
    -------
    (h, w, 3).
    """
    if not maps.hole.any():
        return picture
    content = fill_hole(picture, maps.hole)
    if grid is not None and lips.open:
        hint = spread_grid(grid, lips, x, y)
        content += maps.interior[:, :, None] * (hint - content)
    return picture + maps.hole[:, :, None] * (content - picture)


def network_planes(base: Floats, maps: MouthMaps, noise: Floats) -> Floats:
    """Stack the input planes of the network, (9, h, w).

    Parameters
    ----------
    base
        (h, w, 3) from :func:`network_base`.
    maps
        The mouth's maps.
    noise
        (h, w) standard normal; it counts in the hole alone, and there little.
    """
    grain = (np.float32(NOISE) * noise * maps.hole)[None]
    return np.concatenate([base.transpose(2, 0, 1), maps.stacked(), grain]).astype(np.float32)


def mirror_planes(planes: Floats) -> Floats:
    """Mirror the network's input (9, H, W) left to right, distances to the middle included."""
    mirrored = planes[:, :, ::-1].copy()
    mirrored[_ASIDE] *= -1
    return mirrored
