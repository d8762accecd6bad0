"""Estimated blur of a photo, so that synthesized detail is no sharper than the rest."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import invert
from faceflex.faces.landmark_groups import LEFT_EYE, RIGHT_EYE
from faceflex.faces.region import LUMA, Region

MAX_BLUR = 6.0
"""Largest sigma in pixels that is estimated."""

_STEPS = 25
_EYES_OWN = 0.42  # Pixels of the crop: an eye's edges are this soft in the sharpest photo.
_OF_WIDTH = 0.6  # Sigma of the blur to the width of an eye's steepest edge, ...
_OF_MORE = 0.3  # ... and more beyond two pixels, where the finest edges are noise.


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


def eye_blur(photo: NDArray[np.uint8], region: Region, landmarks: NDArray[np.floating]) -> float:
    """Estimate the blur of a face's edges from the steepest edge of its sharper eye.

    Unlike :func:`estimate_blur` it is not misled by the noise and the blocks of a photo that was
    enlarged or compressed.

    Parameters
    ----------
    photo
        (h, w, 3) uint8: the region.
    region
        Where it is in the photo.
    landmarks
        (68, 2) in pixels of the crop.

    Returns
    -------
    Sigma in pixels of the photo; 0 where no eye can be seen.
    """
    back, widths = invert(region.matrix), []
    for eye in (RIGHT_EYE, LEFT_EYE):
        points = landmarks[eye] @ back[:, :2].T + back[:, 2]
        middle, reach = points.mean(axis=0), float(np.ptp(points[:, 0])) * np.array([0.9, 0.65])
        low, high = (
            np.clip(np.round(v), 0, photo.shape[1::-1]).astype(int)
            for v in (middle - reach, middle + reach)
        )
        if (high - low).min() < 6:
            continue
        luma = cv2.GaussianBlur(photo[low[1] : high[1], low[0] : high[0]] @ LUMA, (0, 0), 0.5)
        slope = np.hypot(*(cv2.Sobel(luma, cv2.CV_32F, 1 - k, k, scale=1 / 8) for k in (0, 1)))
        contrast = float(np.ptp(np.percentile(luma, [2, 98])))
        widths.append(contrast / max(float(np.percentile(slope, 99)), 1e-3) / np.sqrt(2 * np.pi))
    if not widths:
        return 0.0
    blur = np.sqrt(max(min(widths) ** 2 - (_EYES_OWN / region.scale) ** 2, 0.0))
    return float(min(_OF_WIDTH * blur + _OF_MORE * max(blur - 2, 0), MAX_BLUR))
