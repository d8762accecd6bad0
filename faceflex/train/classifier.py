"""Train networks that read labels from faces: the judge, and the one that compares pictures.

Faces are cut, lit and coloured a little differently each time, and covered now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.data.cache import WIDE, AlignedCache
from faceflex.faces.align import SIZE

Report = Callable[[int, int, float], None]


@dataclass(frozen=True)
class ClassifierTraining:
    """How to train a network that reads labels; saved with it.

    Attributes
    ----------
    steps, batch
        Batches in all, and faces in each.
    rate
        Peak learning rate; it falls to 0 along a cosine.
    seed
        Fixes start, order and disturbance.
    """

    steps: int = 3600
    batch: int = 64
    rate: float = 2e-3
    seed: int = 20


def augment(faces: Tensor, size: int, generator: torch.Generator, *, soften: bool = True) -> Tensor:
    """Cut faces a little differently, and change their light, colour and sharpness.

    Parameters
    ----------
    faces
        (B, 3, 136, 136) in [0, 1], as the cache keeps them.
    size
        Side of the result in pixels.
    generator
        Source of chance.
    soften
        Whether to take sharpness away at random as well.

    Returns
    -------
    (B, 3, size, size), about [0, 1].
    """
    n = len(faces)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((n, *shape), generator=generator)

    turn, scale = uniform(-0.16, 0.16), uniform(0.9, 1.08) * (SIZE / WIDE)
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    shift = uniform(-0.06, 0.06, 2)
    cos, sin = scale * torch.cos(turn), scale * torch.sin(turn)
    rows = [[cos * flip, -sin, shift[:, 0]], [sin * flip, cos, shift[:, 1]]]
    theta = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(theta, [n, 3, size, size], align_corners=False)
    x = F.grid_sample(faces, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if soften:
        # Through a smaller picture, one size for each quarter of the batch.
        parts = []
        for part in x.chunk(4):
            small = min(size, int(torch.randint(36, size + 30, (1,), generator=generator)))
            shrunk = F.interpolate(part, size=(small, small), mode="area")
            parts.append(F.interpolate(shrunk, (size, size), mode="bicubic", align_corners=False))
        x = torch.cat(parts)
    gray = x.mean(dim=1, keepdim=True)
    x = gray + (x - gray) * uniform(0.5, 1.4, 1, 1, 1)
    x = x * uniform(0.94, 1.06, 3, 1, 1)
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    x = middle + (x - middle) * uniform(0.7, 1.3, 1, 1, 1) + uniform(-0.12, 0.12, 1, 1, 1)
    x = x + uniform(0, 0.03, 1, 1, 1) * torch.randn(x.shape, generator=generator)
    # A covered patch now and then, so that no single place decides.
    line = torch.arange(size)
    centre, half = uniform(0, size, 2), uniform(0, size / 7, 1) * (uniform(0, 1, 1) < 0.5)
    covered = ((line - centre[:, :1]).abs() < half)[:, None, None, :] & (
        (line - centre[:, 1:]).abs() < half
    )[:, None, :, None]
    return torch.where(covered, middle, x)


def train_classifier(
    network: nn.Module,
    cache: AlignedCache,
    index: NDArray[np.integer],
    truth: NDArray[np.float32],
    config: ClassifierTraining,
    size: int,
    *,
    soften: bool = True,
    report: Report | None = None,
) -> None:
    """Train a network in place to tell labels from faces.

    Parameters
    ----------
    network
        Takes (B, 3, size, size) pictures, gives (B, K) logits.
    cache, index
        Faces to train on.
    truth
        (N, K) for the N faces of ``index``: 0 to 1, or NaN where a label is not known.
    config
        How to train.
    size, soften
        As for :func:`augment`.
    report
        Called after each step with (steps done, steps in all, loss).
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), config.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.rate, total_steps=config.steps, pct_start=0.1
    )
    chance = torch.Generator().manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    order = np.zeros(0, np.int64)
    for step in range(config.steps):
        if len(order) < config.batch:
            order = rng.permutation(len(index))
        chosen, order = np.sort(order[: config.batch]), order[config.batch :]
        faces = torch.from_numpy(cache.faces[index[chosen]]).permute(0, 3, 1, 2).float() / 255
        pictures = augment(faces, size, chance, soften=soften)
        logits = network(pictures.contiguous(memory_format=torch.channels_last))
        target = torch.from_numpy(truth[chosen])
        known = ~torch.isnan(target)
        loss = F.binary_cross_entropy_with_logits(logits[known], target[known])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if report:
            report(step + 1, config.steps, float(loss.detach()))
