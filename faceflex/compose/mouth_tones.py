"""How light what is between smiling lips looks in a photo: a linear-Gaussian model.

In small or blurred photos single teeth hardly show; what shows is a band of light, darker to the
corners and towards the lower lip, and lit from the side from which the face is. The model predicts
it, on a grid from lip to lip and from corner to corner, from what a photo shows that has no smile
yet: the light on cheeks and eyes, the head's turn, and where the lips are to be. It is a ridge
regression on these and their products, fitted to smiles in the wild; the principal components of
what is left are what mouths differ by (compare the appearance part of Cootes et al., "Active
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
from faceflex.compose.face_tones import FLOOR, FaceTones
from faceflex.compose.lips_motion import edges
from faceflex.compose.mouth_maps import GRID_COLUMNS, GRID_ROWS
from faceflex.errors import AssetError
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA
from faceflex.tensors import read_arrays, wrap_read_errors, write_arrays

KIND = "faceflex-mouth-tones-1"
EVEN, ODD = 16, 4
"""Features that a mirror image leaves as they are, and those that it gives the other sign."""
CELLS = GRID_ROWS * GRID_COLUMNS
OUTPUTS = CELLS + 3
"""Log brightness of a grid; of teeth log ratios of red and of blue to brightness, and log
brightness."""
PARTS = 6
"""Principal components of what columns are brighter or darker by than predicted."""
FACTORS = 1 + EVEN + ODD + EVEN * (EVEN + 1) // 2 + EVEN * ODD + ODD * (ODD + 1) // 2
"""What is regressed on: 1, features, and products of two."""

BRIGHTEST = 85
"""Percentile of brightness from which what shows is teeth."""

_FARTHEST = 2.5  # Standard deviations: farther off, features are taken to be there.
_MIDDLE = slice(6, 18)  # Columns of the grid.
_LABEL = "model of mouths' tones"

Floats = NDArray[np.float32]


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
    (16,) that a mirror image leaves as they are, (4,) that it gives the other sign.
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
    even = [*levels, *hues, tones.saturation, *shape, *years]
    odd = [4 * half, *tones.sides, slope / 4]
    return np.array(even, np.float32), np.array(odd, np.float32)


@dataclass(frozen=True)
class MouthTones:
    """The model.

    Attributes
    ----------
    center, scale
        (20,) mean and standard deviation of the features; odd ones have mean 0.
    regression
        (231, 195) from factors to outputs.
    parts
        (6, 24) principal components of the residual of columns, times their standard deviation.
    """

    center: Floats
    scale: Floats
    regression: Floats
    parts: Floats

    def factors(self, even: Floats, odd: Floats) -> Floats:
        """Return what is regressed on, (..., 231), from features (..., 16) and (..., 4)."""
        both = (np.concatenate([even, odd], axis=-1) - self.center) / self.scale
        both = np.clip(both, -_FARTHEST, _FARTHEST)
        first, second = np.triu_indices(both.shape[-1])
        products = both[..., first] * both[..., second]
        return np.concatenate([np.ones_like(both[..., :1]), both, products], axis=-1)

    def predict(
        self, features: tuple[Floats, Floats], noise: Floats, variety: float = 1.0
    ) -> tuple[Floats, Floats, float]:
        """Predict what shows between lips.

        Parameters
        ----------
        features
            From :func:`tone_features`.
        noise
            (6,) standard normal: whose mouth.
        variety
            Scale of the noise; 0 gives the likeliest.

        Returns
        -------
        (8, 24) log brightness, relative to the skin's; (2,) log ratios of red and
        of blue to brightness, of teeth; their log brightness, relative to the skin's.
        """
        bright, hues, teeth = unpack(self.factors(*features) @ self.regression)
        more = np.float32(variety) * noise @ self.parts
        return bright + more, hues, teeth + float(more[_MIDDLE].mean())

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
    "parts": (PARTS, GRID_COLUMNS),
}


@cache
def mouth_tones() -> MouthTones:
    """Return the bundled model."""
    return MouthTones.load(resolve("mouth-tones"))


def unpack(outputs: Floats) -> tuple[Floats, Floats, float]:
    """Split outputs (195,) into brightness (8, 24), hue (2,) and brightness of teeth."""
    bright, hues = outputs[:CELLS], outputs[CELLS:-1]
    grid = np.float32(bright.reshape(GRID_ROWS, GRID_COLUMNS))
    return grid, np.float32(hues), float(outputs[-1])


def pack(grid: Floats, skin: float) -> Floats:
    """Return outputs (195,) of what a photo shows between lips.

    Parameters
    ----------
    grid
        (16, 48, 3) colors from lip to lip and from corner to corner, in [0, 1].
    skin
        Brightness of the cheeks.
    """
    luma = grid @ LUMA
    least = float(np.percentile(luma, BRIGHTEST))
    teeth = grid[luma >= least].mean(axis=0) + FLOOR
    hue, bright = np.log(teeth[[0, 2]] / (teeth @ LUMA)), np.log(max(least, FLOOR) / skin)
    return np.float32(np.concatenate([log_cells(luma / skin).ravel(), hue, [bright]]))


def log_cells(luma: Floats) -> Floats:
    """Return the log (8, 24) of brightness (16, 48) between lips, relative to the skin's."""
    cells = cv2.resize(luma, (GRID_COLUMNS, GRID_ROWS), interpolation=cv2.INTER_AREA)
    return np.float32(np.log(np.maximum(cells, FLOOR)))


def mouth_places(lips: Lips) -> tuple[Floats, Floats]:
    """Return x and y, (16, 48) each, of places between lips, in pixels of the crop."""
    across = (np.arange(2 * GRID_COLUMNS, dtype=np.float32) + 0.5) / (2 * GRID_COLUMNS)
    down = (np.arange(2 * GRID_ROWS, dtype=np.float32)[:, None] + 0.5) / (2 * GRID_ROWS)
    x = np.float32(lips.x[0] + across * (lips.x[-1] - lips.x[0]))
    upper, lower = edges(lips, x)
    y = np.float32(upper + down * (lower - upper))
    return np.broadcast_to(x, y.shape), y
