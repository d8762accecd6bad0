"""Attribute vectors, estimated from the latents of labelled faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceflex.data.latents import Latents
from faceflex.errors import UsageError
from faceflex.faces.landmark_groups import LEFT_EYE, MOUTH, RIGHT_EYE
from faceflex.methods.attribute_styles import expression_names
from faceflex.methods.directions import ESTIMATORS, VERSIONS, auc_score, estimate, ridge
from faceflex.methods.vectors import AttributeVectors, describe

_MIN_HELD_OUT = 5  # Held-out faces of either class that an AUC needs.
_AGE_RIDGE = 30.0
_PARTS = (MOUTH, RIGHT_EYE, LEFT_EYE)
FACES_FOR_READOUT = 3000
"""From so many faces on, the linear readout of landmarks is reliable."""


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
        Vectors of the same model whose landmark readout is used when there are too few faces for a
        new one, and whose linear probes are kept for attributes that have no labels here.

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
    held_out = faces.held_out
    if len(held_out) < FACES_FOR_READOUT:
        held_out = np.zeros_like(held_out)
    readout = base.landmark_readout if base is not None else None
    if len(held_out) >= FACES_FOR_READOUT or readout is None:
        readout = _landmark_readout(faces, ~held_out)
    # The mean of a face and its mirror image: no label knows left from right, and directions of
    # symmetric attributes come out symmetric.
    z = ((faces.plain + faces.mirror) / 2).astype(np.float32)
    z, held_out_z = z[~held_out], z[held_out]
    train = {name: values[~held_out] for name, values in labels.items()}
    probes = dict(base.linear_probes) if base is not None else {}
    age_probe = base.age_probe if base is not None else None
    ages = np.array([r.labels.get("age", np.nan) for r in faces.records])[~held_out]
    if int((~np.isnan(ages)).sum()) >= FACES_FOR_READOUT:
        age_probe = fit_age_probe(z[~np.isnan(ages)], ages[~np.isnan(ages)])
    versions_by_name, info = {}, {}
    kinds = _expression_components(faces)[~held_out]
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
        versions_by_name[name] = vectors
        probe = ridge(z[known], train[name][known, None].astype(np.float64))
        probes[name] = probe[:, 0].astype(np.float32)
        auc = _auc(held_out_z @ probe[:, 0], labels[name][held_out])
        info[name] = describe(vectors, gap, train[name], auc, estimator)
    return AttributeVectors(versions_by_name, info, model_id, readout, probes, age_probe)


def fit_age_probe(latents: NDArray[np.floating], ages: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return weights and intercept (D + 1,) that predict years (N,) from latents (N, D)."""
    both = np.column_stack([latents, np.ones(len(latents))]).astype(np.float64)
    gram = both.T @ both + _AGE_RIDGE * np.eye(both.shape[1])
    return np.float32(np.linalg.solve(gram, both.T @ ages))


def _auc(scores: NDArray[np.floating], truth: NDArray[np.int8]) -> float | None:
    known = truth != 0
    if min(int((truth > 0).sum()), int((truth < 0).sum())) < _MIN_HELD_OUT:
        return None
    return auc_score(scores[known], truth[known] > 0)


def _landmark_readout(faces: Latents, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the linear regression (D, 136) of landmarks on latents, symmetric left and right."""
    both = np.concatenate([faces.points[chosen], faces.mirror_points[chosen]])
    latents = np.concatenate([faces.plain[chosen], faces.mirror[chosen]])
    return ridge(latents, both.reshape(len(both), -1)).astype(np.float32)


_COMPONENTS = 6  # Principal components of the shapes of mouth and eyes that versions differ in.


def _expression_components(faces: Latents) -> NDArray[np.float64]:
    """Return (N, K) principal components of the shapes of mouth and eyes, each of variance 1.

    Every part is taken about its own middle, so that neither the pose nor the proportions of a face
    make its kind of smile; left and right count alike.
    """
    both = (faces.points + faces.mirror_points) / 2
    parts = [both[:, p] - both[:, p].mean(axis=1, keepdims=True) for p in _PARTS]
    x = np.concatenate(parts, axis=1).reshape(len(both), -1).astype(np.float64)
    x -= x.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    best = np.argsort(values)[::-1][:_COMPONENTS]
    components: NDArray[np.float64] = (
        x @ vectors[:, best] / np.sqrt(np.maximum(values[best], 1e-12))
    )
    return components
