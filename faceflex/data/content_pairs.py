"""Pairs of the content renderer as its training takes them: augmented, as the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content_inputs import (
    condition_vector,
    network_base,
    network_planes,
    sample_grid,
    skin_color,
)
from faceflex.compose.content_window import LEFT, SCALE, WIDTH, window_coordinates
from faceflex.compose.lips_motion import mouth_middle
from faceflex.compose.mouth_codes import CODE, MouthCodes, fit_codes, mouth_features
from faceflex.compose.mouth_maps import HOLE_GROWTH, mouth_maps
from faceflex.data.chunks import Arrays
from faceflex.data.template import mirrored
from faceflex.errors import UsageError
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA

_IDENTITY, _EXISTING = 0.12, 0.12  # Shares of pairs that are to stay, and that keep their teeth.
_GROWTH = (1.1, 2.0)  # Of the hole.
_MIN_GAP = 1.5  # Pixels of the crop: smaller mouths do not teach codes.
_CODE_NOISE = 0.35  # How far codes are off, in standard deviations of what is not predicted.
_GUESSED, _GUESS_VARIETY = 0.1, 0.6  # Share of codes that are predicted, not read.
# Twice the middle of the window, as mirrored() counts.
_MIRROR_WIDTH = 2 * (LEFT - 0.5 + WIDTH / (2 * SCALE)) + 1

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """What one pair teaches.

    Attributes
    ----------
    planes, condition
        (9, 128, 160) and (3,): the network's input.
    target
        (3, 128, 160) in [0, 1].
    weight
        (1, 128, 160): how much each pixel counts.
    maps
        (2, 128, 160): the hole and the mouth's interior, for the discriminator.
    """

    planes: Floats
    condition: Floats
    target: Floats
    weight: Floats
    maps: Floats


@dataclass(frozen=True)
class _Pair:
    """A pair as it was made: windows in [0, 1], lips, landmarks, smile degree, years."""

    source: Floats
    target: Floats
    lips: Lips
    landmarks: Floats
    smile: float
    age: float


class ContentPairs:
    """Pairs in memory, drawn as samples.

    Parameters
    ----------
    paths
        Chunks of pairs; one that is given twice is drawn twice as often.
    one_way
        Whether they are edits without a known target.
    """

    def __init__(self, paths: Sequence[Path], *, one_way: bool = False) -> None:
        self.one_way = one_way
        loaded: dict[Path, Arrays] = {}
        self._index: list[tuple[Arrays, int]] = []
        for path in paths:
            if path not in loaded:
                with np.load(path, allow_pickle=False) as data:
                    loaded[path] = {name: data[name] for name in data.files}
            chunk = loaded[path]
            self._index += [(chunk, i) for i in range(len(chunk["source"]))]
        self._coordinates = window_coordinates()

    def __len__(self) -> int:
        return len(self._index)

    def _pair(self, number: int) -> _Pair:
        chunk, i = self._index[number]
        source, target = (np.float32(chunk[k][i]) / np.float32(255) for k in ("source", "target"))
        lips = Lips(*np.float32(chunk["lips"][i]))
        landmarks, smile, age = (chunk[k][i] for k in ("landmarks", "smile", "age"))
        return _Pair(source, target, lips, landmarks, float(smile), float(age))

    def fit(self) -> tuple[MouthCodes, tuple[float, float]]:
        """Fit the codes of the open mouths; measure the smile degrees' mean and deviation.

        Raises
        ------
        UsageError
            If there are too few open mouths.
        """
        smiles = np.array([chunk["smile"][i] for chunk, i in self._index], np.float64)
        scale = (float(smiles.mean()), float(smiles.std())) if len(smiles) else (0.0, 1.0)
        grids, features = [], []
        for number in range(len(self)):
            pair = self._pair(number)
            if pair.lips.gap < _MIN_GAP:
                continue
            skin = skin_color(pair.target, pair.landmarks)
            grids.append(sample_grid(pair.target, pair.lips) / max(float(skin @ LUMA), 0.05))
            smile = (pair.smile - scale[0]) / scale[1]
            features.append(mouth_features(pair.lips, skin, smile, pair.age))
        if len(grids) <= CODE:
            raise UsageError(f"{len(grids)} open mouths in the pairs; more than {CODE} are needed")
        return fit_codes(np.stack(grids), np.stack(features)), scale

    def sample(
        self,
        number: int,
        codes: MouthCodes,
        smile_scale: tuple[float, float],
        rng: np.random.Generator,
        *,
        plain: bool = False,
    ) -> Sample:
        """Return the sample of a pair.

        Parameters
        ----------
        number
            Which.
        codes, smile_scale
            From :meth:`fit`.
        rng
            Source of all that is random.
        plain
            Without augmentation, its mouth as it would be predicted.
        """
        pair = self._pair(number)
        if not plain and rng.random() < 0.5:
            pair = _mirrored(pair)
        kind = 1.0 if plain or self.one_way else float(rng.random())
        growth = HOLE_GROWTH if plain else float(rng.uniform(*_GROWTH))
        x, y = self._coordinates
        lips = pair.lips
        maps = mouth_maps(lips, mouth_middle(pair.landmarks), x, y, growth=growth)
        cut, source, target = True, pair.source, pair.target
        if kind < _IDENTITY:
            source, cut = target, bool(rng.random() < 0.5)
        elif kind < _IDENTITY + _EXISTING and lips.open:
            source, cut = source + maps.interior[:, :, None] * (target - source), False
        if self.one_way:
            target = source  # All that is known: the photo is to stay outside the hole.
        if not plain:
            source, target = _augment(source, target, rng)
        near = cv2.GaussianBlur(maps.hole, (0, 0), 8.0)
        weight = 0.25 + 1.5 * near + (2.5 * maps.hole if cut else 0)
        if not cut:
            maps = replace(maps, hole=np.zeros_like(maps.hole))
        smile = (pair.smile - smile_scale[0]) / smile_scale[1]
        grid = None
        if cut and lips.open:
            skin = skin_color(target, pair.landmarks)
            bright = max(float(skin @ LUMA), 0.05)
            noise = rng.standard_normal(CODE, np.float32)
            if plain or self.one_way or rng.random() < _GUESSED:
                features = mouth_features(lips, skin, smile, pair.age)
                code = codes.predict(features, noise, 0.0 if plain else _GUESS_VARIETY)
            else:  # Not quite the target's own: when editing it will not be.
                code = codes.encode(sample_grid(target, lips) / bright)
                code += np.float32(_CODE_NOISE) * (codes.spread @ noise)
            grid = np.clip(codes.decode(code) * bright, 0, 1)
        base = network_base(source, maps, grid, lips, x, y)
        return Sample(
            network_planes(base, maps, rng.standard_normal(maps.hole.shape, np.float32)),
            condition_vector(smile, pair.age, lips.gap),
            np.ascontiguousarray(target.transpose(2, 0, 1)),
            np.float32(weight)[None],
            np.stack([maps.hole, maps.interior]),
        )


def _mirrored(pair: _Pair) -> _Pair:
    """Return the mirror image of a pair."""
    lips = pair.lips
    flipped = Lips(np.float32(_MIRROR_WIDTH - 1 - lips.x[::-1]), lips.upper[::-1], lips.lower[::-1])
    return _Pair(
        pair.source[:, ::-1],
        pair.target[:, ::-1],
        flipped,
        mirrored(pair.landmarks, _MIRROR_WIDTH),
        pair.smile,
        pair.age,
    )


def _augment(source: Floats, target: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Change light, color, sharpness and grain of both alike."""
    both = np.stack([source, target])
    if rng.random() < 0.5:
        both = np.clip(both, 0, 1) ** np.float32(np.exp(rng.uniform(-0.35, 0.45)))
        both = both * np.float32(rng.uniform(0.7, 1.1))
        both = both * np.float32(1 + rng.uniform(-0.06, 0.06, 3))
    if rng.random() < 0.12:
        both = np.repeat((both @ LUMA)[..., None], 3, axis=-1)
    if rng.random() < 0.2:
        width = float(rng.uniform(0.4, 1.6))
        both = np.stack([cv2.GaussianBlur(np.ascontiguousarray(p), (0, 0), width) for p in both])
    if rng.random() < 0.25:
        grain = rng.standard_normal(target.shape, np.float32) * np.float32(rng.uniform(0.005, 0.03))
        both = both + grain
    both = np.clip(both, 0, 1).astype(np.float32)
    return np.ascontiguousarray(both[0]), np.ascontiguousarray(both[1])
