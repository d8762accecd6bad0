"""Kinds of smiles over time: action unit curves and blinks, drawn from learned dynamics.

Many smiles are drawn at first and clustered by how far corners, cheeks and lips go at their apex
(k-means). The clusters are the modes: mode 0 is the usual smile, each further one is as far as
can be from those before. A face has a smile of its own in each mode; a seed varies it a little, and
its timing and blinks more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.smoothstep import smoothstep

if TYPE_CHECKING:
    from faceflex.models.smile_dynamics import SmileDynamics

MODES = 8
"""Modes of a style: the usual one and seven others."""
RATE = 25.0

_DRAWN, _ROUNDS = 320, 25
_SEED_SPREAD = 0.45  # How far a seed leads from a face's own smile, of the spread of codes.
_APEX = 0.85  # Share of the largest AU12 from which on a smile is there.
_HELD = 0.7  # After that it stays above this share.
_FADING = 0.3  # In clips that end with the smile, it fades by this share of what it did.
_OVER = 0.1  # Share of the apex below which a smile is over.
_BLINK_GAP = 0.4  # Seconds that blinks are apart, at least.
_BLINK_HALF = 0.2
_OFFSET = 0.6  # Seconds in which a smile that never ends comes to rest.
# Quantiles of how fast real posed smiles rise, and how far real smiles go (posed, spontaneous): of
# 872 clips. Spontaneous ones that are drawn rise as fast as real ones by themselves.
_LEVELS = np.linspace(0.025, 0.975, 11)
_RISE_TIMES = (0.2, 0.28, 0.28, 0.32, 0.36, 0.44, 0.48, 0.56, 0.68, 0.92, 1.67)
_LARGEST = (
    (1.38, 1.77, 2.07, 2.31, 2.51, 2.67, 2.83, 3.03, 3.29, 3.65, 4.13),
    (1.16, 1.56, 1.82, 2.05, 2.26, 2.46, 2.64, 2.87, 3.12, 3.33, 3.98),
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SmileSequence:
    """A smile over time.

    Attributes
    ----------
    curves
        (T, 3) AU12, AU6 and AU25 at 25 a second; 0 at first.
    blinks
        Seconds at which the eyes are shut.
    shapes
        (n, 21) how the eyes shut and open in 0.4 s around each, 0 to 1.
    """

    curves: Floats
    blinks: tuple[float, ...]
    shapes: NDArray[np.float32]

    @property
    def apex(self) -> int:
        """Sample from which on the smile is there: 85 % of its largest AU12 are reached."""
        au12 = self.curves[:, 0]
        return int(np.flatnonzero(au12 >= _APEX * au12.max())[0])

    @property
    def end(self) -> int:
        """Sample at which it is over; the last one if it does not end."""
        au12 = self.curves[:, 0]
        over = np.flatnonzero(au12[self.apex :] < _OVER * au12.max())
        return self.apex + int(over[0]) if len(over) else len(au12) - 1

    def at(self, time: float, seconds: float, *, loop: bool) -> tuple[Floats, float]:
        """Return the smile at a moment of a clip.

        Parameters
        ----------
        time
            0 to 1.
        seconds
            Length of the clip. A smile that would not fit is played faster: its apex comes in nine
            tenths of the clip; in a loop, its end.
        loop
            Go back to rest in the end; else the smile stays.

        Returns
        -------
        (3,) AU12, AU6 and AU25, and how far the eyes are shut by a blink, 0 to 1.
        """
        moment = time * seconds * self.speed(seconds, loop=loop) * RATE
        curves = self._ending if loop else self._staying
        place = np.arange(len(curves))
        units = np.array([np.interp(moment, place, column) for column in curves.T])
        return units, self._shut(time * seconds, seconds, loop=loop)

    def speed(self, seconds: float, *, loop: bool) -> float:
        """Return how much faster than it was drawn the smile is played, 1 or more."""
        needed = len(self._ending) / RATE if loop else self.apex / RATE / 0.9
        return max(1.0, needed / max(seconds, 1e-6))

    @cached_property
    def _staying(self) -> Floats:
        """The curves up to where the smile would fade, from where on it stays."""
        au12 = self.curves[:, 0]
        fades = np.flatnonzero(au12[self.apex :] < _HELD * au12.max())
        last = self.apex + int(fades[0]) if len(fades) else len(au12)
        curves = self.curves[: max(last, 1)].copy()
        first = int(curves[:, 0].argmax())
        later = curves[first:] - curves[first]
        curves[first:] = curves[first] + np.where(later < 0, _FADING * later, later)
        return curves

    @cached_property
    def _ending(self) -> Floats:
        """The curves up to rest; what has not ended by itself is faded out."""
        curves = self.curves[: self.end + 1]
        count = round(_OFFSET * RATE)
        ease = smoothstep(np.linspace(1, 0, count + 1)[1:])[:, None]
        return np.concatenate([curves, curves[-1] * ease])

    def _shut(self, moment: float, seconds: float, *, loop: bool) -> float:
        shut = 0.0
        place = np.linspace(-_BLINK_HALF, _BLINK_HALF, self.shapes.shape[1])
        late = seconds - _BLINK_HALF  # Whole blinks only; a smile does not end with shut eyes.
        for blink, shape in zip(self.blinks, self.shapes, strict=True):
            if blink < late:
                value = np.interp(moment - blink, place, shape, left=0, right=0)
                shut = max(shut, float(value))
        return shut


class SmileModes:
    """The modes of a style.

    Parameters
    ----------
    dynamics
        The network.
    style
        0 posed, 1 spontaneous.
    """

    def __init__(self, dynamics: SmileDynamics, style: int) -> None:
        self._dynamics, self.style = dynamics, style
        rng = np.random.default_rng((11, style))
        self._codes = self._draw(rng, _DRAWN)
        curves = self._curves(self._codes, rng)
        rises, sizes = (
            np.quantile([of(c) for c in curves], _LEVELS) for of in (rise_time, largest)
        )
        self._tempo = (rises, np.array(_RISE_TIMES) if style == 0 else rises)
        self._size = (sizes, np.array(_LARGEST[style]))
        self._features = np.array([apex_units(c) for c in curves])
        self.cells = _cluster(self._features, MODES, rng)

    def _draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Draw codes (count, latent), each near a real smile's."""
        known = self._dynamics.codes[self._dynamics.styles == self.style].numpy()
        spread = self._dynamics.spread[self.style].numpy()
        near = known[rng.integers(len(known), size=count)]
        return np.float32(near + spread * rng.standard_normal(near.shape))

    def _curves(self, codes: NDArray[np.float32], rng: np.random.Generator) -> Floats:
        """Return curves (n, T, 3) of codes, with details of real ones: they begin at rest."""
        import torch

        from faceflex.models.smile_dynamics import SCALE

        with torch.inference_mode():
            style = torch.full((len(codes),), float(self.style))
            made = SCALE * self._dynamics.decode(torch.from_numpy(codes), style).numpy()
        details = self._dynamics.details[self._dynamics.detail_styles == self.style].numpy()
        if len(details):
            made = made + details[rng.integers(len(details), size=len(made))]
        return begin_at_rest(np.float64(made))

    def _as_real_ones(self, curves: Floats) -> Floats:
        """Play a smile (T, 3) so that tempo and size are distributed over draws as in real ones.

        What a network makes of codes is a little slower and more alike than what it has learned.
        """
        tempo, gain = (
            float(np.interp(value, *table) / np.clip(value, table[0][0], table[0][-1]))
            for value, table in ((rise_time(curves), self._tempo), (largest(curves), self._size))
        )
        places = np.arange(0, len(curves) - 1 + 1e-9, 1 / float(np.clip(tempo, 0.4, 2.5)))
        known = np.arange(len(curves))
        moved = np.stack([np.interp(places, known, column) for column in curves.T], axis=1)
        return np.asarray(moved * np.clip(gain, 0.5, 2.0))

    @property
    def shares(self) -> NDArray[np.float64]:
        """(8,) how frequent each mode is."""
        return np.bincount(self.cells, minlength=MODES) / len(self.cells)

    def sequence(self, face: int, mode: int, seed: int) -> SmileSequence:
        """Return a face's smile.

        Parameters
        ----------
        face
            Says whose: the same number, the same smile.
        mode
            0 to 7.
        seed
            Varies it.
        """
        own = np.random.default_rng((face, mode, self.style))
        chosen = own.choice(np.flatnonzero(self.cells == mode))
        rng = np.random.default_rng((face, mode, self.style, seed))
        spread = self._dynamics.spread[self.style].numpy()
        code = self._codes[chosen] + _SEED_SPREAD * spread * rng.standard_normal(len(spread))
        (curves,) = self._curves(np.float32(code)[None], rng)
        curves = self._as_real_ones(curves)
        blinks, shapes = self._blinks(rng, len(curves) / RATE)
        return SmileSequence(curves, blinks, shapes)

    def _blinks(
        self, rng: np.random.Generator, seconds: float
    ) -> tuple[tuple[float, ...], NDArray[np.float32]]:
        """Draw blinks: a Poisson process whose rate follows the smile's, and real shapes."""
        rates = self._dynamics.blink_rates[self.style].numpy()
        shapes = self._dynamics.blink_shapes.numpy()
        moments: list[float] = []
        step = 1 / RATE
        if not len(shapes):
            return (), np.zeros((0, 21), np.float32)
        for k in range(int((seconds - 2 * _BLINK_HALF) * RATE)):
            moment = _BLINK_HALF + k * step
            rate = rates[min(int(moment / 0.5), len(rates) - 1)]
            drawn = rng.random() < rate * step
            if drawn and (not moments or moment - moments[-1] > _BLINK_GAP):
                moments.append(moment)
        return tuple(moments), shapes[rng.integers(len(shapes), size=len(moments))]


def begin_at_rest(curves: Floats) -> Floats:
    """Return curves (n, T, 3) whose first value is 0: what they begin at fades from them."""
    fade = np.clip(1 - np.arange(curves.shape[1]) / (0.5 * RATE), 0, 1)
    return curves - curves[:, :1] * fade[None, :, None]


def rise_time(curves: Floats) -> float:
    """Return the seconds in which AU12 of a smile (T, 3) rises from 10 to 90 % of its largest."""
    au12 = curves[:, 0] / max(float(curves[:, 0].max()), 1e-6)
    high = int((au12 >= 0.9).argmax())
    low = np.flatnonzero(au12[: high + 1] <= 0.1)
    return (high - (int(low[-1]) if len(low) else 0)) / RATE


def largest(curves: Floats) -> float:
    """Return the largest AU12 of a smile (T, 3)."""
    return float(curves[:, 0].max())


def apex_units(curves: Floats) -> Floats:
    """Return (3,) AU12, AU6 and AU25 of a smile (T, 3) while AU12 is near its apex."""
    au12 = curves[:, 0]
    near = au12 >= 0.9 * au12.max()
    return np.asarray(curves[near].mean(axis=0))


def _cluster(features: Floats, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return k-means clusters of (n, F) features; the first the most usual, then far ones first."""
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    centers = scaled[rng.choice(len(scaled), 1)]
    while len(centers) < count:  # k-means++, but the farthest: the same clusters for any order.
        distance = np.linalg.norm(scaled[:, None] - centers[None], axis=2).min(axis=1)
        centers = np.concatenate([centers, scaled[distance.argmax()][None]])
    for _ in range(_ROUNDS):
        near = np.linalg.norm(scaled[:, None] - centers[None], axis=2).argmin(axis=1)
        centers = np.array(
            [
                scaled[near == k].mean(axis=0) if (near == k).any() else centers[k]
                for k in range(count)
            ]
        )
    near = np.linalg.norm(scaled[:, None] - centers[None], axis=2).argmin(axis=1)
    order = [int(np.linalg.norm(centers, axis=1).argmin())]
    while len(order) < count:
        distance = np.linalg.norm(centers[:, None] - centers[order][None], axis=2).min(axis=1)
        distance[order] = -1
        order.append(int(distance.argmax()))
    return np.argsort(order)[near]
