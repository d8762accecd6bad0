"""How blurred a photo is, so that what is added to it is no sharper than what is there."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

MOST = 6.0
"""Pixels; more blur than this is not told apart."""

_STEPS = 25


def _bands(gray: NDArray[np.float32]) -> tuple[float, float]:
    """Return the energies of detail finer than 1 pixel, and between 1 and 3 pixels."""
    first, second = (cv2.GaussianBlur(gray, (0, 0), s) for s in (1.0, 3.0))
    return float(np.square(gray - first).mean()), float(np.square(first - second).mean())


@cache
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return blurs, and for each the ratio of the two energies at a blurred edge."""
    edge = np.zeros((1, 257), np.float32)
    edge[:, 128:] = 100
    blurs = np.linspace(0, MOST, _STEPS)
    ratios = []
    for blur in blurs:
        fine, coarse = _bands(cv2.GaussianBlur(edge, (0, 0), blur) if blur > 0 else edge)
        ratios.append(fine / coarse)
    return blurs, np.array(ratios)


def estimate_blur(picture: NDArray[np.uint8]) -> float:
    """Estimate the blur of a picture's edges.

    Parameters
    ----------
    picture
        (h, w, 3) uint8, a face.

    Returns
    -------
    Standard deviation in pixels of the Gaussian that blurred them, 0 to 6: the one that gives an
    ideal edge the same share of fine detail. Noise looks like detail, and lowers it.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = _bands(gray)
    blurs, ratios = _table()
    return float(np.interp(-fine / max(coarse, 1e-9), -ratios, blurs))
