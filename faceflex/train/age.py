"""Objective of the age regressor: UTKFace's labels of age and sex."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError
from faceflex.models.age_regressor import AgeRegressor, targets
from faceflex.models.checkpoint import save_network
from faceflex.train.batches import EpochSampler
from faceflex.train.classifier import augmented_part
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.workers import Workers

CHILD = 12.0
"""Years below which a face is a child's."""


@dataclass(frozen=True)
class AgeTraining(TrainConfig):
    """How to train the regressor."""

    steps: int = 3000
    batch: int = 64
    rate: float = 3e-3
    warmup: int = 150
    decay: float = 0.8
    ema: float = 0.995


class AgeBatch(NamedTuple):
    """Augmented pictures (B, 3, size, size) and targets (B, 2)."""

    pictures: Tensor
    targets: Tensor


class AgeObjective(Objective[AgeRegressor, AgeBatch, Tensor]):
    """The regressor's training.

    Parameters
    ----------
    cache
        Aligned faces, some with ages.
    config
        How to train.
    workers
        The processes that train together; batch normalisation sees each one's part.

    Raises
    ------
    UsageError
        If there are too few faces of known age.
    """

    config: AgeTraining

    def __init__(
        self,
        cache: AlignedCache,
        config: AgeTraining | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.cache, self.workers = cache, workers or Workers()
        self.config = config or AgeTraining()
        ages = np.array([row.get("age", np.nan) for row in cache.labels])
        female = np.array([row.get("gender", np.nan) for row in cache.labels])
        known = np.isfinite(ages) & np.isfinite(female)
        taught = np.flatnonzero(known & ~cache.held_out)
        self.held_out_index = np.flatnonzero(known & cache.held_out)
        if len(taught) < self.config.batch or not len(self.held_out_index):
            raise UsageError(
                f"{len(taught)} faces of known age to train on; at least {self.config.batch} are"
                " needed, and some that are held out"
            )
        self._ages, self._targets = ages, targets(np.nan_to_num(ages), np.nan_to_num(female))
        self._sample = EpochSampler(taught, self.config.batch, self.config.seed)
        torch.manual_seed(self.config.seed)
        self.network = AgeRegressor()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._part = self.workers.part(self.config.batch)

    def batch(self, step: int) -> AgeBatch:
        """Return this process's part of a step's faces, augmented."""
        rows = self._sample(step)
        faces = np.stack([self.cache.faces[i] for i in rows])
        size = self.network.config.size
        pictures = augmented_part(faces, size, self.config, step, self.workers)
        device = self.workers.device
        return AgeBatch(
            pictures,
            torch.from_numpy(self._targets[rows][self._part]).to(device),
        )

    def forward(self, network: nn.Module, batch: AgeBatch, step: int) -> Tensor:
        """Return outputs (B, 2)."""
        outputs: Tensor = network(batch.pictures)
        return outputs.float()

    def loss_terms(self, batch: AgeBatch, outputs: Tensor, step: int) -> dict[str, Term]:
        """Return the absolute error of ages and the cross-entropy of sex, means over the batch."""
        entropy = F.binary_cross_entropy_with_logits(outputs[:, 1], batch.targets[:, 1])
        return {
            "age": (1.0, F.smooth_l1_loss(outputs[:, 0], batch.targets[:, 0], beta=0.25)),
            "sex": (0.2, entropy),
        }

    def metrics(self, averaged: AgeRegressor) -> dict[str, Any]:
        """Return errors on held-out faces: of ages in years, and shares of faces taken wrongly."""
        found = averaged.read(self.cache.crops(self.held_out_index))
        ages = self._ages[self.held_out_index]
        women = self._targets[self.held_out_index, 1] > 0.5
        child, adult = ages < CHILD, ages >= 18
        measured = {
            "mean_error": np.abs(found[:, 0] - ages).mean(),
            "children_taken_for_older": (found[child, 0] >= CHILD).mean() if child.any() else 0.0,
            "adults_taken_for_children": (found[adult, 0] < CHILD).mean() if adult.any() else 0.0,
            "sex_wrong": ((found[:, 1] > 0.5) != women).mean(),
        }
        return {k: round(float(v), 4) for k, v in measured.items()}

    def export(self, averaged: AgeRegressor, path: Path, extra: dict[str, Any]) -> None:
        """Write the regressor."""
        save_network(averaged, path, extra)
