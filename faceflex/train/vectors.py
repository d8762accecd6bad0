"""Attribute vectors from labelled faces that were encoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceflex.data.latents import Latents
from faceflex.errors import UsageError
from faceflex.methods.attribute_styles import expression_names
from faceflex.methods.directions import ESTIMATORS, VERSIONS, auc_score, estimate, ridge
from faceflex.methods.vectors import AttributeVectors, describe

_MIN_HELD_OUT = 5  # Held-out faces of either class that an AUC needs.
_PARTS = (slice(48, 68), slice(36, 42), slice(42, 48))
FACES_FOR_SHAPE = 3000
"""From so few faces on, landmarks can be read from latents reliably."""


def as_labels(faces: Latents) -> dict[str, NDArray[np.int8]]:
    """Return (N,) 1, -1 or 0 (not known) for each label that some face has."""
    names = sorted({name for r in faces.records for name in r.labels})
    return {
        name: np.array([np.sign(r.labels.get(name, 0.0)) for r in faces.records], np.int8)
        for name in names
    }


def build_vectors(
    faces: Latents,
    model_id: str,
    *,
    attributes: Sequence[str] | None = None,
    estimator: str = ESTIMATORS[0],
    versions: int = VERSIONS,
    seed: int = 0,
    base: AttributeVectors | None = None,
) -> AttributeVectors:
    """Estimate vectors from the training faces of a set, and measure them on the held-out ones.

    Parameters
    ----------
    faces
        Encoded faces with labels. Of fewer than 3,000 none is held out.
    model_id
        The face model's id.
    attributes
        Which attributes; all by default.
    estimator, versions, seed
        As for :func:`faceflex.methods.directions.estimate`.
    base
        Vectors of the same model whose reading of landmarks is used when there are too few faces
        for one of their own, and whose readers are kept for attributes that have no labels here.

    Raises
    ------
    UsageError
        If the faces have no such labels, or too few of a class.
    """
    labels = as_labels(faces)
    wanted = list(attributes) if attributes else list(labels)
    unknown = [name for name in wanted if name not in labels]
    if unknown or not wanted:
        names = ", ".join(labels) or "none"
        raise UsageError(
            f"no labels for {', '.join(unknown) or 'any attribute'}; there are: {names}"
        )
    apart = faces.held_out
    if len(apart) < FACES_FOR_SHAPE:
        apart = np.zeros_like(apart)
    shape = base.shape if base is not None else None
    if len(apart) >= FACES_FOR_SHAPE or shape is None:
        shape = _shape(faces, ~apart)
    # The mean of a face and its mirror image: no label knows left from right, and directions of
    # symmetric attributes come out symmetric.
    z = ((faces.plain + faces.mirror) / 2).astype(np.float32)
    z, unseen = z[~apart], z[apart]
    train = {name: values[~apart] for name, values in labels.items()}
    readers = dict(base.readers) if base is not None else {}
    found, info = {}, {}
    kinds = _kinds(faces)[~apart]
    expressions = set(expression_names())
    for name in wanted:
        known = train[name] != 0
        vectors, gap = estimate(
            z,
            train,
            name,
            estimator=estimator,
            versions=versions,
            seed=seed,
            kinds=kinds if name in expressions else None,
        )
        found[name] = vectors
        reader = ridge(z[known], train[name][known, None].astype(np.float64))
        readers[name] = reader[:, 0].astype(np.float32)
        auc = _auc(unseen @ reader[:, 0], labels[name][apart])
        info[name] = describe(vectors, gap, train[name], auc, estimator)
    return AttributeVectors(found, info, model_id, shape, readers)


def _auc(scores: NDArray[np.floating], truth: NDArray[np.int8]) -> float | None:
    known = truth != 0
    if min(int((truth > 0).sum()), int((truth < 0).sum())) < _MIN_HELD_OUT:
        return None
    return auc_score(scores[known], truth[known] > 0)


def _shape(faces: Latents, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return (D, 136): how landmarks move with the latent, read linearly, left and right alike."""
    both = np.concatenate([faces.points[chosen], faces.mirror_points[chosen]])
    latents = np.concatenate([faces.plain[chosen], faces.mirror[chosen]])
    return ridge(latents, both.reshape(len(both), -1)).astype(np.float32)


_KINDS = 6  # Principal components of the shapes of mouth and eyes that versions differ in.


def _kinds(faces: Latents) -> NDArray[np.float64]:
    """Return (N, K) principal components of the shapes of mouth and eyes, each of variance 1.

    Every part is taken about its own middle, so that neither the pose nor the proportions of a face
    make its kind of smile; left and right count alike.
    """
    both = (faces.points + faces.mirror_points) / 2
    parts = [both[:, p] - both[:, p].mean(axis=1, keepdims=True) for p in _PARTS]
    x = np.concatenate(parts, axis=1).reshape(len(both), -1).astype(np.float64)
    x -= x.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    best = np.argsort(values)[::-1][:_KINDS]
    kinds: NDArray[np.float64] = x @ vectors[:, best] / np.sqrt(np.maximum(values[best], 1e-12))
    return kinds
