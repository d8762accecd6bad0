"""Objective of the degree regressor: hand-made smile degrees, and smiles that others labelled.

A few hundred hand-made degrees are too few to see a smile by; CelebA's *Smiling* labels are many,
but no degrees. One score learns from both: every batch has some of either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError
from faceflex.models.checkpoint import save_network
from faceflex.models.degree_regressor import DegreeRegressor
from faceflex.train.batches import EpochSampler
from faceflex.train.classifier import augmented_part
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.workers import Workers

FOLDS = 4


@dataclass(frozen=True)
class DegreeTraining(TrainConfig):
    """How to train the regressor.

    Attributes
    ----------
    by_hand
        Faces of a batch that have hand-made degrees.
    weight
        Weight of their loss.
    fold
        Which quarter of the hand-made degrees is held out; by a hash of the name.
    """

    steps: int = 2600
    batch: int = 64
    rate: float = 2e-3
    warmup: int = 200
    decay: float = 0.8
    ema: float = 0.995
    clip: float = float("inf")
    seed: int = 60
    by_hand: int = 20
    weight: float = 3.0
    fold: int = 0


def degree_fold(name: str) -> int:
    """Return the fold (0 to 3) of a picture with a hand-made degree."""
    return hashlib.sha256(b"degree/" + name.encode()).digest()[0] % FOLDS


class DegreeBatch(NamedTuple):
    """Augmented pictures (B, 3, size, size); targets (B,); which (B,) of them are degrees."""

    pictures: Tensor
    targets: Tensor
    by_hand: Tensor


class DegreeObjective(Objective[DegreeRegressor, DegreeBatch, Tensor]):
    """The regressor's training.

    Parameters
    ----------
    cache
        Aligned faces, some with *Smiling* labels.
    degrees
        Hand-made degrees by file name.
    config
        How to train.
    workers
        The processes that train together; batch normalisation sees each one's part.

    Raises
    ------
    UsageError
        If there are too few faces of either kind.
    """

    config: DegreeTraining

    def __init__(
        self,
        cache: AlignedCache,
        degrees: Mapping[str, float],
        config: DegreeTraining | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.cache, self.workers = cache, workers or Workers()
        self.config = config or DegreeTraining()
        names, fold = cache.names, self.config.fold
        smiles = [row.get("Smiling", 0.0) for row in cache.labels]
        hand = [i for i, name in enumerate(names) if name in degrees]
        taught = [i for i in hand if degree_fold(names[i]) != fold and not bool(cache.held_out[i])]
        self.held_out_index = np.array([i for i in hand if i not in set(taught)], np.int64)
        labelled = [i for i, v in enumerate(smiles) if v and not bool(cache.held_out[i])]
        others = self.config.batch - self.config.by_hand
        if len(taught) < self.config.by_hand or len(labelled) < others:
            raise UsageError(
                f"{len(taught)} faces with a degree and {len(labelled)} labelled Smiling to train"
                f" on; at least {self.config.by_hand} and {others} are needed"
            )
        self.truth = np.array([degrees[names[i]] for i in self.held_out_index], np.float64)
        self._targets = np.array(
            [degrees.get(n, float(s > 0)) for n, s in zip(names, smiles, strict=True)], np.float32
        )
        seed = self.config.seed
        self._hand = EpochSampler(np.array(taught), self.config.by_hand, seed)
        self._labelled = EpochSampler(np.array(labelled), others, seed + 1)
        torch.manual_seed(seed)
        self.network = DegreeRegressor()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._part = self.workers.part(self.config.batch)

    def batch(self, step: int) -> DegreeBatch:
        """Return this process's part of a step's faces, augmented; the two kinds mixed."""
        rows = np.concatenate([self._hand(step), self._labelled(step)])
        by_hand = np.arange(len(rows)) < self.config.by_hand
        mixed = np.random.default_rng((self.config.seed, 3, step)).permutation(len(rows))
        rows, by_hand = rows[mixed], by_hand[mixed]
        faces = np.stack([self.cache.faces[i] for i in rows])
        size = self.network.config.size
        pictures = augmented_part(faces, size, self.config, step, self.workers)
        device = self.workers.device
        return DegreeBatch(
            pictures,
            torch.from_numpy(self._targets[rows][self._part]).to(device),
            torch.from_numpy(by_hand[self._part]).to(device),
        )

    def forward(self, network: nn.Module, batch: DegreeBatch, step: int) -> Tensor:
        """Return scores (B,)."""
        scores: Tensor = network(batch.pictures)
        return scores.float()

    def loss_terms(self, batch: DegreeBatch, outputs: Tensor, step: int) -> dict[str, Term]:
        """Return the cross-entropy of labels and the squares of degrees, means over the batch."""
        hand = batch.by_hand
        entropy = F.binary_cross_entropy_with_logits(
            outputs, batch.targets.clamp(0, 1), reduction="none"
        )
        squares = (self.network.degree(outputs) - batch.targets).square()
        zero = torch.zeros_like(outputs)
        return {
            "cross_entropy": (1.0, torch.where(hand, zero, entropy).mean()),
            "squares": (self.config.weight, torch.where(hand, squares, zero).mean()),
        }

    def metrics(self, averaged: DegreeRegressor) -> dict[str, Any]:
        """Return ``spearman`` and ``mean_error`` on the hand-made degrees that are held out."""
        from scipy.stats import spearmanr

        found = averaged.degrees(self.cache.crops(self.held_out_index))
        return {
            "spearman": round(float(spearmanr(found, self.truth).statistic), 4),
            "mean_error": round(float(np.abs(found - self.truth).mean()), 4),
            "held_out_degrees": len(found),
        }

    def export(self, averaged: DegreeRegressor, path: Path, extra: dict[str, Any]) -> None:
        """Write the regressor."""
        save_network(averaged, path, extra)
