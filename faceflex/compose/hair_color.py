"""The color of a person's hair, seen in the brows, relative to the skin that it grows on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.mouth_light import saturation
from faceflex.faces.align import SIZE
from faceflex.faces.mask import fill_hull
from faceflex.faces.region import LUMA, Region

_BROW_COVER = 0.75  # Share of a brow's darkest pixels that is hair; the rest is skin.
_DARKEST, _LIGHTEST = 0.10, 0.6  # Of the skin's brightness: bounds of hair.
_DARK_SHARE = 30  # Percentile of a brow's brightness.
_HAZE = 0.7
_WARM = np.array([1.04, 1.0, 0.94], np.float32)  # Hair on the lip is redder than that of the brows.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class HairColor:
    """How a photo shows somebody's hair.

    Attributes
    ----------
    ratio
        (3,) hair's color to that of the skin beneath it.
    black
        Brightness of what is black in the photo, 0 to 255.
    saturation
        1; less in photos that are more or less gray.
    """

    ratio: Floats
    black: float
    saturation: float = 1.0

    @classmethod
    def measure(
        cls, photo: NDArray[np.uint8], region: Region, landmarks: NDArray[np.floating]
    ) -> HairColor:
        """Measure it.

        Parameters
        ----------
        photo
            (h, w, 3) uint8: the region.
        region
            Where it is in the photo.
        landmarks
            (68, 2) in pixels of the crop.
        """
        crop = to_crop(photo, region)
        luma = crop @ LUMA
        found = []
        for brow in (slice(17, 22), slice(22, 27)):
            points = np.asarray(landmarks[brow], np.float32)
            lifted = points - np.array([0, 3.5], np.float32)  # Above frames of glasses.
            hair = fill_hull(np.concatenate([points, lifted]), SIZE)
            around = fill_hull(np.concatenate([points + [0, 5], lifted - [0, 5]]), SIZE)
            if hair.sum() < 8:
                continue
            dark = hair & (luma <= np.percentile(luma[hair], _DARK_SHARE))
            light = around & (luma >= np.percentile(luma[around], 60))
            light &= luma <= np.percentile(luma[around], 95)
            if light.any():
                found.append(np.median(crop[dark], axis=0) / np.maximum(crop[light].mean(0), 4))
        black = _HAZE * float(np.percentile(photo @ LUMA, 0.5))
        color = saturation(photo[region.mask > 0.5])
        if not found:
            return cls(np.full(3, 0.3, np.float32), black, color)
        mixed = np.mean(found, axis=0)
        bright = float(mixed @ LUMA)
        hair = np.clip((bright - (1 - _BROW_COVER)) / _BROW_COVER, _DARKEST, _LIGHTEST)
        ratio = _WARM * mixed * (hair / max(bright, 0.05))
        return cls(np.float32(np.clip(ratio, 0.05, 0.95)), black, color)


def to_crop(photo: NDArray[np.uint8] | Floats, region: Region) -> Floats:
    """Return a region of a photo in the frame of the crop, (128, 128, 3) in 0 to 255."""
    matrix = region.matrix
    picture = np.asarray(photo, np.float32)
    if region.scale < 0.7:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / region.scale)
    flags = cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(picture, matrix, (SIZE, SIZE), flags=flags, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )


def skin_light(crop: Floats, without: NDArray[np.bool_], width: float = 7.0) -> Floats:
    """Return the smooth color (128, 128, 3) of skin, looking past places ``without`` skin."""
    weight = 1 - without.astype(np.float32)
    total = cv2.GaussianBlur(crop * weight[:, :, None], (0, 0), width)
    share = cv2.GaussianBlur(weight, (0, 0), width)[:, :, None]
    return np.asarray(total / np.maximum(share, 0.02), np.float32)
