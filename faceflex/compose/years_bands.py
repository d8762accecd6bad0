"""Detail of skin by bands of frequency: what deepens and smoothens with the years.

Bands are differences of Gaussians of log luma, as in the wavelet texture of Tiddeman, Burt and
Perrett 2001: a gain of a band makes folds deeper in the light and in the dark alike.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.region import LUMA

SIDE = 256
"""Side of the pictures of the mean face that bands are measured in: half a pixel of the crop."""

SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Sigmas between which the bands lie, in pixels of the 128-pixel crop."""

BANDS = len(SIGMAS) - 1

COLORS, ENERGIES, FOLDS = 64, 32, 128
"""Sides of the mean face's pictures: of colors, of detail's energy (and flow), and of folds."""

_FLOOR = 12.0  # Of 255: so that the noise of black is no detail.
_LOCAL = 3.0  # Pixels of the crop over which energy is measured.
_LEAST = 1e-4

Floats = NDArray[np.float32]


def log_luma(picture: Floats) -> Floats:
    """Return the log luma (h, w) of a picture (h, w, 3) in 0 to 255."""
    return np.asarray(np.log(np.maximum(picture @ LUMA, 0) + _FLOOR), np.float32)


def detail_bands(luma: Floats, scale: float = 128 / SIDE) -> Floats:
    """Return the bands (h, w, 4), finest first, of a log luma (h, w).

    Parameters
    ----------
    luma
        From :func:`log_luma`.
    scale
        Pixels of the crop per pixel.
    """
    smooth = [cv2.GaussianBlur(luma, (0, 0), s / scale) for s in SIGMAS]
    return np.stack([a - b for a, b in pairwise(smooth)], axis=2)


def band_energy(bands: Floats, side: int) -> Floats:
    """Return the log of the local standard deviation of bands, (side, side, 4)."""
    scale = 128 / bands.shape[0]
    square = cv2.GaussianBlur(np.square(bands), (0, 0), _LOCAL / scale)
    small = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(0.5 * np.log(np.maximum(small, 0) + _LEAST), np.float32)


def detail_flow(luma: Floats, side: int, scale: float = 128 / SIDE) -> Floats:
    """Return which way fine detail runs, (side, side, 2).

    That is the structure tensor of a log luma (h, w), averaged nearby: cosine and sine of twice the
    angle of the slope, each times how much slopes agree, 0 to 1.
    """
    fine = cv2.GaussianBlur(luma, (0, 0), 0.6 / scale) - cv2.GaussianBlur(luma, (0, 0), 2.5 / scale)
    dx, dy = (cv2.Sobel(fine, cv2.CV_32F, 1 - k, k, scale=1 / 8) for k in (0, 1))
    tensor = np.stack([dx * dx - dy * dy, 2 * dx * dy, dx * dx + dy * dy], axis=2)
    tensor = cv2.GaussianBlur(tensor, (0, 0), _LOCAL / scale)
    small = cv2.resize(tensor, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small[..., :2] / (small[..., 2:] + 1e-5), np.float32)
