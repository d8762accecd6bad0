"""Faces of the plane of valence and arousal: who trains on which, balanced batches, agreement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.data.affectnet import share_of
from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError

PARTS = {"held out": (0,), "judge": (1, 2, 3, 4), "edits": (5, 6, 7, 8, 9)}
"""Shares of AffectNet by what they are for: no network that takes part in edits sees the judge's
faces, nor the other way round."""

_CELLS = 8  # Of the plane along a side.
_MOST = 12.0  # How much more often than usual a face of an empty part of the plane is drawn.


def labelled_faces(cache: AlignedCache, part: str) -> NDArray[np.int64]:
    """Return the faces of a cache that have valence and arousal, and belong to one of the parts.

    Raises
    ------
    UsageError
        If there are none.
    """
    places = [
        i
        for i, (name, labels) in enumerate(zip(cache.names, cache.labels, strict=True))
        if "valence" in labels and part_of(name, bool(cache.held_out[i])) == part
    ]
    if not places:
        raise UsageError(f"no faces with valence and arousal ({part})")
    return np.array(places, np.int64)


def part_of(name: str, held_out: bool) -> str:
    """Return the part that a picture belongs to; what a set itself holds out, always is."""
    share = 0 if held_out else share_of(name) or 9
    return next(part for part, shares in PARTS.items() if share in shares)


def plane_labels(cache: AlignedCache, index: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return valence and arousal (N, 2) of the faces ``index``."""
    rows = [(cache.labels[i]["valence"], cache.labels[i]["arousal"]) for i in index]
    return np.array(rows, np.float32).reshape(-1, 2)


def plane_weights(labels: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how often each face (N,) is to be drawn so that the plane (N, 2) is evenly covered.

    Cells with few faces are drawn more often, at most 12 times as often as the mean face.

    Examples
    --------
    >>> crowd = np.array([[0.1, 0.1]] * 3 + [[-0.9, 0.9]])
    >>> plane_weights(crowd).round(2).tolist()
    [0.17, 0.17, 0.17, 0.5]
    """
    cell = np.clip(((np.asarray(labels) + 1) / 2 * _CELLS).astype(int), 0, _CELLS - 1)
    code = cell[:, 0] * _CELLS + cell[:, 1]
    weight = 1 / np.bincount(code, minlength=_CELLS**2)[code]
    weight = np.minimum(weight / weight.mean(), _MOST)
    return np.asarray(weight / weight.sum(), np.float64)


class PlaneSampler:
    """Random batches of faces, evenly spread over the plane; each follows from seed and step.

    Parameters
    ----------
    labels
        (N, 2) valence and arousal.
    batch
        Faces in a batch, over all processes.
    seed
        Fixes the order.
    """

    def __init__(self, labels: NDArray[np.floating], batch: int, seed: int) -> None:
        self._weights, self.batch, self.seed = plane_weights(labels), batch, seed

    def __call__(self, step: int) -> NDArray[np.integer]:
        """Return the places (batch,) of a step's faces."""
        rng = np.random.default_rng((self.seed, 11, step))
        return rng.choice(len(self._weights), self.batch, p=self._weights)


def concordance(truth: NDArray[np.floating], estimate: NDArray[np.floating]) -> float:
    """Return the concordance correlation coefficient (CCC: Lin 1989) of two (N,) arrays.

    1 when they are equal; unlike a correlation it is lowered by another mean and another spread.

    Examples
    --------
    >>> concordance(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0]))
    1.0
    >>> concordance(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.5, 1.0])).__round__(2)
    0.62
    """
    a, b = np.asarray(truth, np.float64), np.asarray(estimate, np.float64)
    shared = 2 * ((a - a.mean()) * (b - b.mean())).mean()
    return float(shared / max(a.var() + b.var() + (a.mean() - b.mean()) ** 2, 1e-12))
