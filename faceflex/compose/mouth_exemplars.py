"""Teeth of real smiles, laid between new lips.

``assets/smiles.webp`` holds what six people of the Face Research Lab London Set (CC BY 4.0) show
between their lips, unrolled: from corner to corner, and from the upper lip to the lower one; and
the median of 251 babies' mouths, which have no teeth. ``assets/smiles.toml`` says how far each
mouth was open and what color its teeth had. Both are made by :mod:`faceflex.train.smiles`.

Texture from photos, in the light of the photo that is edited: compare Yang et al., "Expression
flow for 3D-aware face component transfer", SIGGRAPH 2011.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.lips_motion import edges
from faceflex.faces.lips import Lips

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROWS, COLUMNS = 96, 320
"""Size of an unrolled mouth."""

_COVERED = 0.5  # Exponent: how far lips that open less than the exemplar's cover its teeth.
_LONGEST = 1.35  # Teeth are never stretched further; below them the mouth is dark.
_END, _END_WIDTH = 0.97, 0.06  # Where the exemplar ends, and over which share of its height.
_SHADE, _SHADOW = 1.6, 0.35  # The upper lip's shadow: pixels of the crop, and depth.
_CAVITY = np.array([0.20, 0.11, 0.11], np.float32)  # The color behind teeth, relative to theirs.
_MILK_HEIGHT, _MILK_SIDE, _MILK_WIDTH = 0.74, 0.16, 0.86  # Milk teeth to others: in the middle,
# how much less in the corners; and across. Crowns of 6 mm stand where 10 mm will, in mouths that
# are four fifths as wide (Ash and Nelson, Wheeler's Dental Anatomy).
_BEHIND_MILK = np.array([0.36, 0.19, 0.18], np.float32)  # The color below them: tongue and lip.
_MIDDLE = 0.94  # The share of the exemplar's width that shows: less of its dark corners.
_TURNED = (0.2, 0.8)  # The most uneven halves of a mouth.
_TURNED_MIDDLE = 0.35  # How much less shows in turned faces, whose corners hide less.
# Exemplars were lit from the front. Elsewhere corners are darker, by up to so much, from this share
# of the way to the corner on: so their brightness to the middle's is that of smiles in the wild.
_DEEP, _FRONT = 0.5, 0.4
# Six rows of good teeth are more even than others: in pictures that show little of single teeth,
# what differs from tooth to tooth is stronger, until it is as in smiles in the wild.
_UNEVEN = 0.6
_STRETCH, _SHIFT, _BRIGHTNESS = 0.06, 0.012, 0.05  # How far kinds differ from the exemplar.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Exemplar:
    """One unrolled mouth.

    Attributes
    ----------
    colors
        (96, 320, 3) float32, relative to the color of its teeth.
    gap
        Mean distance between its lips over the middle third, in pixels of the crop.
    infant
        Whether it is a mouth without teeth.
    """

    colors: Floats
    gap: float
    infant: bool = False


@cache
def exemplars() -> tuple[Exemplar, ...]:
    """Return the bundled exemplars."""
    folder = resources.files("faceflex.assets")
    table = tomllib.loads(folder.joinpath("smiles.toml").read_text("utf-8"))["smiles"]
    data = np.frombuffer(folder.joinpath("smiles.webp").read_bytes(), np.uint8)
    atlas = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    parts = np.float32(atlas).reshape(len(table), ROWS, COLUMNS, 3)
    return tuple(
        Exemplar(part / np.float32(row["teeth"]), row["gap"], row.get("infant", False))
        for part, row in zip(parts, table, strict=True)
    )


def _corners(exemplar: Exemplar) -> float:
    """Return how bright the outer sixths of a mouth are."""
    sixth = COLUMNS // 6
    return float(exemplar.colors[:, :sixth].mean() + exemplar.colors[:, -sixth:].mean())


@dataclass(frozen=True)
class MouthKind:
    """Whose teeth, and how they differ from the exemplar's.

    Attributes
    ----------
    exemplar
        Number of the exemplar.
    mirrored
        Whether left and right are exchanged.
    stretch
        How wide its teeth are; 1 is as the exemplar's.
    shift
        By which share of the mouth's width they lie to the right.
    brightness
        How bright they are; 1 is usual.
    milk
        Whether they are milk teeth: shorter, so that what is behind shows below them, and narrower.
    seed
        Fixes what else differs between mouths.
    corners
        The share of the exemplar's width at either end that does not show: teeth beside it are
        repeated there, mirrored, so that dark corners can be made lighter.
    """

    exemplar: int
    mirrored: bool = False
    stretch: float = 1.0
    shift: float = 0.0
    brightness: float = 1.0
    milk: bool = False
    seed: int = 0
    corners: float = 0.0

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        infant: bool = False,
        turned: bool = False,
        child: bool = False,
    ) -> MouthKind:
        """Draw a kind: of an infant's mouth, a small child's or another's; of a turned face's."""
        numbers = [n for n, one in enumerate(exemplars()) if one.infant == infant]
        if turned:  # The mouth with the most teeth in its corners, where others are dark.
            numbers = [max(numbers, key=lambda n: _corners(exemplars()[n]))]
        number, mirrored = int(rng.choice(numbers)), bool(rng.random() < 0.5)
        stretch, shift, bright = rng.normal(0, (_STRETCH, _SHIFT, _BRIGHTNESS)).clip(-0.12, 0.12)
        milk = child and not infant
        width = float(np.exp(stretch)) * (_MILK_WIDTH if milk else 1.0)
        seed = int(rng.integers(1 << 32))
        return cls(number, mirrored, width, float(shift), float(np.exp(bright)), milk, seed)

    @property
    def infant(self) -> bool:
        """Whether it is a mouth without teeth."""
        return exemplars()[self.exemplar].infant

    def render(self, lips: Lips, middle: float, x: Floats, y: Floats, scale: float) -> Floats:
        """Lay the exemplar between lips.

        Lips that open less than the exemplar's cover a part of its teeth, from above; their edges
        stay beside the lower lip.

        Parameters
        ----------
        lips
            Contours of the inner lips, in pixels of the crop.
        middle
            x of the middle of the face there: of a turned face one half is narrower.
        x, y
            (h, w) places, in pixels of the crop.
        scale
            Pixels of the crop from one place to the next: what is finer does not show.

        Returns
        -------
        (h, w, 3), relative to the color of teeth; outside of the lips, what is nearest.
        """
        placed = self._place(lips, middle, x, y, scale)
        colors = placed.show(placed.texture)
        aside = np.clip((np.abs(2 * placed.across - 1) - _FRONT) / (1 - _FRONT), 0, 1)
        light = np.float32(self.brightness) * (1 - _DEEP * np.square(aside))
        behind = np.float32(np.clip((placed.down - _END) / _END_WIDTH, 0, 1))[:, :, None]
        colors = colors + behind * ((_BEHIND_MILK if self.milk else _CAVITY) - colors)
        upper, _ = edges(lips, x)
        shadow = np.clip(1 - (y - upper) / _SHADE, 0, 1) * min(1, 2 * (1 - placed.shown)) * _SHADOW
        return np.asarray(colors * np.float32(light * (1 - shadow))[:, :, None], np.float32)

    def _place(self, lips: Lips, middle: float, x: Floats, y: Floats, scale: float) -> _Placed:
        """Say where in the exemplar each place lies."""
        exemplar = exemplars()[self.exemplar]
        width, gap = max(float(lips.x[-1] - lips.x[0]), 1.0), max(lips.gap, 1.0)
        upper, lower = edges(lips, x)
        half = np.clip((middle - lips.x[0]) / width, *_TURNED)
        across = np.clip((x - lips.x[0]) / width, 0, 1) ** np.float32(np.log(0.5) / np.log(half))
        shows = _MIDDLE - _TURNED_MIDDLE * abs(half - 0.5)
        turn = (-1 if self.mirrored else 1) * shows / self.stretch
        column = (across - np.float32(0.5 + self.shift)) * np.float32(turn) + np.float32(0.5)
        if self.corners:
            beside = np.clip(column, self.corners, 1 - self.corners)
            column = np.clip(2 * beside - column, 0, 1)
        down = (y - upper) / np.maximum(lower - upper, 0.3)
        opening = lips.gap / exemplar.gap
        shown = np.float32(min(opening, 1.0) ** _COVERED)
        down = (
            1 - (1 - down) * shown if opening < 1 else down * np.float32(max(1, opening / _LONGEST))
        )
        if self.milk:
            down = down / np.float32(_MILK_HEIGHT - _MILK_SIDE * np.square(2 * column - 1))
        seen, fine = exemplar.colors, np.array([COLUMNS / width, ROWS / gap * shown]) * scale
        if fine.max() > 1.5:
            seen = cv2.GaussianBlur(seen, (0, 0), sigmaX=0.5 * fine[0], sigmaY=0.5 * fine[1])
        uneven = np.float32(_UNEVEN * np.clip((fine[0] - 0.5) / 1.5, 0, 1))
        seen = seen + uneven * (seen - cv2.blur(seen, (COLUMNS // 5, 1)))
        return _Placed(seen, across, column, down, float(shown))


@dataclass(frozen=True)
class _Placed:
    """An exemplar between lips.

    Attributes
    ----------
    texture
        (96, 320, 3) the exemplar, as finely as it shows.
    across
        (h, w) from one corner of the mouth to the other, 0 to 1; the middle of the face is at 0.5.
    column, down
        (h, w) places in the exemplar, 0 to 1.
    shown
        The share of its height that shows.
    """

    texture: Floats
    across: Floats
    column: Floats
    down: Floats
    shown: float

    def show(self, texture: Floats) -> Floats:
        """Return a texture (96, 320, ...) at each place, (h, w, ...)."""
        columns = np.float32(self.column * COLUMNS - 0.5)
        rows = np.float32(np.clip(self.down, 0, 1) * ROWS - 0.5)
        return cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
