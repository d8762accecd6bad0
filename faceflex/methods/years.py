"""What years do to a face: statistics of faces of each age, and the edit that they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.aging import Aging
from faceflex.compose.face_frame import from_frame
from faceflex.errors import AssetError
from faceflex.tensors import read_arrays, write_arrays

KIND = "faceflex-years-1"
_LABEL = "statistics of years"

NODES = np.array([1, 4, 8, 12, 16, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85], float)
"""Ages that the curves are known at."""

YEARS = 10.0
"""Years that strength -1 of *Young* adds."""

LATENT_SHARE = 0.5
"""Share of the latent's own direction that goes with them."""

_GROWN = 16.0
_YOUNGEST, _OLDEST = 18.0, 85.0
_GAINS = {"color": 1.0, "energy": 1.2, "fold": 1.0}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Appearance:
    """A mean face of an age, or the difference between two.

    Attributes
    ----------
    shape
        (68, 2) landmarks in pixels of the crop.
    color
        (64, 64, 3) log color.
    energy
        (32, 32, bands) log energy of detail.
    fold
        (128, 128, 1) detail of log luma.
    """

    shape: Floats
    color: Floats
    energy: Floats
    fold: Floats


@dataclass(frozen=True)
class Years:
    """Curves of faces over age, for men and women; kept as a few modes of each.

    Attributes
    ----------
    modes
        By name (K, ...): what curves of shape, color, energy and fold are made of.
    weights
        By name (2, nodes, K): of the modes, for men and women at :data:`NODES`.
    """

    modes: dict[str, Floats]
    weights: dict[str, Floats]

    @classmethod
    def from_curves(
        cls, shape: Floats, color: Floats, energy: Floats, fold: Floats, rank: int
    ) -> Years:
        """Keep the strongest modes of curves (2, nodes, ...)."""
        modes, weights = {}, {}
        curves = {"shape": shape, "color": color, "energy": energy, "fold": fold}
        for name, curve in curves.items():
            flat = curve.reshape(2 * len(NODES), -1).astype(np.float64)
            # What is the same at all ages cancels in differences.
            flat = flat - flat.mean(axis=0)
            u, s, v = np.linalg.svd(flat, full_matrices=False)
            kept = min(rank, len(s))
            modes[name] = np.float32(v[:kept].reshape(kept, *curve.shape[2:]))
            weights[name] = np.float32((u * s)[:, :kept].reshape(2, len(NODES), kept))
        return cls(modes, weights)

    def difference(self, start: float, end: float, female: float) -> Appearance:
        """Return how faces change from one age to another.

        Parameters
        ----------
        start, end
            Ages in years.
        female
            0 for men, 1 for women; between: a mean of both.
        """
        parts = {}
        for name, mode in self.modes.items():
            curve = (1 - female) * self.weights[name][0] + female * self.weights[name][1]
            change = [np.interp(end, NODES, c) - np.interp(start, NODES, c) for c in curve.T]
            parts[name] = np.float32(np.tensordot(np.float32(change), mode, 1))
        return Appearance(**parts)

    def of_face(self, age: float, years: float, female: float) -> Appearance:
        """Return what some years do to a face of an age: the change from ``age`` on, or back.

        Where the ages end, the change of the nearest years is taken instead.
        """
        grown = age >= _GROWN
        low, high = (_YOUNGEST if grown else NODES[0]), _OLDEST
        start = float(np.clip(age, low, high))
        end = float(np.clip(start + years, low, high))
        if grown:  # As many years as are asked for.
            start = float(np.clip(end - years, low, high))
        return self.difference(start, end, female)

    def save(self, path: Path) -> None:
        """Write it to a file, in half precision."""
        arrays = {f"{n}.modes": m.astype(np.float16) for n, m in self.modes.items()}
        arrays |= {f"{n}.weights": w.astype(np.float32) for n, w in self.weights.items()}
        write_arrays(path, arrays, {"kind": KIND})

    @classmethod
    def load(cls, path: Path) -> Years:
        """Read it.

        Raises
        ------
        AssetError
            If the file is not such a file, or damaged.
        """
        arrays, _ = read_arrays(path, KIND, _LABEL)
        modes, weights = {}, {}
        for name in ("shape", "color", "energy", "fold"):
            try:
                modes[name] = arrays[f"{name}.modes"].astype(np.float32)
                weights[name] = arrays[f"{name}.weights"].astype(np.float32)
            except KeyError as error:
                raise AssetError(f"{path}: damaged {_LABEL} (no {error.args[0]})") from None
        return cls(modes, weights)


def aging_layer(change: Appearance, landmarks: NDArray[np.floating]) -> Aging:
    """Return the layer that a change makes of a face with these landmarks (68, 2)."""
    energy = from_frame(np.float32(_GAINS["energy"]) * change.energy, landmarks)
    color = from_frame(np.float32(_GAINS["color"]) * change.color, landmarks)
    fold = from_frame(np.float32(_GAINS["fold"]) * change.fold, landmarks)[..., 0]
    return Aging(energy, color, fold)
