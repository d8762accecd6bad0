"""A layer of years: the person's own detail deepens or smoothens, colors and folds go with them.

Everything is a factor of the photo's own light, so that it follows the photo's exposure and shadows
(after the illumination-aware progression of Kemelmacher-Shlizerman et al. 2014); what is amplified
is what this face has (after the texture of Tiddeman et al. 2001), not another face's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.layers import LayerScene
from faceflex.compose.years_bands import SIGMAS, log_luma
from faceflex.faces.align import SIZE
from faceflex.faces.landmark_groups import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from faceflex.faces.mask import fill_hull
from faceflex.faces.region import Region

_STEEPEST = (0.10, 0.12, 0.16, 0.16)  # Log luma beyond which an edge is no fold, by band.
_MOST, _LEAST = 1.1, -1.2  # Bounds of a gain's log.
_WORK = 2.0  # Pixels of the working picture per pixel of the crop.
_NOISE = 1.5  # Detail of so many standard deviations of the grain is half noise.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Aging:
    """A layer: what some years change, in the frame of the face's crop.

    Attributes
    ----------
    energy
        (128, 128, bands) log gain of the photo's own detail, finest band first.
    color
        (128, 128, 3) log factor of its colors.
    fold
        (128, 128) log factor of its luma: folds that come or go.
    """

    energy: Floats
    color: Floats
    fold: Floats

    def paint(self, scene: LayerScene) -> None:
        """Put it on the scene's patch, in place."""
        keep = _still(scene.landmarks)
        gains = np.exp(np.clip(self.energy, _LEAST, _MOST)) - 1
        gains *= keep[:, :, None]
        region, patch = scene.region, scene.patch
        luma = log_luma(patch)
        change = _detail_change(luma, gains, region)
        smooth = self.color + self.fold[:, :, None] * keep[:, :, None]
        factor = region.from_crop(smooth)
        factor += change[:, :, None]
        patch *= np.exp(factor)


def _still(landmarks: NDArray[np.floating]) -> Floats:
    """Return (128, 128): 0 in eyes and mouth, whose edges are no folds, 1 elsewhere."""
    mask = np.zeros((SIZE, SIZE), bool)
    for group in (RIGHT_EYE, LEFT_EYE, INNER_LIPS):
        mask |= fill_hull(landmarks[group], SIZE, grow=1)
    return 1 - cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2)


def _detail_change(luma: Floats, gains: Floats, region: Region) -> Floats:
    """Return what the gains (128, 128, bands) add to a log luma (h, w)."""
    scale = region.scale
    fine = luma - cv2.GaussianBlur(luma, (0, 0), SIGMAS[1] / scale)
    noise = 1.4826 * float(np.median(np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.0))))
    change = _limited(fine, _STEEPEST[0], noise) * region.from_crop(gains[..., :1]).reshape(
        luma.shape
    )
    # Coarser bands are smooth: they are made at a lower resolution.
    factor = min(1.0, _WORK * scale)
    height, width = luma.shape
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    steps = [cv2.GaussianBlur(small, (0, 0), s / scale * factor) for s in SIGMAS[1:]]
    coarse = np.zeros_like(small)
    for band, (a, b) in enumerate(zip(steps, steps[1:], strict=False), start=1):
        gain = cv2.resize(
            region.from_crop(gains[..., band : band + 1]).reshape(luma.shape), size,
            interpolation=cv2.INTER_AREA,
        )
        coarse += _limited(a - b, _STEEPEST[band], 0.0) * gain
    change += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(change, np.float32)


def _limited(band: Floats, steepest: float, noise: float) -> Floats:
    """Return a band without its steepest edges, and without its noise."""
    limited = band / (1 + np.square(band / steepest))
    if noise > 0:
        square = np.square(band)
        limited = limited * (square / (square + (_NOISE * noise) ** 2))
    return np.asarray(limited, np.float32)
