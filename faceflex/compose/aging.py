"""A layer of years: the person's own detail deepens or smoothens, colors and folds go with them.

Everything is a factor of the photo's own light, so that it follows the photo's exposure and shadows
(after the illumination-aware progression of Kemelmacher-Shlizerman et al. 2014); what is amplified
is what this face has (after the texture of Tiddeman et al. 2001), not another face's. Hair is told
from skin by the photo: brows get lighter where there is hair, and no place gets brighter than the
skin around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.hair_color import skin_light, to_crop
from faceflex.compose.layers import LayerScene
from faceflex.compose.mouth_light import saturation
from faceflex.compose.wrinkles import FRAME, wrinkle_textures
from faceflex.compose.years_bands import SIGMAS, log_luma
from faceflex.faces.align import SIZE
from faceflex.faces.landmark_groups import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from faceflex.faces.mask import fill_hull
from faceflex.faces.region import LUMA, Region
from faceflex.faces.smoothstep import smoothstep

_STEEPEST = (0.10, 0.12, 0.16, 0.16)  # Log luma beyond which an edge is no fold, by band.
_MOST = 1.1  # Bounds of a gain's log: the most, ...
_LEAST = (-0.4, -0.8, -1.2, -1.2)  # ... and the least, by band: pores and stubble stay.
_WORK = 2.0  # Pixels of the working picture per pixel of the crop.
_NOISE = 1.5  # Detail of so many standard deviations of the grain is half noise.
_BROWS = 0.75  # Share of a brow's lightening that is made: it turns gray, too.
_SHARP = 0.5  # Pixels of the photo: less blur is none.
_BRIGHTER = 0.04  # Log luma by which a place may get brighter than the skin around it.
_DARKER = (0.12, 0.5)  # Log luma below the skin's from which a pixel may be, and is, hair.
_GRAY = 0.62  # Brightness of gray hair, to that of the skin.
_IN_FOLDS = np.array(
    [0.85, 1.0, 1.1], np.float32
)  # Folds are a little redder than the skin beside them, ...
_IN_SPOTS = np.array([0.6, 1.0, 1.25], np.float32)  # ... spots are brown.
_TINT = np.array([0.05, 0.0, -0.07], np.float32)  # Gray hair is warm beside skin.
_UNDER_BEARD = 0.8  # A beard hides wrinkles.
_FADES = 0.6  # How much of its color the grayest hair loses.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Wrinkles:
    """Wrinkles and spots that come with years.

    Attributes
    ----------
    depth
        (128, 128, 3) standard deviation, in log luma, of fine lines, broad lines and spots.
    place
        (128, 128, 2) where each pixel of the crop is in the frame of the mean face.
    flow
        (n, n, 2) which way they run; see :func:`faceflex.compose.years_bands.detail_flow`.
    seed
        Which wrinkles.
    """

    depth: Floats
    place: Floats
    flow: Floats
    seed: int = 0

    def log_factor(self, region: Region) -> Floats:
        """Return the log factor (h, w, 3) of a region's colors."""
        lines, spots = wrinkle_textures(self.flow, self.seed)
        scale = FRAME / SIZE
        place = region.from_crop(self.place)
        x, y = (np.float32((place[..., k] + 0.5) * scale - 0.5) for k in (0, 1))
        textures = np.dstack([lines, spots])
        if region.scale * scale > 1.5:  # Finer than the photo's pixels.
            textures = cv2.GaussianBlur(textures, (0, 0), 0.4 * region.scale * scale)
        seen = cv2.remap(textures, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        seen *= region.from_crop(self.depth)
        folds = seen[..., 0] + seen[..., 1]
        return np.asarray(
            folds[:, :, None] * _IN_FOLDS + np.minimum(seen[..., 2:], 0.02) * _IN_SPOTS, np.float32
        )


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
    gray
        Share of the hair of brows and beard that turns gray, 0 to 1.
    wrinkles
        Wrinkles that the face gets; None: none.
    """

    energy: Floats
    color: Floats
    fold: Floats
    gray: float = 0.0
    wrinkles: Wrinkles | None = None

    def paint(self, scene: LayerScene) -> None:
        """Put it on the scene's patch, in place."""
        keep = _still(scene.landmarks)
        gains = np.exp(np.clip(self.energy, np.array(_LEAST, np.float32), _MOST)) - 1
        gains *= keep[:, :, None]
        region, patch = scene.region, scene.patch
        luma = log_luma(patch)
        light = region.from_crop(_skin(scene))
        below = log_luma(light) - luma  # How much darker than the skin around.
        beard = _beard(scene, below)
        brows = region.from_crop(_brow_zone(scene.landmarks)[:, :, None]).reshape(luma.shape)
        low, high = _DARKER
        hair = smoothstep((below - low) / (high - low))
        factor = region.from_crop(self.color + self.fold[:, :, None] * keep[:, :, None])
        # In the brows only what is hair changes.
        factor *= (1 - brows * (1 - hair))[:, :, None]
        factor -= np.float32(1 - _BROWS) * brows[:, :, None] * np.maximum(factor, 0)
        room = np.maximum(below + np.float32(_BRIGHTER), 0)
        brighter = factor @ LUMA
        factor -= np.maximum(brighter - room, 0)[:, :, None]
        detail = _detail_change(luma, gains, region)
        detail *= 1 - np.float32(_UNDER_BEARD) * beard
        factor += detail[:, :, None]
        if self.wrinkles is not None:
            skin = region.from_crop(keep[:, :, None]).reshape(luma.shape)
            skin = skin * (1 - brows) * (1 - hair) * (1 - np.float32(_UNDER_BEARD) * beard)
            lines = self.wrinkles.log_factor(region) * skin[:, :, None]
            blur = scene.edge_blur
            factor += cv2.GaussianBlur(lines, (0, 0), blur) if blur > _SHARP else lines
        color = saturation(scene.photo[region.mask > 0.5])
        if color < 1:  # What is gray stays gray.
            plain = (factor @ LUMA)[:, :, None]
            factor = plain + np.float32(color) * (factor - plain)
        patch *= np.exp(factor)
        if self.gray > 0:
            self._turn_gray(patch, light, np.maximum(brows, beard) * hair, color)

    def _turn_gray(self, patch: Floats, light: Floats, hair: Floats, color: float) -> None:
        share = (np.float32(self.gray) * hair)[:, :, None]
        luma = (patch @ LUMA)[:, :, None]
        target = np.float32(_GRAY) * (light @ LUMA)[:, :, None]
        # The dark between hairs stays: hair gets lighter by a factor, where it is darker than gray.
        lift = np.exp(
            share * 0.8 * np.log(np.maximum(target, 1) / np.maximum(luma, 4)).clip(0, 1.6)
        )
        tint = np.float32(color) * _TINT
        gray = luma * (1 + tint)
        patch += share * np.float32(_FADES) * (gray - patch)
        patch *= lift


def _still(landmarks: NDArray[np.floating]) -> Floats:
    """Return (128, 128): 0 in eyes and mouth, whose edges are no folds, 1 elsewhere."""
    mask = np.zeros((SIZE, SIZE), bool)
    for group in (RIGHT_EYE, LEFT_EYE, INNER_LIPS):
        mask |= fill_hull(landmarks[group], SIZE, grow=1)
    return 1 - cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2)


def _brow_zone(landmarks: NDArray[np.floating]) -> Floats:
    """Return (128, 128): 1 where brows may be, 0 elsewhere."""
    mask = np.zeros((SIZE, SIZE), bool)
    for brow in (slice(17, 22), slice(22, 27)):
        points = np.asarray(landmarks[brow], np.float32)
        mask |= fill_hull(np.concatenate([points + [0, 4], points - [0, 6]]), SIZE, grow=2)
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)


def _skin(scene: LayerScene) -> Floats:
    """Return (128, 128, 3): the smooth color of the skin, looking past brows, eyes and lips."""
    points = scene.landmarks
    other = _brow_zone(points) > 0.5
    for group in (RIGHT_EYE, LEFT_EYE):
        other |= fill_hull(points[group], SIZE, grow=2)
    other |= fill_hull(points[OUTER_LIPS], SIZE, grow=1)
    return skin_light(to_crop(scene.patch, scene.region), other)


def _beard(scene: LayerScene, below: Floats) -> Floats:
    """Return (h, w): 1 where a beard may be, if there is one; 0 elsewhere."""
    points = np.asarray(scene.landmarks, np.float32)
    jaw = np.concatenate([points[3:14], points[[31, 35]]])
    zone = fill_hull(jaw, SIZE).astype(np.float32)
    zone[fill_hull(points[OUTER_LIPS], SIZE, grow=1)] = 0
    zone[fill_hull(points[27:36], SIZE, grow=2)] = 0
    zone = cv2.GaussianBlur(zone, (0, 0), 1.5)
    placed = scene.region.from_crop(zone[:, :, None]).reshape(below.shape)
    dark = float((placed * (below > _DARKER[1] * 0.6)).sum() / max(float(placed.sum()), 1.0))
    return placed * np.float32(np.clip((dark - 0.04) / 0.1, 0, 1))


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
    for band, (a, b) in enumerate(pairwise(steps), start=1):
        placed = region.from_crop(gains[..., band : band + 1]).reshape(luma.shape)
        gain = cv2.resize(placed, size, interpolation=cv2.INTER_AREA)
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
