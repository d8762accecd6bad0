"""The plane of valence and arousal as surfaces: where a mean face's landmarks and latent go.

Russell, "A circumplex model of affect", Journal of Personality and Social Psychology 39(6), 1980,
arranges feelings by valence (unpleasant to pleasant) and arousal (sleepy to excited). Over that
plane a quadratic surface is fitted to labelled faces; what the mean of each named expression
differs from it is spread by a Gaussian around the expression's own place. So anger has its brows
although fear, whose brows do the opposite, lies beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import AssetError
from faceflex.faces.align import estimate_similarity, transform_points
from faceflex.faces.landmark_groups import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    OUTER_MOUTH_CORNERS,
    RIGID_LANDMARKS,
)
from faceflex.tensors import read_arrays, valid_names, wrap_read_errors, write_arrays

KIND, LABEL = "faceflex-affect-plane-2", "plane of valence and arousal"
SHADING = (64, 32)
"""Rows and columns of a half of the face's shading: its pixels are two of the 128-pixel crop."""
TERMS = 5
"""Terms of the quadratic surface: valence, arousal, their squares and their product."""

_DOUBT, _MOST_SMILE = 0.15, 1.25  # Differences of a smile that say nothing, and that do most.
_DOUBT_GAP = 1.0  # Pixels of a mouth's opening that say nothing.
_INNER_TOP, _INNER_BOTTOM = INNER_UPPER_LIP[1:4], INNER_LOWER_LIP[1:4]
_FULLY = 0.5  # Change of valence over which they come to count.
_SMILING = 0.68  # Valence of happy faces: a smile grows in proportion, whatever the arousal.
_SHADES = SHADING[0] * SHADING[1]
_ARRAYS = ("surface", "offsets", "places", "neutral")

Floats = NDArray[np.float32]


def supported(places: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return places (N, 2), their arousal held where AffectNet has faces of such valence.

    Few of its faces are sleepy (17 of 3,812 below -0.5), and hardly any both pleased and sleepy, or
    very pleased and very excited: surfaces would be guesses there.
    """
    v, a = np.asarray(places, np.float64).T
    pleased = np.clip(v, 0, 1)
    return np.stack([v, np.clip(a, -0.45 + 0.6 * np.minimum(pleased, 0.4), 0.9 - 0.5 * pleased)], 1)


def _smiling_share(valence: float, arousal: float) -> float:
    """Return how far a smile is held to its proportion, 0 to 1: not in surprise, which has none."""
    excited = float(np.clip((arousal - 0.3) / 0.4, 0, 1))
    return 1 - excited * (1 - float(np.clip((valence - 0.2) / 0.3, 0, 1)))


def quadratic(places: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the terms (N, 5) of places (N, 2); all are 0 in the middle of the plane."""
    v, a = supported(places).T
    return np.stack([v, a, v * v, v * a, a * a], axis=1)


def nearness(
    places: NDArray[np.floating], centres: NDArray[np.floating], width: float
) -> NDArray[np.float64]:
    """Return (N, C): how near places are to centres, by a Gaussian; all 0 in the middle."""

    def gaussian(p: NDArray[np.floating]) -> NDArray[np.float64]:
        square = np.square(p[:, None] - centres[None]).sum(axis=2)
        return np.asarray(np.exp(-square / (2 * width * width)), np.float64)

    return gaussian(supported(places)) - gaussian(np.zeros((1, 2)))


@dataclass(frozen=True)
class AffectPlane:
    """Surfaces over the plane of valence and arousal.

    Attributes
    ----------
    surface
        (5, 136 + D + 2048) coefficients of the quadratic terms: of the 68 landmarks, x and y in
        pixels of the crop, of the latent, and of the shading.
    offsets
        (C, 136 + D + 2048) coefficients of the named expressions' Gaussians.
    places
        (C, 2) valence and arousal of the named expressions: the means of their faces.
    neutral
        (68, 2) mean landmarks of neutral faces, laid on the template by nose and corners of the
        eyes.
    names
        Their names.
    width
        Standard deviation of the Gaussians.
    model
        Id of the face model whose latents these are.

    Examples
    --------
    >>> from faceflex.assets import resolve
    >>> plane = AffectPlane.load(resolve("affect-plane"))
    >>> motion, offset = plane.change((0.0, 0.0), (0.6, 0.1))
    >>> motion.shape, offset.shape
    ((68, 2), (500,))
    >>> bool(motion[48, 1] < -1 and motion[54, 1] < -1)  # The corners of a happy mouth rise.
    True
    """

    surface: Floats
    offsets: Floats
    places: Floats
    neutral: Floats
    names: tuple[str, ...]
    width: float
    model: str

    @property
    def latent_size(self) -> int:
        """D, the numbers of a latent."""
        return int(self.surface.shape[1]) - 136 - _SHADES

    def at(self, place: Sequence[float]) -> NDArray[np.float64]:
        """Return (136 + D + 2048,): how a face at a place differs from one in the middle.

        That is the mean of such faces, but that smiles grow in proportion with pleasure: they do
        not in the mean, which has hardly one at half the valence of happy faces.
        """
        mean = self._mean_face(place)
        wanted, share = max(place[0], 0.0) / _SMILING, _smiling_share(*place)
        if wanted <= 0 or share <= 0:
            return mean
        missing = wanted - self.smile(self.neutral + mean[:136].reshape(68, 2))
        return mean + share * missing * self._happy_face

    def _mean_face(self, place: Sequence[float]) -> NDArray[np.float64]:
        """Return (136 + D + 2048,): how the mean face at a place differs from one in the middle."""
        p = np.array([place], np.float64)
        smooth = quadratic(p)[0] @ self.surface
        return np.asarray(smooth + nearness(p, self.places, self.width)[0] @ self.offsets)

    def change(self, start: Sequence[float], end: Sequence[float]) -> tuple[Floats, Floats]:
        """Return how landmarks (68, 2) and latent (D,) change from one place to another."""
        change = np.float32(self.at(end) - self.at(start))
        return change[:136].reshape(68, 2), change[136:-_SHADES]

    def shading(self, start: Sequence[float], end: Sequence[float]) -> Floats:
        """Return how the logarithm of a face's brightness (64, 64) changes between two places.

        That is what folds do to light: in the shape of :attr:`neutral`, fine detail only, and
        nothing where brows, eyes, mouth and the face's edge are, which move.
        """
        half = np.float32(self.at(end) - self.at(start))[-_SHADES:].reshape(SHADING)
        return np.concatenate([half, half[:, ::-1]], axis=1)

    def smile(self, landmarks: NDArray[np.floating]) -> float:
        """Return how much a face smiles by the corners of its mouth: 0 neutral, 1 as happy faces.

        Parameters
        ----------
        landmarks
            (68, 2), in any frame.
        """
        rigid = list(RIGID_LANDMARKS)
        points = np.asarray(landmarks, np.float32)
        still = transform_points(estimate_similarity(points[rigid], self.neutral[rigid]), points)
        corners = list(OUTER_MOUTH_CORNERS)
        usual = self._happy[0][corners]
        moved = (still - self.neutral)[corners]
        up = moved[:, 1].mean() / usual[:, 1].mean()
        wide = (moved[1, 0] - moved[0, 0]) / (usual[1, 0] - usual[0, 0])
        return float(up + wide) / 2

    @cached_property
    def _happy_face(self) -> NDArray[np.float64]:
        """How (136 + D + 2048,) a face changes from the middle of the plane to happy faces."""
        return self._mean_face(self.places[self.names.index("happy")].tolist())

    @cached_property
    def _happy(self) -> tuple[Floats, Floats]:
        """How landmarks and latent do."""
        mean = np.float32(self._happy_face)
        return mean[:136].reshape(68, 2), mean[136:-_SHADES]

    def change_of(
        self, landmarks: NDArray[np.floating], start: Sequence[float], end: Sequence[float]
    ) -> tuple[Floats, Floats]:
        """Return :meth:`change` for one face: what smile it has, more or less than usual, counts.

        A broad smile has farther to go to a sad face than the mean smile at its place, and a face
        that does not smile farther to a happy one.

        Parameters
        ----------
        landmarks
            (68, 2) the face's own.
        start, end
            Its place, and where it goes.
        """
        motion, offset = self.change(start, end)
        usual = self.neutral + self.change((0.0, 0.0), start)[0]
        more = self.smile(landmarks) - self.smile(usual)
        more = float(np.clip(more, -_MOST_SMILE, _MOST_SMILE))
        more = float(np.copysign(max(0.0, abs(more) - _DOUBT), more))
        rise = (end[0] - start[0]) / _FULLY
        share = np.float32(np.clip(-rise if more > 0 else rise, 0, 1) * more)
        happy, toward = self._happy
        motion, offset = motion - share * happy, offset - share * toward
        # An open mouth closes by what the smile's part of that leaves.
        top, bottom = (list(group) for group in (_INNER_TOP, _INNER_BOTTOM))
        gap, usual_gap, happy_gap = (
            float((p[bottom, 1] - p[top, 1]).mean()) for p in (landmarks, usual, happy)
        )
        left = gap - usual_gap - _DOUBT_GAP - max(0.0, float(share)) * happy_gap
        motion[bottom, 1] -= np.float32(np.clip(-rise, 0, 1) * max(0.0, left))
        return motion, offset

    def save(self, path: Path, extra: Mapping[str, object] | None = None) -> None:
        """Write to a file (float16); it appears whole or not at all."""
        arrays = {name: getattr(self, name).astype(np.float16) for name in _ARRAYS}
        metadata = {
            "kind": KIND,
            "model": self.model,
            "names": json.dumps(self.names),
            "width": repr(float(self.width)),
        }
        write_arrays(path, arrays, metadata | {k: json.dumps(v) for k, v in (extra or {}).items()})

    @classmethod
    def load(cls, path: Path, model: str | None = None) -> AffectPlane:
        """Read a file.

        Parameters
        ----------
        path
            File written by :meth:`save`.
        model
            Id of the face model to be used with it.

        Raises
        ------
        AssetError
            If the file is missing or damaged, or belongs to another model.
        """
        arrays, metadata = read_arrays(path, KIND, LABEL)
        with wrap_read_errors(path, LABEL):
            surface, offsets, places, neutral = (np.float32(arrays[n]) for n in _ARRAYS)
            names, width = tuple(json.loads(metadata["names"])), float(metadata["width"])
            fits = (
                surface.ndim == offsets.ndim == places.ndim == 2
                and surface.shape[0] == TERMS
                and surface.shape[1] == offsets.shape[1] > 136 + _SHADES
                and places.shape == (len(offsets), 2)
                and neutral.shape == (68, 2)
                and len(names) == len(offsets)
                and valid_names(names)
                and 0.01 < width < 10
                and float(np.abs(places).max()) <= 1
            )
            if not fits:
                raise ValueError("its parts do not fit together")
            belongs = metadata["model"]
        if model is not None and belongs != model:
            raise AssetError(
                f"{path}: this plane belongs to model {belongs}, not to {model}; "
                "fit one for it with: faceflex train affect-plane"
            )
        return cls(surface, offsets, places, neutral, names, width, belongs)
