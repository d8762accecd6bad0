"""Attribute vectors: estimate, calibrate, store and sample.

As in Face Flex, a *version* of an attribute is the mean latent of a group of faces that have it
less the mean of a group that have not, and different versions give different kinds of smile. Two
things differ. Groups are drawn balanced over other labels (so that a smile is not also a change of
sex, which CelebA's smiles are), and every version is scaled so that strength 1.0 moves a face by
the mean distance between the two classes along the attribute's direction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import AssetError, UsageError
from faceflex.tensors import damage_named, read_arrays, write_arrays

KIND = "faceflex-vectors-1"
_WHAT = "vector file"
_SHAPE = "landmarks of the latent"  # Name of the shape among the file's arrays.
VERSIONS, GROUP = 25, 200
BALANCED_OVER = ("Male", "Young", "Smiling")
"""Labels over which groups are balanced, as far as there are faces for it."""

_MIN_CELL = 10  # Faces that a class needs in a cell of the balancing labels for the cell to count.
_TIERS = ((0.93, "good"), (0.85, "fair"), (0.0, "weak"))


@dataclass(frozen=True)
class AttributeInfo:
    """What is known of an attribute's vectors.

    Attributes
    ----------
    positive, negative
        Faces with and without it that the vectors come from.
    gap
        Mean distance between the classes along the direction, in latent units.
    auc
        How well a linear reader of the latents tells held-out faces with it from those without
        (area under the ROC curve): what the model knows of it, and how consistent its labels are.
        None when there are too few faces to tell.
    agreement
        Mean cosine between versions: 1 when all are the same direction.
    estimator
        How the versions were made.
    """

    positive: int
    negative: int
    gap: float
    auc: float | None
    agreement: float
    estimator: str

    @property
    def reliability(self) -> str:
        """``good``, ``fair`` or ``weak``, from ``auc``; ``unknown`` without it."""
        if self.auc is None:
            return "unknown"
        return next(name for least, name in _TIERS if self.auc >= least)


def auc_score(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve of ``scores`` (N,) for the labels ``positive`` (N,)."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def _cells(
    labels: Mapping[str, NDArray[np.bool_]], target: str
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Split faces by the balancing labels: per cell, the faces with and without ``target``."""
    others = [n for n in BALANCED_OVER if n != target and n in labels]
    has = labels[target]
    code = np.zeros(len(has), np.int64)
    for name in others:
        code = code * 2 + labels[name]
    cells = []
    for value in np.unique(code):
        inside = code == value
        yes, no = np.flatnonzero(inside & has), np.flatnonzero(inside & ~has)
        if min(len(yes), len(no)) >= _MIN_CELL:
            cells.append((yes, no))
    return cells or [(np.flatnonzero(has), np.flatnonzero(~has))]


def estimate(
    latents: NDArray[np.float32],
    labels: Mapping[str, NDArray[np.bool_]],
    target: str,
    *,
    versions: int = VERSIONS,
    group: int = GROUP,
    seed: int = 0,
) -> tuple[NDArray[np.float32], float]:
    """Estimate the versions of one attribute.

    Parameters
    ----------
    latents
        (N, D) posterior means.
    labels
        (N,) for each attribute: which faces have it.
    target
        The attribute.
    versions
        How many versions to make.
    group
        Faces in a group, at most half of a class in any one cell.
    seed
        Fixes the groups.

    Returns
    -------
    (V, D) float32 versions, calibrated, and the gap between the classes in latent units.

    Raises
    ------
    UsageError
        If a class has fewer than two faces.
    """
    has = labels[target]
    if min(int(has.sum()), int((~has).sum())) < 2:
        raise UsageError(f"{target}: needs at least two faces with and two without it")
    cells = _cells(labels, target)
    # A cell counts by how well its two classes can be compared: the harmonic mean of their sizes.
    size = np.array([2 * len(y) * len(n) / (len(y) + len(n)) for y, n in cells])
    share = size / size.sum()
    rng = np.random.default_rng(seed)
    drawn = np.zeros((versions, latents.shape[1]))
    centre = np.zeros(latents.shape[1])
    for (yes, no), weight in zip(cells, share, strict=True):
        centre += weight * (latents[yes].mean(axis=0) - latents[no].mean(axis=0))
        for version in range(versions):
            for faces, sign in ((yes, 1), (no, -1)):
                count = max(1, min(round(group * weight), len(faces) // 2))
                chosen = rng.choice(faces, count, replace=False)
                drawn[version] += sign * weight * latents[chosen].mean(axis=0)
    gap = float(np.linalg.norm(centre))
    along = drawn @ (centre / max(gap, 1e-12))
    # A version that hardly points along the direction is left at its own length.
    factor = np.where(along > 0.2 * gap, gap / np.maximum(along, 1e-12), 1.0)
    return (drawn * factor[:, None]).astype(np.float32), gap


def ridge(latents: NDArray[np.floating], values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the weights (D, K) that predict ``values`` (N, K) from ``latents`` (N, D)."""
    x = latents - latents.mean(axis=0, dtype=np.float64)
    y = values - values.mean(axis=0, dtype=np.float64)
    gram = x.T @ x
    penalty = 0.02 * np.trace(gram) / len(gram)
    weights: NDArray[np.float64] = np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T @ y)
    return weights


def describe(
    versions: NDArray[np.float32], gap: float, has: NDArray[np.bool_], auc: float | None
) -> AttributeInfo:
    """Describe vectors: where they come from, and how far the versions agree."""
    units = versions / np.maximum(np.linalg.norm(versions, axis=1, keepdims=True), 1e-12)
    n = len(units)
    agreement = float(((units.sum(axis=0) ** 2).sum() - n) / max(1, n * (n - 1)))
    positive = int(has.sum())
    name = f"balanced means of groups of {GROUP}"
    return AttributeInfo(
        positive,
        len(has) - positive,
        round(gap, 4),
        None if auc is None else round(auc, 4),
        round(agreement, 4),
        name,
    )


class AttributeVectors:
    """The attributes that can be edited with one model.

    Parameters
    ----------
    versions
        (V, D) calibrated versions for each attribute.
    info
        What is known of each.
    model
        Id of the face model that they belong to.
    shape
        (D, 136): how the 68 landmarks move, in pixels of the crop, for each number of the latent;
        None when that is not known.
    """

    def __init__(
        self,
        versions: Mapping[str, NDArray[np.float32]],
        info: Mapping[str, AttributeInfo],
        model: str,
        shape: NDArray[np.float32] | None = None,
    ) -> None:
        self.versions, self.info, self.model = dict(versions), dict(info), model
        self.shape = shape

    def __contains__(self, name: str) -> bool:
        return name in self.versions

    @property
    def names(self) -> list[str]:
        """The attributes' names, sorted."""
        return sorted(self.versions)

    @property
    def width(self) -> int:
        """D, the numbers of a latent."""
        return int(next(iter(self.versions.values())).shape[1])

    def find(self, name: str) -> str:
        """Return the attribute that ``name`` means, whatever its case.

        Raises
        ------
        UsageError
            If there is none; the message suggests the nearest.
        """
        by_lower = {n.lower(): n for n in self.versions}
        wanted = name.lower().replace("-", "_").replace(" ", "_")
        if wanted in by_lower:
            return by_lower[wanted]
        near = get_close_matches(wanted, by_lower, n=1, cutoff=0.5)
        hint = f"; did you mean {by_lower[near[0]]}?" if near else ""
        raise UsageError(f"unknown attribute {name!r}{hint} (see: faceflex attributes)")

    def mean(self, name: str) -> NDArray[np.float32]:
        """Return the mean (D,) of an attribute's versions."""
        mean: NDArray[np.float32] = self.versions[self.find(name)].mean(axis=0, dtype=np.float32)
        return mean

    def landmark_shift(self, shift: NDArray[np.floating]) -> NDArray[np.float32] | None:
        """Return how a latent shift (D,) moves the landmarks, (68, 2) in pixels of the crop."""
        if self.shape is None:
            return None
        return np.asarray(shift @ self.shape, np.float32).reshape(68, 2)

    def sample(self, name: str, count: int, seed: int = 0) -> NDArray[np.float32]:
        """Draw versions of an attribute.

        Parameters
        ----------
        name
            The attribute.
        count
            How many; 1 gives the mean of all versions.
        seed
            Fixes the draw.

        Returns
        -------
        (count, D) float32.

        Raises
        ------
        UsageError
            If there are fewer versions than that, or no such attribute.
        """
        versions = self.versions[self.find(name)]
        if not 1 <= count <= len(versions):
            raise UsageError(f"{count} samples asked; {name} has 1 to {len(versions)}")
        if count == 1:
            return self.mean(name)[None]
        order = np.random.default_rng(seed).permutation(len(versions))
        drawn: NDArray[np.float32] = versions[order[:count]]
        return drawn

    def save(self, path: Path) -> None:
        """Write to a file (float16); it appears whole or not at all."""
        info = {k: asdict(v) for k, v in self.info.items()}
        metadata = {"kind": KIND, "model": self.model, "info": json.dumps(info, sort_keys=True)}
        arrays = {k: v.astype(np.float16) for k, v in self.versions.items()}
        if self.shape is not None:
            arrays[_SHAPE] = self.shape.astype(np.float16)
        write_arrays(path, arrays, metadata)

    @classmethod
    def load(cls, path: Path, model: str | None = None) -> AttributeVectors:
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
        arrays, metadata = read_arrays(path, KIND, _WHAT)
        with damage_named(path, _WHAT):
            versions = {k: v.astype(np.float32) for k, v in arrays.items()}
            shape = versions.pop(_SHAPE, None)
            info = {k: AttributeInfo(**v) for k, v in json.loads(metadata["info"]).items()}
            belongs = metadata["model"]
            shapes = {v.shape[1:] for v in versions.values()}
            full = all(v.ndim == 2 and len(v) for v in versions.values())
            if (shape is not None and shapes != {(len(shape),)}) or getattr(shape, "ndim", 2) != 2:
                full = False
            if set(info) != set(versions) or not full or len(shapes) != 1:
                raise ValueError("its parts do not fit together")
        if model is not None and belongs != model:
            raise AssetError(
                f"{path}: these vectors belong to model {belongs}, not to {model}; "
                "make vectors for it with: faceflex build-vectors"
            )
        return cls(versions, info, belongs, shape)
