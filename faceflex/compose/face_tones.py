"""What a photo shows of the light on a face, from which that in its mouth is predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.mouth_light import LIGHT, cheek_color, eye_color, saturation, side_colors
from faceflex.faces.landmark_groups import CHEEKS
from faceflex.faces.region import LUMA, Region

FLOOR = 0.02
"""Brightness, in [0, 1], that is added before logarithms of colors are taken."""

_SIDES = (CHEEKS, ((4, 48), (12, 54)))  # Pairs of landmarks midway between which one looks.
_DARKEST = 0.5  # Percentile of the region's brightness.
_BRIGHT_FACE, _DARK_FACES = 0.92, 0.7  # Light as bright as teeth; how much brighter they may be.
_ONE_COLOR = (0.1, 0.12)  # What brightness leaves untold of colors, in toned photos, and in others.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FaceTones:
    """What a photo shows of a face's light.

    Attributes
    ----------
    skin, eyes
        (3,) color of the cheeks, and of the eyes' brightest fifth, in [0, 1].
    light, black
        Brightness of the brightest 3 % of the face, and of the region's darkest places.
    saturation
        1; less in photos that are more or less gray.
    toned
        1 in photos of one color, such as sepia ones; 0 is usual.
    curve
        (3, 2) how much more red and blue than bright, from 1, brightness and its square.
    sides
        (2,) log ratios of brightness, left to right as seen: beside the nose, beside the mouth.
    """

    skin: Floats
    eyes: Floats
    light: float
    black: float
    saturation: float
    toned: float
    curve: Floats
    sides: tuple[float, float]

    @classmethod
    def measure(cls, photo: NDArray[np.uint8], region: Region, landmarks: Floats) -> FaceTones:
        """Measure it; arguments as :meth:`MouthLight.measure`'s."""
        inside = photo[region.mask > 0.5]
        luma = inside @ LUMA if len(inside) else np.full(1, 255.0)
        sides = [
            float(np.log((b @ LUMA + FLOOR) / (a @ LUMA + FLOOR)))
            for a, b in (side_colors(photo, region, landmarks, pairs) for pairs in _SIDES)
        ]
        return cls(
            cheek_color(photo, region, landmarks),
            eye_color(photo, region, landmarks),
            float(np.percentile(luma, LIGHT)) / 255,
            float(np.percentile(photo @ LUMA, _DARKEST)) / 255,
            saturation(inside),
            *one_color(inside),
            (sides[0], sides[1]),
        )


def one_color(colors: NDArray[np.uint8]) -> tuple[float, Floats]:
    """Return how far a photo's pixels (n, 3) have one color, lighter and darker, and that color.

    Returns
    -------
    0 to 1; (3, 2) by which 1, brightness and its square give how much more red and blue than bright
    a pixel is, in [0, 1].

    Examples
    --------
    >>> gray = np.arange(40, 200, dtype=np.uint8)
    >>> one_color(np.stack([gray, gray - gray // 8, gray - gray // 3], axis=1))[0]
    1.0
    """
    if not len(colors):
        return 0.0, np.zeros((3, 2), np.float32)
    luma = np.float32(colors @ LUMA / 255)
    factors = _powers(luma)
    chroma = colors[:, [0, 2]] / np.float32(255) - luma[:, None]
    curve = np.linalg.lstsq(factors, chroma, rcond=None)[0]
    left = (chroma - factors @ curve).std(axis=0)
    share = np.linalg.norm(left) / max(float(np.abs(chroma).mean()), 1e-3)
    toned = float(np.clip((_ONE_COLOR[1] - share) / (_ONE_COLOR[1] - _ONE_COLOR[0]), 0, 1))
    return toned, np.float32(curve)


def _powers(luma: Floats) -> Floats:
    """Return 1, brightness (...,) and its square, (..., 3)."""
    return np.stack([np.ones_like(luma), luma, luma * luma], axis=-1)


def in_one_color(colors: Floats, tones: FaceTones) -> Floats:
    """Return colors (h, w, 3), in [0, 1], as a photo of one color shows them."""
    if not tones.toned:
        return colors
    luma = colors @ LUMA
    red, blue = np.moveaxis(_powers(luma) @ tones.curve + luma[..., None], -1, 0)
    green = (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    toned = np.stack([red, green, blue], axis=-1)
    return np.float32(colors + np.float32(tones.toned) * (toned - colors))


def brightest(light: float) -> float:
    """Return how bright teeth are at most, in [0, 1], where 97 % of a face are darker than light.

    In less light they may be brighter than the rest of a face; so it is in nine of ten smiles in
    the wild.

    Examples
    --------
    >>> round(brightest(0.9), 2), round(brightest(0.5) / 0.5, 2)
    (0.91, 1.29)
    """
    return min(light * (1 + _DARK_FACES * (_BRIGHT_FACE - light)), 0.95)
