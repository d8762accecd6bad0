"""The light on the mouth of a photo: how bright teeth are there, how black its shadows.

Teeth that a photo does not have must look as its camera would have seen them. What tells is the
skin of the cheeks and, as teeth hardly differ between people, the white of the eyes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import invert
from faceflex.faces.landmark_groups import CHEEKS, LEFT_EYE, RIGHT_EYE
from faceflex.faces.region import LUMA, Region
from faceflex.faces.sharpness import eye_blur

# Log brightness of teeth from 1, log brightness of the skin, of the eyes' brightest fifth and of
# what is brightest in the face; and exponents of the ratio of red, or blue, to brightness, of the
# skin and of the eyes: least squares (`python -m faceflex.train.teeth_color`).
_BRIGHT = (0.035, 0.051, 0.204, 0.454)
_RED, _BLUE = (0.235, 0.354), (0.181, 0.319)
_BRIGHTEST, _LEAST_WARM = 0.95, 0.96
_SHADED = 0.72  # Whites of eyes that are darker, to the skin, lie in the shade of stern brows.
LIGHT = 97.0
"""Percentile of the brightness of a face that its light is told by."""
_CHEEK = 3.0  # Half the side of the square of a cheek that is looked at, in pixels of the crop.
_DARKEST, _HAZE = 0.5, 0.7  # Percentile of the region's brightness, and how much of it is haze.
_GRAY = 0.04  # Mean chroma, as a share of the brightness: photos below are more or less gray.
_SHARPEST = 0.6  # Pixels of the photo: no lens is sharper.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MouthLight:
    """How a photo shows what is between lips.

    Attributes
    ----------
    teeth
        (3,) color of teeth, in [0, 1].
    black
        Brightness of what is black in haze or scattered light, in [0, 1].
    blur
        Sigma of the blur of the face's edges, in pixels of the photo.
    saturation
        1; less in photos that are more or less gray.
    """

    teeth: Floats
    black: float
    blur: float
    saturation: float = 1.0

    @classmethod
    def measure(
        cls, photo: NDArray[np.uint8], region: Region, landmarks: Floats, blur: float
    ) -> MouthLight:
        """Measure it.

        Parameters
        ----------
        photo
            (h, w, 3) uint8: the region.
        region
            Where it is in the photo.
        landmarks
            (68, 2) in pixels of the crop.
        blur
            Sigma of the blur of the region's edges, in pixels of the photo: the least.
        """
        skin, eyes = cheek_color(photo, region, landmarks), eye_color(photo, region, landmarks)
        stride = max(1, int(0.5 / region.scale))
        inside = photo[::stride, ::stride][region.mask[::stride, ::stride] > 0.5]
        black = _HAZE * np.percentile(photo[::stride, ::stride] @ LUMA, _DARKEST) / 255
        light = float(np.percentile(inside @ LUMA, LIGHT)) / 255 if len(inside) else 1.0
        blur = max(blur, _SHARPEST, eye_blur(photo, region, landmarks))
        return cls(teeth_color(skin, eyes, light), float(black), blur, saturation(inside))

    def apply(self, colors: Floats) -> Floats:
        """Return colors (h, w, 3) relative to teeth as the photo shows them, in 0 to 255."""
        bright = max(float(self.teeth @ LUMA), 0.02)
        black = min(self.black, 0.8 * bright)
        luma = (colors @ LUMA)[:, :, None]
        colors = luma + np.float32(self.saturation) * (colors - luma)
        lit = np.float32(255 * black) + colors * self.teeth * np.float32(255 * (1 - black / bright))
        return cv2.GaussianBlur(np.float32(lit), (0, 0), self.blur)


def saturation(colors: NDArray[np.integer] | NDArray[np.floating]) -> float:
    """Return how colored a photo's pixels (n, 3) are: 1 is usual, 0 is gray.

    Examples
    --------
    >>> saturation(np.full((4, 3), 80)), saturation(np.array([[200, 140, 120]]))
    (0.0, 1.0)
    """
    if not len(colors):
        return 1.0
    luma = colors @ LUMA
    chroma = float(np.abs(colors - luma[:, None]).mean()) / max(float(luma.mean()), 1e-3)
    return min(1.0, round(chroma / _GRAY, 6))


def teeth_color(skin: Floats, eyes: Floats, light: float) -> Floats:
    """Return the color (3,) that teeth have in the light of a photo, in [0, 1].

    Parameters
    ----------
    skin
        (3,) color of the cheeks, in [0, 1].
    eyes
        (3,) color of the brightest fifth of the eyes.
    light
        Brightness, in [0, 1], that 97 % of the face's pixels stay below: from the skin alone one
        cannot tell dark skin from little light.

    Examples
    --------
    >>> gray = np.float32([0.5, 0.5, 0.5])
    >>> bright, dark = teeth_color(gray, gray, 0.6), teeth_color(gray / 2, gray / 2, 0.3)
    >>> bool(bright[0] > dark[0] > gray[0] / 2), float(np.ptp(bright).round(3))
    (True, 0.0)
    """
    luma, white = (max(float(c @ LUMA), 0.02) for c in (skin, eyes))
    seen = np.log([luma, max(white, _SHADED * luma), max(light, 0.02)])
    bright = np.exp(_BRIGHT[0] + np.dot(_BRIGHT[1:], seen))
    ratio = np.ones(3)
    for channel, (of_skin, of_eyes) in ((0, _RED), (2, _BLUE)):
        ratio[channel] = (skin[channel] / luma) ** of_skin * (eyes[channel] / white) ** of_eyes
    if skin[0] > luma > skin[2]:  # In warm light no tooth is blue, whatever glasses reflect.
        ratio = np.array([max(ratio[0], 1.0), 1.0, min(ratio[2], _LEAST_WARM)])
    ratio = ratio.clip(0.6, 1.5)
    return np.float32(np.minimum(ratio / (ratio @ LUMA) * bright, _BRIGHTEST))


def cheek_color(photo: NDArray[np.uint8], region: Region, landmarks: Floats) -> Floats:
    """Return the median color (3,) of the cheeks, in [0, 1]."""
    samples = np.concatenate(_squares(photo, region, landmarks, CHEEKS))
    return np.asarray(np.median(samples, axis=0), np.float32).clip(0.02, 1)


def side_colors(
    photo: NDArray[np.uint8],
    region: Region,
    landmarks: Floats,
    pairs: Sequence[tuple[int, int]] = CHEEKS,
) -> tuple[Floats, ...]:
    """Return the median colors (3,), in [0, 1], midway between pairs of landmarks."""
    squares = _squares(photo, region, landmarks, pairs)
    return tuple(np.float32(np.median(s, axis=0)) for s in squares)


def _squares(
    photo: NDArray[np.uint8],
    region: Region,
    landmarks: Floats,
    pairs: Sequence[tuple[int, int]],
) -> list[Floats]:
    """Return the colors (n, 3) of squares midway between pairs of landmarks."""
    steps = np.arange(-_CHEEK, _CHEEK + 0.1, 1.0)
    middles = (landmarks[list(pair)].mean(axis=0) for pair in pairs)
    return [_sample(photo, region, x + steps, y + steps).reshape(-1, 3) for x, y in middles]


def eye_color(photo: NDArray[np.uint8], region: Region, landmarks: Floats) -> Floats:
    """Return the mean color (3,) of the brightest fifth of the eyes, in [0, 1]."""
    samples = []
    for eye in (RIGHT_EYE, LEFT_EYE):
        points = landmarks[eye]
        low, high = points.min(axis=0), points.max(axis=0)
        x, y = (np.arange(a, b + 0.5, 0.5) for a, b in zip(low, high, strict=True))
        inside = np.zeros((len(y), len(x)), np.uint8)
        cv2.fillConvexPoly(inside, np.int32(np.round(2 * (points - low))), 1)
        samples.append(_sample(photo, region, x, y)[inside > 0])
    colors = np.concatenate(samples)
    luma = colors @ LUMA
    return np.asarray(colors[luma >= np.percentile(luma, 80)].mean(axis=0), np.float32).clip(
        0.02, 1
    )


def _sample(
    photo: NDArray[np.uint8], region: Region, x: NDArray[np.floating], y: NDArray[np.floating]
) -> Floats:
    """Return the colors (len(y), len(x), 3) at places of the crop, in [0, 1]."""
    across, down = (
        np.float32(row[0] * x + row[1] * y[:, None] + row[2]) for row in invert(region.matrix)
    )
    seen = cv2.remap(photo, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32) / np.float32(255)
