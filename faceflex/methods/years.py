"""What years do to a face: statistics of faces of each age, and the edit that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.aging import Aging, Wrinkles
from faceflex.compose.face_frame import frame_place, from_frame
from faceflex.compose.years_bands import BANDS, COLORS, ENERGIES, FOLDS
from faceflex.errors import AssetError
from faceflex.faces.align import SIZE, template
from faceflex.faces.landmark_groups import BROWS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from faceflex.faces.mask import fill_hull
from faceflex.faces.smoothstep import smoothstep
from faceflex.tensors import read_arrays, write_arrays

KIND = "faceflex-years-1"
_LABEL = "statistics of years"

NODES = np.array([1, 4, 8, 12, 16, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85], float)
"""Ages that the curves are known at."""

YEARS = 10.0
"""Years that strength -1 of *Young* adds."""


@dataclass(frozen=True)
class Gains:
    """How much of each part of a change is made; see docs/years.md for what each does.

    Attributes
    ----------
    latent
        Share of the latent's own direction that goes with the statistics.
    shape, color, energy, fold
        Gains of the statistics' differences.
    """

    latent: float
    shape: float
    color: float
    energy: float
    fold: float


CHILD = 15.0
"""Read years below which a face is taken for a child's: it gets no mustache, and no wrinkles."""

OLDER = Gains(latent=0.75, shape=1.2, color=1.3, energy=1.6, fold=1.5)
YOUNGER = Gains(latent=1.2, shape=0.4, color=0.0, energy=3.5, fold=1.2)

_SHAPES = {
    "shape": (68, 2),
    "color": (COLORS, COLORS, 3),
    "energy": (ENERGIES, ENERGIES, BANDS),
    "fold": (FOLDS, FOLDS, 1),
}
_LARGEST = 256
_HELD = 0.6  # Share of the corners' drop that is not made, there and beside them.
_CORNERS = ((1.0, (48, 54, 60, 64)), (0.5, (49, 53, 55, 59)))
_WRINKLED_AT, _WRINKLING = 58.0, 9.0
_WRINKLED = (0.35, 2.5, 1.3)  # Depth everywhere, more of it where detail grows, and the most.
_EDGE = (1.0, 11.0)  # Pixels of the crop, from the mask's edge, over which statistics fade in, ...
_FRINGE = (11.0, 3.0)  # ... and from the brows upward, over which they fade out.
_DEPTHS = (0.05, 0.055, 0.03)  # Of fine and broad lines, and spots, in log luma.
_GRAY_AT, _GRAYING = 55.0, 6.0  # Years.
_CHILDS = 0.5  # Share of a child's years by which it gets older or younger at most.
_YOUNGEST, _OLDEST = 18.0, 85.0

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
    gray
        Share of hair that is gray.
    wrinkled
        How wrinkled the skin is, from 0 to 1.
    flow
        Which way wrinkles run; None where there are none.
    """

    shape: Floats
    color: Floats
    energy: Floats
    fold: Floats
    gray: float = 0.0
    wrinkled: float = 0.0
    flow: Floats | None = None


@dataclass(frozen=True)
class Years:
    """Curves of faces over age, for men and women; kept as a few modes of each.

    Attributes
    ----------
    modes
        By name (K, ...): what curves of shape, color, energy and fold are made of.
    weights
        By name (2, nodes, K): of the modes, for men and women at :data:`NODES`.
    flow
        (32, 32, 2) which way the wrinkles of the old run; see
        :func:`faceflex.compose.years_bands.detail_flow`.
    """

    modes: dict[str, Floats]
    weights: dict[str, Floats]
    flow: Floats

    @classmethod
    def from_curves(cls, curves: Mapping[str, Floats], flow: Floats, rank: int) -> Years:
        """Keep the strongest modes of curves (2, nodes, ...)."""
        modes, weights = {}, {}
        for name, curve in curves.items():
            flat = curve.reshape(2 * len(NODES), -1).astype(np.float64)
            # What is the same at all ages cancels in differences.
            flat = flat - flat.mean(axis=0)
            u, s, v = np.linalg.svd(flat, full_matrices=False)
            kept = min(rank, len(s))
            modes[name] = np.float32(v[:kept].reshape(kept, *curve.shape[2:]))
            weights[name] = np.float32((u * s)[:, :kept].reshape(2, len(NODES), kept))
        return cls(modes, weights, flow)

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
            parts[name] = np.float32(np.tensordot(np.array(change), mode, 1))
        return Appearance(
            **parts,
            gray=gray_share(end) - gray_share(start),
            wrinkled=wrinkle_depth(end) - wrinkle_depth(start),
            flow=self.flow,
        )

    def of_face(self, age: float, female: float, years: float) -> Appearance:
        """Return what some years do to a face of an age: the change from ``age`` on, or back.

        Where the ages end, the change of the nearest years is taken instead. A child gets older or
        younger by some of its years only.
        """
        if age < CHILD:  # Faces of children change ever faster, the younger they are.
            end = age + float(np.clip(years, -_CHILDS * age, _CHILDS * age))
            return self.difference(age, end, female)
        start = float(np.clip(age, _YOUNGEST, _OLDEST))
        end = float(np.clip(start + years, _YOUNGEST, _OLDEST))
        # As many years as are asked for.
        start = float(np.clip(end - years, _YOUNGEST, _OLDEST))
        return self.difference(start, end, female)

    def save(self, path: Path) -> None:
        """Write it to a file, in half precision."""
        arrays = {f"{n}.modes": m.astype(np.float16) for n, m in self.modes.items()}
        arrays |= {f"{n}.weights": w.astype(np.float32) for n, w in self.weights.items()}
        arrays["flow"] = self.flow.astype(np.float16)
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
        for name in _SHAPES:
            try:
                modes[name] = arrays[f"{name}.modes"].astype(np.float32)
                weights[name] = arrays[f"{name}.weights"].astype(np.float32)
            except KeyError as error:
                raise AssetError(f"{path}: damaged {_LABEL} (no {error.args[0]})") from None
        flow = arrays.get("flow", np.zeros(0)).astype(np.float32)
        fits = flow.ndim == 3 and flow.shape[2] == 2 and flow.shape[0] == flow.shape[1]
        for name, shape in _SHAPES.items():
            count = len(modes[name])
            fits &= modes[name].shape == (count, *shape)
            fits &= weights[name].shape == (2, len(NODES), count)
        if not fits or not 0 < len(flow) <= _LARGEST:
            raise AssetError(f"{path}: damaged {_LABEL} (arrays of other shapes)")
        return cls(modes, weights, flow)


def gray_share(age: float) -> float:
    """Return the share of a person's hair that is gray at an age.

    Half of it in the middle of the fifties, as a rule of thumb (Panhard, Lozano and Loussouarn
    2012 found gray in three quarters of people of 45 to 65).

    Examples
    --------
    >>> round(gray_share(30), 2), round(gray_share(70), 2)
    (0.02, 0.92)
    """
    return float(1 / (1 + np.exp((_GRAY_AT - age) / _GRAYING)))


def aging_layer(change: Appearance, landmarks: NDArray[np.floating], seed: int = 0) -> Aging:
    """Return the layer that a change makes of a face with these landmarks (68, 2)."""
    older = change.wrinkled >= 0
    gains = OLDER if older else YOUNGER
    # Skin gets no smoother with years: where detail fades, younger faces had more hair.
    one_way = np.maximum if older else np.minimum
    inner, place = _inner_zone()[:, :, None], frame_place(landmarks)
    energy = from_frame(np.float32(gains.energy) * one_way(change.energy, 0), place)
    energy *= from_frame(inner, place)
    color = np.float32(gains.color) * cv2.resize(change.color, (SIZE, SIZE)) * inner
    color = from_frame(color, place)
    fold = from_frame(np.float32(gains.fold) * change.fold * inner, place)[..., 0]
    wrinkles = None
    if change.wrinkled > 0 and change.flow is not None:
        more = cv2.resize(change.energy[..., :2].mean(axis=2), (SIZE, SIZE))
        share = np.clip(_WRINKLED[0] + _WRINKLED[1] * more, 0, _WRINKLED[2])
        share = share * np.float32(change.wrinkled) * skin_zone()
        depth = share[:, :, None] * np.array(_DEPTHS, np.float32)
        wrinkles = Wrinkles(from_frame(depth, place), np.stack(place, axis=2), change.flow, seed)
    return Aging(energy, color, fold, max(change.gray, 0.0), wrinkles)


def without_droop(shape: Floats) -> Floats:
    """Return a motion (68, 2) of landmarks with less of the mouth's corners hanging.

    Corners that drop beside the middle of the mouth are read as sadness before they are read as
    years.

    Examples
    --------
    >>> motion = np.zeros((68, 2), np.float32)
    >>> motion[[48, 54], 1] = 1.0
    >>> [round(float(v), 2) for v in without_droop(motion)[[48, 51], 1]]
    [0.4, 0.0]
    """
    droop = shape[[48, 54], 1].mean() - shape[[51, 57, 62, 66], 1].mean()
    moved = shape.copy()
    for share, points in _CORNERS:
        moved[list(points), 1] -= np.float32(_HELD * share * max(float(droop), 0.0))
    return moved


@cache
def _inner_zone() -> Floats:
    """Return (128, 128): 1 inside the mean face, falling to 0 where its hair and outline begin."""
    inside = fill_hull(template(), SIZE, raise_brows=True).astype(np.uint8)
    inside[[0, -1]] = inside[:, [0, -1]] = 0
    far = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    inner = smoothstep((far - _EDGE[0]) / (_EDGE[1] - _EDGE[0]))
    # Fringes hide the foreheads of the young more often.
    brows = template()[BROWS, 1].min()
    u = np.clip((np.arange(SIZE) - brows + _FRINGE[0]) / (_FRINGE[0] - _FRINGE[1]), 0, 1)
    return np.asarray(inner * u[:, None], np.float32)


@cache
def skin_zone() -> Floats:
    """Return (128, 128): 1 where the mean face has skin that wrinkles; not nose, eyes and lips."""
    points = template()
    other = fill_hull(points[27:36], SIZE, grow=3)
    for group in (RIGHT_EYE, LEFT_EYE):
        other |= fill_hull(points[group], SIZE, grow=2)
    other |= fill_hull(points[OUTER_LIPS], SIZE, grow=1)
    return 1 - cv2.GaussianBlur(other.astype(np.float32), (0, 0), 2.0)


def wrinkle_depth(age: float) -> float:
    """Return how wrinkled skin is at an age, from 0 to 1."""
    return float(1 / (1 + np.exp((_WRINKLED_AT - age) / _WRINKLING)))
