"""How lips meet that were apart: the dark line between them, and the shade beside it.

Lips that close have never been seen together in the photo. What there is of them is kept: the
photo's own lips are moved until they meet (:mod:`.lip_borders`). Around the line itself, where
contours are off by a pixel and teeth would shine through, their color is that of the lips a little
away from it, times how much darker closed lips are there: the upper lip turns inwards and away from
the light, the lower one towards it. ``assets/seams.webp`` holds that ratio, unrolled from corner to
corner, of six people of the Face Research Lab London Set (CC BY 4.0; ``python -m
faceflex.train.seams``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content import Scene
from faceflex.compose.mouth_light import MouthLight
from faceflex.compose.photo_detail import grain_like
from faceflex.faces.align import invert
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA, Region
from faceflex.faces.smoothstep import smoothstep

ROWS, COLUMNS = 48, 160
"""Size of an unrolled seam."""

REACH = 3.0
"""Pixels of the crop above and below the line that it shows."""

ENDS = 1.0
"""Pixels of the crop beyond the corners that it shows."""

UNIT = 128.0
"""The value that stands for the lips' own brightness."""

_BESIDE = np.array((1.5, 1.9, 2.3, 2.7, 3.0), np.float32)  # Where lips have their own color.
_STEADY = 5.0  # Columns (of 96) over which that color varies.
_SAMPLES = 96
_CORE, _FADE = 0.8, 1.5  # Pixels around the line that are new, and over which they fade.
# Up to here teeth or shadows that contours left over are replaced: what differs by this log.
_LEFT_OVER, _WRONG = 2.2, 0.25
_FAR_FADE = 1.2  # The same at the corners.
_USUAL = (4.5, 7.0)  # Thickness of the lips that the exemplars show; thinner ones show less.
_THINNEST = 0.45
_BLUR = 0.3  # Of the exemplars, in pixels of the crop.
_END, _END_FADE = 0.5, 4.0  # The seam ends beyond the corners, and fades over this way to them.
_DARKEST, _SCATTERED = 0.5, 0.5  # Percentile of the face's luma; share of it that is no shade.
_LEAST_DEPTH = 0.25  # Of the darkness that is left in the flattest light.
_PARTED = (0.8, 1.8)  # Gaps between which the seam gives way to a mouth that is open.

Floats = NDArray[np.float32]


@cache
def seams() -> Floats:
    """Return the exemplars, (6, 48, 160, 3): how bright lips are, relative to those beside."""
    data = resources.files("faceflex.assets").joinpath("seams.webp").read_bytes()
    atlas = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    ratio = np.float32(cv2.cvtColor(atlas, cv2.COLOR_BGR2RGB)) / np.float32(UNIT)
    return ratio.reshape(-1, ROWS, COLUMNS, 3)


def side_colors(
    picture: Floats,
    region: Region,
    line: tuple[Floats, Floats],
    reach: float,
    side: int,
    steady: float = _STEADY,
) -> Floats:
    """Return the color (n, 3) of a lip beside the line x, y (n,) along which it meets the other.

    Parameters
    ----------
    picture
        (h, w, 3) the region.
    region
        Where it is.
    line
        x and y, in pixels of the crop.
    reach
        Scale of the distances at which it is looked at.
    side
        -1 the upper lip, 1 the lower one.
    steady
        Standard deviation over which it varies, in columns.
    """
    x, y = line
    across = np.broadcast_to(x, (len(_BESIDE), len(x)))
    down = y + side * reach * _BESIDE[:, None]
    mx, my = (np.float32(r[0] * across + r[1] * down + r[2]) for r in invert(region.matrix))
    seen = cv2.remap(picture, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mean = np.median(seen, axis=0)[None]
    return cv2.GaussianBlur(mean, (0, 0), steady, borderType=cv2.BORDER_REPLICATE)[0]


def seam_share(before: Lips, after: Lips) -> float:
    """Return how far lips that were apart now meet, 0 to 1."""
    if not before.open or after.gap >= before.gap:
        return 0.0
    low, high = _PARTED
    return float(np.clip((high - after.gap) / (high - low), 0, 1))


@dataclass(frozen=True)
class SeamLine:
    """Where lips meet, and places relative to it.

    Attributes
    ----------
    x, y
        (96,) the line, in pixels of the crop.
    thick
        Thickness of the upper and the lower lip, relative to those of the exemplars.
    across
        (h, w) pixels of the crop from the left corner of the mouth.
    apart
        (h, w) pixels of the exemplars' crop below the line.
    """

    x: Floats
    y: Floats
    thick: tuple[float, float]
    across: Floats
    apart: Floats

    @classmethod
    def of(cls, lips: Lips, landmarks: Floats, x: Floats, y: Floats) -> SeamLine:
        """Return the line of lips, continued to the corners' landmarks, for places x, y (h, w)."""
        left, right = landmarks[48], landmarks[54]
        line_x = np.linspace(left[0], right[0], _SAMPLES, dtype=np.float32)
        known = [left[0], *lips.x[1:-1], right[0]]
        heights = np.interp(line_x, known, [left[1], *lips.midline[1:-1], right[1]])
        border = cv2.BORDER_REPLICATE
        line_y = cv2.GaussianBlur(np.float32(heights)[None], (0, 0), 2.0, borderType=border)[0]
        upper, lower = (
            float(np.clip(abs(py - np.interp(px, line_x, line_y)) / usual, _THINNEST, 1))
            for (px, py), usual in zip(landmarks[[51, 57]], _USUAL, strict=True)
        )
        apart = y - np.interp(x, line_x, line_y)
        apart = np.float32(apart / np.where(apart < 0, upper, lower))
        return cls(line_x, line_y, (upper, lower), np.float32(x - left[0]), apart)

    @property
    def width(self) -> float:
        """From corner to corner, in pixels of the crop."""
        return max(float(self.x[-1] - self.x[0]), 1.0)

    def colors(self, picture: Floats, region: Region) -> Floats:
        """Return (h, w, 3): the colors of both lips, the one passing into the other."""
        column = np.clip(self.across / self.width, 0, 1) * np.float32(_SAMPLES - 1)
        row = np.zeros_like(column)
        above, below = (
            cv2.remap(
                side_colors(picture, region, (self.x, self.y), reach, side)[None],
                column,
                row,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for reach, side in zip(self.thick, (-1, 1), strict=True)
        )
        return above + share_below(self.apart) * (below - above)

    def ratio(self, kind: int) -> Floats:
        """Return (h, w, 3): how much darker or brighter lips are, as an exemplar has it."""
        exemplar = seams()[kind % len(seams())]
        if kind // len(seams()) % 2:
            exemplar = np.ascontiguousarray(exemplar[:, ::-1])
        ratio = cv2.remap(
            exemplar,
            (self.across + ENDS) / (self.width + 2 * ENDS) * COLUMNS - np.float32(0.5),
            (self.apart + REACH) / (2 * REACH) * ROWS - np.float32(0.5),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        inside = np.minimum(self.across, self.width - self.across)
        return 1 + (ratio - 1) * smoothstep((inside + _END) / _END_FADE)[:, :, None]

    def weights(self) -> tuple[Floats, Floats]:
        """Return (h, w): where the seam is new, and where it replaces what contours left over."""
        beyond = np.maximum(np.maximum(-self.across, self.across - self.width), 0) / _FAR_FADE
        off = np.abs(self.apart)
        away = np.hypot(np.maximum(off - _CORE, 0) / _FADE, beyond)
        return (
            smoothstep(1 - away),
            smoothstep(_LEFT_OVER + 0.5 - off) * smoothstep(1 - beyond),
        )


def lay_seam(
    scene: Scene, patch: Floats, at: tuple[slice, slice], light: MouthLight, kind: int
) -> tuple[Floats, Floats]:
    """Return lips that meet (h', w', 3), and where they are new (h', w'), 0 to 1.

    Parameters
    ----------
    scene
        The scene.
    patch
        (h, w, 3) float32 in 0 to 255: the whole region, its pixels moved.
    at
        The rows and columns that hold the mouth.
    light
        How the photo shows it.
    kind
        Whose seam; any number.
    """
    region, targets = scene.region, scene.warp.targets
    line = SeamLine.of(scene.warp.after, targets, scene.x[at], scene.y[at])
    colors, ratio = line.colors(patch, region), line.ratio(kind)
    if light.saturation == 0:
        ratio = ratio.mean(axis=2, keepdims=True)
    # Light from everywhere lifts what is dark: how far, tells the darkest of this face, its pupils
    # and nostrils. The photo's blur spreads it.
    luma = np.maximum(colors @ LUMA, 1)[:, :, None]
    least = np.minimum(_darkest(scene) / luma, 1 - _LEAST_DEPTH)
    dark = np.minimum(ratio, 1)
    made = np.float32(colors * (ratio - dark + least + (1 - least) * dark))
    blur = float(np.sqrt(max(light.blur**2 - (_BLUR / region.scale) ** 2, 0)))
    if blur > 0.3:
        made = cv2.GaussianBlur(made, (0, 0), blur)
    made += grain_like(scene.patch, region, targets, scene.blur, *at)
    new, near = line.weights()
    own = np.maximum(patch[at] @ LUMA, 1) / np.maximum(made @ LUMA, 1)
    wrong = smoothstep((np.abs(np.log(own)) - _WRONG) / _WRONG)
    return made, np.maximum(new, near * cv2.GaussianBlur(wrong, (0, 0), 0.4 / region.scale))


def share_below(apart: Floats) -> Floats:
    """Return (h, w, 1): which share of a color is the lower lip's, so far below the line."""
    return np.float32(np.clip((apart + _BESIDE[0]) / (2 * _BESIDE[0]), 0, 1))[..., None]


def _darkest(scene: Scene) -> float:
    """Return the luma, 0 to 255, of what is darkest in the face, less what no lens scatters."""
    stride = max(1, int(1 / scene.region.scale))
    face = scene.photo[::stride, ::stride][scene.region.mask[::stride, ::stride] > 0.5]
    return _SCATTERED * float(np.percentile(face @ LUMA, _DARKEST)) if len(face) else 0.0
