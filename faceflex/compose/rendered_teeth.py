"""Teeth of rendered mouths: their tone, and edges in large faces.

The network says where a mouth is light and dark, and of what color; a relief of teeth says what is
finer than its resolution holds. Where a face is small the network alone decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content_window import SCALE
from faceflex.compose.mouth_maps import MouthMaps
from faceflex.compose.teeth import relief_at
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA

_LARGE, _SMALL = 0.45, 0.85  # Pixels of the window to one of the photo: all, and no relief.
_LIGHT = 1.6  # Pixels of the crop: what is smoother is light.
_DARK, _TOOTH = 0.42, 0.68  # Of the skin's brightness: what is surely no tooth, and surely one.
_LEAST, _OF_SKIN, _MOST_GAIN = 0.30, 0.74, 1.6
_BRIGHTEST = 0.9  # Teeth are never paper white.
_TINT, _TINTED, _HINT_TINTED = 0.25, 0.6, 0.7
_SHOWN = 0.85  # How far the teeth of smiles are made as bright as teeth are.
_COLORED = 0.6  # How much of its hue what lies behind large lips keeps.
_STRETCH, _SHIFT = 0.1, 0.8  # How far reliefs differ between kinds of mouths.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TeethKind:
    """How one person's relief differs from another's.

    Attributes
    ----------
    mirrored
        1 or -1.
    stretch
        How wide its teeth are; 1 is usual.
    bends
        (3,) pixels of the crop by which a wave of 1, 2 and 3 periods moves them.
    """

    mirrored: float
    stretch: float
    bends: tuple[float, float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> TeethKind:
        """Draw a kind."""
        a, b, c = (float(v) for v in rng.normal(0, _SHIFT / np.array([1.5, 2.5, 4])))
        stretch = float(np.exp(rng.normal(0, _STRETCH)))
        return cls(float(rng.choice([-1.0, 1.0])), stretch, (a, b, c))

    def place(self, x: Floats, middle: float) -> Floats:
        """Return where in the usual relief a place lies."""
        off = (x - middle) * np.float32(self.mirrored / self.stretch)
        for number, bend in enumerate(self.bends, start=1):
            off = off + np.float32(bend) * np.sin(off * np.float32(number * np.pi / 24))
        return np.asarray(middle + off, np.float32)


def relief_share(crop_pixels: float) -> float:
    """Return how far teeth get a relief, 0 to 1, at ``crop_pixels`` of the crop to a photo's."""
    return float(np.clip((_SMALL - SCALE * crop_pixels) / (_SMALL - _LARGE), 0, 1))


def teeth_tone(
    colors: Floats, interior: Floats, skin: Floats, tinted: float
) -> tuple[Floats, Floats]:
    """Return colors as bright and as pale as teeth are, and where there are teeth.

    Parameters
    ----------
    colors
        (h, w, 3) in [0, 1]: what shows between lips.
    interior
        (h, w) where that is, 0 to 1.
    skin
        (3,) color of the cheeks, in [0, 1].
    tinted
        How far their hue becomes that of teeth, 0 to 1.

    Returns
    -------
    (h, w, 3), and (h, w) in [0, 1].
    """
    bright, skin_bright = colors @ LUMA, max(float(skin @ LUMA), 0.02)
    teeth = np.clip((bright / skin_bright - _DARK) / (_TOOTH - _DARK), 0, 1) * interior
    if float(teeth.max()) < 0.05:
        return colors, np.zeros_like(teeth)
    level = float(np.percentile(bright[teeth > 0.5 * teeth.max()], 80))
    gain = float(np.clip((_LEAST + _OF_SKIN * skin_bright) / level, 1, _MOST_GAIN))
    gain = min(gain, _BRIGHTEST / level)
    tint = (skin / skin_bright).clip(0.2, 3) ** np.float32(_TINT)
    pale = bright[:, :, None] * (tint / float(tint @ LUMA))
    toned = np.float32(gain) * (colors + np.float32(tinted) * (pale - colors))
    return np.asarray(toned, np.float32), np.asarray(teeth, np.float32)


def smile_teeth(grid: Floats, skin: Floats, smile: float, age: float) -> Floats:
    """Return a grid (8, 24, 3) of a mouth's interior whose teeth are those of a smile.

    Its code is predicted from a noisy smile degree, hence its teeth are too faint (regression
    dilution); the more a face smiles, the more that is made good, but not in babies.

    Parameters
    ----------
    grid
        In [0, 1].
    skin
        (3,) color of the cheeks, in [0, 1].
    smile, age
        Smile degree, standardised; age in years.
    """
    share = np.float32(_SHOWN * np.clip(0.4 + smile, 0, 1) * np.clip(age - 1, 0, 1))
    toned, teeth = teeth_tone(grid, np.ones(grid.shape[:2], np.float32), skin, _HINT_TINTED)
    weight = share * teeth[:, :, None]
    return np.asarray(np.clip(grid + weight * (toned - grid), 0, 1), np.float32)


def add_relief(
    content: Floats,
    maps: MouthMaps,
    lips: Lips,
    middle: float,
    x: Floats,
    y: Floats,
    skin: Floats,
    kind: TeethKind,
    crop_pixels: float,
) -> Floats:
    """Give what shows between lips the relief of teeth, where there are teeth.

    Parameters
    ----------
    content
        (h, w, 3) in 0 to 255, from the network.
    maps, lips
        The mouth there.
    middle
        x of the middle of the face, in pixels of the crop.
    x, y
        (h, w) coordinates, in pixels of the crop.
    skin
        (3,) color of the cheeks, in [0, 1].
    kind
        Whose teeth.
    crop_pixels
        Pixels of the crop to one of the photo.

    Returns
    -------
    (h, w, 3) in 0 to 255; ``content`` in small faces.
    """
    share = np.float32(relief_share(crop_pixels))
    if share <= 0:
        return content
    interior = maps.interior[:, :, None]
    both = np.concatenate([content * interior, interior], axis=2)
    small = cv2.resize(both, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(0.5, 0.5 * _LIGHT / crop_pixels))
    light = cv2.resize(soft, content.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    light = light[..., :3] / np.maximum(light[..., 3:], 1e-3)
    # Behind large lips what is finer than light comes from the relief alone.
    bright = (light @ LUMA)[:, :, None]
    calm = bright + np.float32(_COLORED) * (light - bright)
    content = content + share * interior * (calm - content)
    toned, teeth = teeth_tone(light / np.float32(255), maps.interior, skin, _TINTED)
    if not teeth.any():
        return np.asarray(content, np.float32)
    relief = relief_at(lips, middle, kind.place(x, middle), y, crop_pixels)
    weight = share * teeth[:, :, None]
    return np.asarray(content + weight * (255 * toned * relief[:, :, None] - content), np.float32)
