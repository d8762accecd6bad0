"""Train the judge on CelebA's labels.

Its faces are blurred, coloured, turned and partly covered at random, so that it judges a mouth and
not the sharpness or the light of the picture: it must be fair to edits of large photos as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceflex.data.cache import WIDE, AlignedCache
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE
from faceflex.models.judge import Judge, JudgeConfig, save_judge
from faceflex.vectors import auc_score

Report = Callable[[int, int, float], None]


@dataclass(frozen=True)
class JudgeTraining:
    """How to train a judge; saved with it.

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


def is_kept_from_judge(name: str) -> bool:
    """Tell whether the judge's own tenth, by another hash than the model's, has this picture."""
    return hashlib.sha256(b"judge/" + name.encode()).digest()[0] < 26


def disturb(faces: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Cut faces a little differently, and change their light, colour and sharpness.

    Parameters
    ----------
    faces
        (B, 3, 136, 136) in [0, 1], as the cache keeps them.
    size
        Side of the result in pixels.
    generator
        Source of chance.

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
    # Sharpness: through a smaller picture, one size for each quarter of the batch.
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


def measure(judge: Judge, cache: AlignedCache, index: NDArray[np.integer]) -> dict[str, float]:
    """Return the AUC of each attribute on the faces ``index``, where both classes have 5."""
    scores = judge.eval().scores(cache.crops(index))
    found = {}
    for column, name in enumerate(judge.config.names):
        truth = np.array([cache.labels[i][name] > 0 for i in index])
        if min(int(truth.sum()), int((~truth).sum())) >= 5:
            found[name] = round(auc_score(scores[:, column], truth), 4)
    return found


def train_judge(
    cache: AlignedCache,
    out: Path,
    config: JudgeTraining | None = None,
    report: Report | None = None,
) -> dict[str, float]:
    """Train a judge and write it.

    Parameters
    ----------
    cache
        Aligned faces with CelebA's labels. Neither the faces held out from the face model nor the
        judge's own tenth are trained on.
    out
        File to write.
    config
        How to train.
    report
        Called after each step with (steps done, steps in all, loss).

    Returns
    -------
    AUC of each attribute on the faces that nobody trained on; also kept in the file.

    Raises
    ------
    UsageError
        If the faces have no labels, or too few of them are left to train on.
    """
    config = config or JudgeTraining()
    labelled = np.array([i for i, labels in enumerate(cache.labels) if labels], np.int64)
    apart = np.array([cache.held_out[i] or is_kept_from_judge(cache.names[i]) for i in labelled])
    if len(labelled) == 0 or int((~apart).sum()) < 2 * config.batch:
        raise UsageError(
            f"{len(labelled)} labelled faces: the judge needs CelebA's labels, and"
            f" {2 * config.batch} faces to train on"
        )
    names = tuple(sorted(cache.labels[labelled[0]]))
    truth = np.array([[cache.labels[i][n] > 0 for n in names] for i in labelled], np.float32)
    train = np.flatnonzero(~apart)
    torch.manual_seed(config.seed)
    judge = Judge(JudgeConfig(names)).train()
    optimizer = torch.optim.AdamW(judge.parameters(), config.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.rate, total_steps=config.steps, pct_start=0.1
    )
    chance = torch.Generator().manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    order = np.zeros(0, np.int64)
    for step in range(config.steps):
        if len(order) < config.batch:
            order = rng.permutation(train)
        chosen, order = np.sort(order[: config.batch]), order[config.batch :]
        faces = torch.from_numpy(cache.faces[labelled[chosen]]).permute(0, 3, 1, 2).float() / 255
        logits = judge(disturb(faces, judge.config.size, chance))
        loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(truth[chosen]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if report:
            report(step + 1, config.steps, float(loss.detach()))
    auc = measure(judge, cache, labelled[apart])
    save_judge(judge, out, {"auc": auc, "training": {**asdict(config), "faces": len(train)}})
    return auc
