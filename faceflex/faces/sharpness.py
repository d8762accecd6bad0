"""Estimated blur of a photo, so that synthesized detail is no sharper than the rest."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_BLUR = 6.0
"""Largest sigma in pixels that is estimated."""

_STEPS = 25


def _band_energies(gray: NDArray[np.float32]) -> tuple[float, float]:
    """Return the energies of two bands: below sigma 1, and between sigmas 1 and 3."""
    first, second = (cv2.GaussianBlur(gray, (0, 0), s) for s in (1.0, 3.0))
    return float(np.square(gray - first).mean()), float(np.square(first - second).mean())


@cache
def _calibration() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sigmas, and for each the ratio of the band energies of a step edge so blurred."""
    edge = np.zeros((1, 257), np.float32)
    edge[:, 128:] = 100
    sigmas = np.linspace(0, MAX_BLUR, _STEPS)
    ratios = []
    for sigma in sigmas:
        blurred = cv2.GaussianBlur(edge, (0, 0), sigma) if sigma > 0 else edge
        fine, coarse = _band_energies(blurred)
        ratios.append(fine / coarse)
    return sigmas, np.array(ratios)


def estimate_blur(picture: NDArray[np.uint8]) -> float:
    """Estimate the Gaussian blur of a picture's edges.

    Parameters
    ----------
    picture
        (h, w, 3) uint8 RGB of a face.

    Returns
    -------
    Sigma in pixels, 0 to 6: the one that gives a step edge the same ratio of fine to coarse detail.
    Noise counts as fine detail, and lowers it.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = _band_energies(gray)
    sigmas, ratios = _calibration()
    return float(np.interp(-fine / max(coarse, 1e-9), -ratios, sigmas))
