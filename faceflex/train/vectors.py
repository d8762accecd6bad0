"""Attribute vectors from labelled faces: encode them all, then estimate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from faceflex.data.cache import WIDE, AlignedCache
from faceflex.errors import UsageError
from faceflex.models.codec import encode_faces
from faceflex.models.vae import VAE
from faceflex.train.template import mirrored
from faceflex.vectors import (
    VERSIONS,
    AttributeVectors,
    auc_score,
    describe,
    estimate,
    ridge,
)

_MIN_HELD_OUT = 5  # Held-out faces of either class that an AUC needs.

Progress = Callable[[int, int], None]


def encode_both_ways(
    cache: AlignedCache,
    index: Sequence[int] | NDArray[np.integer],
    model: VAE,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the latents (N, D) of the faces ``index``, and those of their mirror images."""
    plain, mirrored, step = [], [], 128
    for start in range(0, len(index), step):
        crops = cache.crops(index[start : start + step])
        plain.append(encode_faces(model, crops))
        mirrored.append(encode_faces(model, np.ascontiguousarray(crops[:, :, ::-1])))
        if progress:
            progress(min(start + step, len(index)), len(index))
    return np.concatenate(plain), np.concatenate(mirrored)


def build_vectors(
    cache: AlignedCache,
    model: VAE,
    model_id: str,
    *,
    attributes: Sequence[str] | None = None,
    versions: int = VERSIONS,
    seed: int = 0,
    progress: Progress | None = None,
) -> AttributeVectors:
    """Estimate vectors from the training faces of a cache, and measure them on the held-out ones.

    Parameters
    ----------
    cache
        Aligned faces with CelebA's labels.
    model, model_id
        The face model, in evaluation mode, and its id.
    attributes
        Which attributes; all by default.
    versions, seed
        As for :func:`faceflex.vectors.estimate`.
    progress
        Called with (faces encoded, faces in all).

    Raises
    ------
    UsageError
        If the faces have no such labels, or too few of a class.
    """
    known = next((set(labels) for labels in cache.labels if labels), set())
    wanted = list(attributes) if attributes else sorted(known)
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        names = ", ".join(sorted(known)) or "none"
        raise UsageError(
            f"no labels for {', '.join(unknown) or 'any attribute'}; there are: {names}"
        )
    index = np.array([i for i, labels in enumerate(cache.labels) if set(labels) == known])
    apart = cache.held_out[index]
    plain, mirrored_faces = encode_both_ways(cache, index, model, progress)
    shape = _shape(plain[~apart], mirrored_faces[~apart], cache.points[index][~apart])
    # The mean of a face and its mirror image: no label knows left from right, and directions of
    # symmetric attributes come out symmetric.
    z = (plain + mirrored_faces) / 2
    labels = {name: np.array([cache.labels[i][name] > 0 for i in index]) for name in sorted(known)}
    train = {name: has[~apart] for name, has in labels.items()}
    found, info = {}, {}
    for name in wanted:
        vectors, gap = estimate(z[~apart], train, name, versions=versions, seed=seed)
        found[name] = vectors
        truth, auc = labels[name][apart], None
        if min(int(truth.sum()), int((~truth).sum())) >= _MIN_HELD_OUT:
            reader = ridge(z[~apart], train[name][:, None].astype(np.float64))
            auc = auc_score((z[apart] @ reader)[:, 0], truth)
        info[name] = describe(vectors, gap, train[name], auc)
    return AttributeVectors(found, info, model_id, shape)


def _shape(
    plain: NDArray[np.float32], mirror: NDArray[np.float32], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (D, 136): how landmarks move with the latent, read linearly, left and right alike."""
    there = np.stack([mirrored(p, WIDE) for p in points])
    both = np.concatenate([points, there]).reshape(2 * len(points), -1)
    return ridge(np.concatenate([plain, mirror]), both).astype(np.float32)
