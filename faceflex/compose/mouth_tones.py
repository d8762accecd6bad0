"""How light what is between smiling lips looks in a photo: a linear-Gaussian model.

In small or blurred photos single teeth hardly show; what shows is a band of light, darker to the
corners and towards the lower lip, and lit from the side from which the face is. The model predicts
it, on a grid from lip to lip and from corner to corner, from what a photo shows that has no smile
yet: the light on cheeks and eyes, the blur, the head's turn, and where the lips are to be. It is a
ridge regression on these and their products, fitted to smiles in the wild; the residual's principal
components are what mouths differ by (compare the appearance part of Cootes et al., "Active
appearance models", IEEE PAMI 2001). ``python -m faceflex.train.mouth_tones`` fits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.compose.lips_motion import edges
from faceflex.compose.mouth_light import LIGHT, cheek_color, eye_color, saturation, side_colors
from faceflex.compose.mouth_maps import GRID_COLUMNS, GRID_ROWS
from faceflex.errors import AssetError
from faceflex.faces.landmark_groups import CHEEKS
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA, Region
from faceflex.tensors import read_arrays, wrap_read_errors, write_arrays

KIND = "faceflex-mouth-tones-1"
EVEN, ODD = 17, 4
"""Features that a mirror image leaves as they are, and those that it gives the other sign."""
HUES = (4, 6)
"""Rows and columns of the coarser grid of hues."""
CELLS = GRID_ROWS * GRID_COLUMNS
OUTPUTS = CELLS + 2 * HUES[0] * HUES[1]
"""Log brightness of a grid, and log ratios of red and of blue to brightness of a coarser one."""
PARTS = 12
"""Principal components of the residual."""
FACTORS = 1 + EVEN + ODD + EVEN * (EVEN + 1) // 2 + EVEN * ODD + ODD * (ODD + 1) // 2
"""What is regressed on: 1, features, and products of two."""

FLOOR = 0.02
"""Brightness, in [0, 1], that is added before logarithms of colors are taken."""

_SIDES = (CHEEKS, ((4, 48), (12, 54)))  # Pairs of landmarks midway between which one looks.
_FARTHEST = 2.5  # Standard deviations: farther off, features are taken to be there.
_LABEL = "model of mouths' tones"

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
    blur
        Sigma of the blur of edges, in pixels of the crop.
    sides
        (2,) log ratios of brightness, left to right as seen: beside the nose, beside the mouth.
    """

    skin: Floats
    eyes: Floats
    light: float
    black: float
    saturation: float
    blur: float
    sides: tuple[float, float]

    @classmethod
    def measure(
        cls, photo: NDArray[np.uint8], region: Region, landmarks: Floats, blur: float
    ) -> FaceTones:
        """Measure it; arguments as :meth:`MouthLight.measure`'s, ``blur`` in pixels of the photo."""
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
            float(np.percentile(photo @ LUMA, 0.5)) / 255,
            saturation(inside),
            blur * region.scale,
            (sides[0], sides[1]),
        )


def tone_features(tones: FaceTones, lips: Lips, middle: float, age: float) -> tuple[Floats, Floats]:
    """Return what a mouth's tones are predicted from.

    Parameters
    ----------
    tones
        The light on the face.
    lips
        Contours of the inner lips, in pixels of the crop.
    middle
        x of the middle of the face there: of a turned face one half is narrower.
    age
        In years.

    Returns
    -------
    (17,) that a mirror image leaves as they are, (4,) that it gives the other sign.
    """
    luma, white = float(tones.skin @ LUMA), float(tones.eyes @ LUMA)
    width, gap = max(float(lips.x[-1] - lips.x[0]), 1.0), max(lips.gap, 0.5)
    half = float(np.clip((middle - lips.x[0]) / width, 0.2, 0.8)) - 0.5
    bend = float(lips.upper[[0, -1]].mean() - lips.upper[len(lips.x) // 2])
    slope = float(lips.upper[-1] - lips.upper[0])
    levels = np.log(
        [luma, white / luma, max(tones.light, FLOOR) / luma, (tones.black + 0.03) / luma]
    )
    hues = np.log([c[k] / b for c, b in ((tones.skin, luma), (tones.eyes, white)) for k in (0, 2)])
    shape = [gap / 6, width / 40, 5 * gap / width, bend / 4, 4 * abs(half)]
    years = [min(age, 8.0) / 8, max(age - 50.0, 0.0) / 40]
    even = [*levels, *hues, tones.saturation, np.log(max(tones.blur, 0.05)), *shape, *years]
    return np.float32(even), np.float32([4 * half, *tones.sides, slope / 4])


@dataclass(frozen=True)
class MouthTones:
    """The model.

    Attributes
    ----------
    center, scale
        (21,) mean and standard deviation of the features; odd ones have mean 0.
    regression
        (253, 240) from factors to outputs.
    parts
        (12, 240) principal components of the residual, times their standard deviation.
    """

    center: Floats
    scale: Floats
    regression: Floats
    parts: Floats

    def factors(self, even: Floats, odd: Floats) -> Floats:
        """Return what is regressed on, (..., 253), from features (..., 17) and (..., 4)."""
        both = (np.concatenate([even, odd], axis=-1) - self.center) / self.scale
        both = np.clip(both, -_FARTHEST, _FARTHEST)
        first, second = np.triu_indices(both.shape[-1])
        products = both[..., first] * both[..., second]
        return np.concatenate([np.ones_like(both[..., :1]), both, products], axis=-1)

    def predict(
        self, features: tuple[Floats, Floats], noise: Floats, variety: float = 1.0
    ) -> tuple[Floats, Floats]:
        """Predict what shows between lips.

        Parameters
        ----------
        features
            From :func:`tone_features`.
        noise
            (12,) standard normal: whose mouth.
        variety
            Scale of the noise; 0 gives the likeliest.

        Returns
        -------
        (8, 24) log brightness, relative to the skin's; (4, 6, 2) log ratios of red and of blue to
        brightness.
        """
        seen = self.factors(*features) @ self.regression + np.float32(variety) * noise @ self.parts
        return unpack(seen)

    def save(self, path: Path) -> None:
        """Write to a file, in half precision."""
        arrays = {k: np.asarray(v, np.float16) for k, v in vars(self).items()}
        write_arrays(path, arrays, {"kind": KIND})

    @classmethod
    def load(cls, path: Path) -> MouthTones:
        """Read a file.

        Raises
        ------
        AssetError
            If the file is missing or damaged.
        """
        arrays, _ = read_arrays(path, KIND, _LABEL)
        with wrap_read_errors(path, _LABEL):
            read = {k: arrays[k].astype(np.float32) for k in _SHAPES}
            if any(read[k].shape != shape for k, shape in _SHAPES.items()):
                raise AssetError(f"{path}: damaged {_LABEL} (its parts do not fit together)")
        return cls(**read)


_SHAPES = {
    "center": (EVEN + ODD,),
    "scale": (EVEN + ODD,),
    "regression": (FACTORS, OUTPUTS),
    "parts": (PARTS, OUTPUTS),
}


@cache
def mouth_tones() -> MouthTones:
    """Return the bundled model."""
    return MouthTones.load(resolve("mouth-tones"))


def unpack(outputs: Floats) -> tuple[Floats, Floats]:
    """Split outputs (240,) into brightness (8, 24) and hues (4, 6, 2)."""
    bright, hues = outputs[:CELLS], outputs[CELLS:]
    return np.float32(bright.reshape(GRID_ROWS, GRID_COLUMNS)), np.float32(hues.reshape(*HUES, 2))


def pack(grid: Floats, skin: float) -> Floats:
    """Return outputs (240,) of what a photo shows between lips.

    Parameters
    ----------
    grid
        (16, 48, 3) colors from lip to lip and from corner to corner, in [0, 1].
    skin
        Brightness of the cheeks.
    """
    fine, coarse = (
        cv2.resize(grid, size[::-1], interpolation=cv2.INTER_AREA)
        for size in ((GRID_ROWS, GRID_COLUMNS), HUES)
    )
    bright = np.log(np.maximum(fine @ LUMA, 0.4 * FLOOR) / skin)
    luma = np.maximum(coarse @ LUMA, FLOOR) + FLOOR
    hues = np.log((coarse[..., [0, 2]] + FLOOR) / luma[..., None])
    return np.float32(np.concatenate([bright.ravel(), hues.ravel()]))


def lay_tones(
    bright: Floats, hues: Floats, skin: float, lips: Lips, x: Floats, y: Floats
) -> Floats:
    """Lay predicted tones between lips.

    Parameters
    ----------
    bright, hues
        From :meth:`MouthTones.predict`.
    skin
        Brightness of the cheeks, in [0, 1].
    lips
        Contours of the inner lips, in pixels of the crop.
    x, y
        (h, w) places, in pixels of the crop.

    Returns
    -------
    (h, w, 3) colors, in [0, 1]; outside of the lips, what is nearest.
    """
    upper, lower = edges(lips, x)
    across = np.clip((x - lips.x[0]) / max(float(lips.x[-1] - lips.x[0]), 1.0), 0, 1)
    down = np.clip((y - upper) / np.maximum(lower - upper, 0.3), 0, 1)
    laid = []
    for grid in (bright, hues):
        rows, columns = grid.shape[:2]
        at = np.float32(across * columns - 0.5), np.float32(down * rows - 0.5)
        laid.append(cv2.remap(grid, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
    luma = np.float32(skin) * np.exp(laid[0])
    red, blue = (np.maximum((luma + FLOOR) * np.exp(laid[1][..., k]) - FLOOR, 0) for k in (0, 1))
    green = (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return np.float32(np.stack([red, np.maximum(green, 0), blue], axis=-1))
