"""Weighted PCA of half-size faces: the closed-form start of the VAE's linear path."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceflex.data.cache import MARGIN, AlignedCache
from faceflex.faces.align import SIZE
from faceflex.models.vae import VAE

_ROUNDS, _EXTRA = 3, 60
_NOISE_SHARE = 0.7  # Posterior variance of the last component, as a share of its own.


@dataclass(frozen=True)
class WeightedPCA:
    """PCA of weighted pictures.

    Attributes
    ----------
    mean
        (n,) mean picture, channels first.
    basis
        (k, n) orthonormal components of the weighted, centred pictures.
    variance
        (k,) variance along each component, falling.
    weight
        (n,) weight of each pixel.
    """

    mean: Tensor
    basis: Tensor
    variance: Tensor
    weight: Tensor


def _halves(cache: AlignedCache, index: NDArray[np.integer], seed: int) -> Tensor:
    """Return half-size faces (N, 3 * 64 * 64) in [0, 1], half of them mirrored."""
    rng = np.random.default_rng((seed, 3))
    side, rows = SIZE // 2, []
    for i in index:
        face = cache.faces[i, MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE]
        half = cv2.resize(np.ascontiguousarray(face), (side, side), interpolation=cv2.INTER_AREA)
        rows.append(half[:, ::-1] if rng.random() < 0.5 else half)
    stacked = torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)
    return stacked.reshape(len(rows), -1).float().div_(255)


def fit_weighted_pca(
    cache: AlignedCache, index: NDArray[np.integer], components: int, seed: int
) -> WeightedPCA:
    """Fit PCA by subspace iteration (Halko, Martinsson and Tropp 2011).

    Parameters
    ----------
    cache, index
        Faces to fit.
    components
        How many components to keep; must be below the number of faces.
    seed
        Fixes mirroring and the random start.
    """
    x = _halves(cache, index, seed)
    sample = cache.weight[np.sort(index[:4096]), MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE]
    count = sample.mean(axis=0, dtype=np.float64).astype(np.float32) / 100
    count = (count + count[:, ::-1]) / 2
    side = SIZE // 2
    small = cv2.resize(count, (side, side), interpolation=cv2.INTER_AREA)
    weight = torch.from_numpy(np.sqrt(small)).expand(3, side, side).reshape(-1).contiguous()
    mean = x.mean(dim=0)
    x.sub_(mean).mul_(weight)
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(x.shape[1], min(components + _EXTRA, len(x)), generator=generator)
    for _ in range(_ROUNDS):
        y, _ = torch.linalg.qr(x @ q)
        q, _ = torch.linalg.qr(x.T @ y)
    projected = x @ q
    values, vectors = torch.linalg.eigh(projected.T @ projected / len(x))
    order = torch.argsort(values, descending=True)[:components]
    return WeightedPCA(mean, (q @ vectors[:, order]).T.contiguous(), values[order], weight)


@torch.no_grad()
def start_from(model: VAE, fit: WeightedPCA) -> None:
    """Set a model's linear path, and its posterior's variance, to the PCA solution."""
    path = model.linear
    spread = fit.variance.clamp_min(1e-8).sqrt()
    path.mean.copy_(fit.mean)
    path.basis.copy_(fit.basis)
    path.weight.copy_(fit.weight)
    path.spread_out.copy_(spread)
    path.spread_in.copy_(1 / spread)
    noise = (_NOISE_SHARE * fit.variance[-1] / fit.variance).clamp(max=0.7)
    model.encoder.logvar.bias.copy_(noise.log())
