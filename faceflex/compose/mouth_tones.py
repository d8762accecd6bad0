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

FLOOR = 0.02
"""Brightness, in [0, 1], that is added before logarithms of colors are taken."""

BRIGHTEST = 85
"""Percentile of brightness from which what shows is teeth."""

_SIDES = (CHEEKS, ((4, 48), (12, 54)))  # Pairs of landmarks midway between which one looks.
_FARTHEST = 2.5  # Standard deviations: farther off, features are taken to be there.
_MIDDLE = slice(6, 18)  # Columns of the grid.
_UNSURE = (1.0, 0.8)  # Columns and rows of the grid by which predictions are smooth.
_GAIN = 1.5  # Bound of the log by which a mouth's brightness differs from its exemplar's.
_COLORED = 0.35  # How much of an exemplar's colors is left where its light is changed.
_DARKER = 0.4  # Log of how much darker than what is around it a place may be.
_BRIGHT_FACE, _DARK_FACES = (
    0.92,
    0.7,
)  # Light as bright as teeth; how much brighter they are in less.
_ONE_COLOR = (0.1, 0.12)  # What brightness leaves untold of colors, in toned photos, and in others.
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
            float(np.percentile(photo @ LUMA, 0.5)) / 255,
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
    luma = colors @ LUMA / 255
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
    return np.float32(even), np.float32([4 * half, *tones.sides, slope / 4])


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


def in_tones(
    colors: Floats,
    own: Floats,
    tones: tuple[Floats, Floats, float],
    lips: Lips,
    x: Floats,
    y: Floats,
    most: float = 1.0,
) -> Floats:
    """Return what lies between lips as light as tones say.

    Parameters
    ----------
    colors
        (h, w, 3) what lies there, relative to teeth.
    own
        (16, 48, 3) the same at :func:`mouth_places`.
    tones
        From :meth:`MouthTones.predict`.
    lips
        Contours of the inner lips, in pixels of the crop.
    x, y
        (h, w) the places, in pixels of the crop.
    most
        Log of how much brighter a place is made at most than others are.

    Returns
    -------
    (h, w, 3) colors, relative to the brightness of the skin.
    """
    upper, lower = edges(lips, x)
    across = np.clip((x - lips.x[0]) / max(float(lips.x[-1] - lips.x[0]), 1.0), 0, 1)
    down = np.clip((y - upper) / np.maximum(lower - upper, 0.3), 0, 1)
    bright, hue, teeth = tones
    # Contours of photos were off by some share of the gap, so what is predicted is smooth.
    soft = cv2.GaussianBlur(log_cells(own @ LUMA), (0, 0), sigmaX=_UNSURE[0], sigmaY=_UNSURE[1])
    gain = np.clip(bright - soft, -_GAIN, most)
    lit = cv2.resize(gain, own.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    seen = float(np.percentile(np.exp(lit) * (own @ LUMA), BRIGHTEST))
    gain += np.float32(np.clip(teeth - np.log(max(seen, FLOOR)), -_GAIN, _GAIN))
    laid = _lay(gain, across, down)
    red, blue = np.exp(hue)
    tint = np.float32([red, (1 - LUMA[0] * red - LUMA[2] * blue) / LUMA[1], blue])
    luma = (colors @ LUMA)[:, :, None]
    colors = luma + np.float32(_COLORED) * (colors - luma)
    # Made lighter, what is dark between teeth would be black spots: less dark, it is a gap.
    apart = np.log(np.maximum(luma[..., 0], FLOOR)) - _lay(soft, across, down)
    laid += np.maximum(_DARKER * np.tanh(apart / _DARKER) - apart, 0)
    return np.float32(colors * np.exp(laid)[:, :, None] * tint)


def brightest(light: float) -> float:
    """Return how bright teeth are at most, in [0, 1], where 97 % of a face are darker than light.

    So it is in nine of ten smiles in the wild.

    Examples
    --------
    >>> round(brightest(0.9), 2), round(brightest(0.5) / 0.5, 2)
    (0.91, 1.29)
    """
    return min(light * (1 + _DARK_FACES * (_BRIGHT_FACE - light)), 0.95)


def _lay(grid: Floats, across: Floats, down: Floats) -> Floats:
    """Return a grid (8, 24) at places (h, w) that lie 0 to 1 across and down."""
    x, y = np.float32(across * GRID_COLUMNS - 0.5), np.float32(down * GRID_ROWS - 0.5)
    return cv2.remap(grid, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
