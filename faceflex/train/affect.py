"""Objective of the regressors of valence and arousal: agreement with AffectNet's annotators."""

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
from faceflex.models.affect_regressor import AffectConfig, AffectRegressor
from faceflex.models.checkpoint import save_network
from faceflex.models.network import Network
from faceflex.train.classifier import augmented_part
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.plane import PlaneSampler, concordance, labelled_faces, plane_labels
from faceflex.train.workers import Workers

PURPOSES = {
    "edits": AffectConfig("attributes", 96),
    "judge": AffectConfig("attributes", 96),
}
"""What a regressor is for, and its shape then: it estimates a face's place, or judges edits."""


@dataclass(frozen=True)
class AffectTraining(TrainConfig):
    """How to train a regressor.

    Attributes
    ----------
    squares
        Weight of the squared error, beside 1 - CCC.
    expression
        Weight of the cross-entropy of AffectNet's expressions, which the layers share.
    """

    steps: int = 700
    batch: int = 64
    rate: float = 1e-3
    warmup: int = 70
    decay: float = 0.9
    ema: float = 0.99
    squares: float = 1.0
    expression: float = 0.3
    seed: int = 50


class AffectBatch(NamedTuple):
    """Augmented pictures (B, 3, S, S), places in the plane (B, 2), expressions (B,); -1 unknown."""

    pictures: Tensor
    places: Tensor
    expressions: Tensor


class AffectObjective(Objective[AffectRegressor, AffectBatch, tuple[Tensor, Tensor]]):
    """A regressor's training on its own part of AffectNet.

    Parameters
    ----------
    cache
        Aligned faces with valence and arousal.
    purpose
        One of :data:`PURPOSES`; also says which part of the faces it may see.
    config
        How to train.
    start
        Trained classifier or feature extractor to begin with.
    workers
        The processes that train together.

    Raises
    ------
    UsageError
        If there are no such faces, or ``start`` has another shape.
    """

    config: AffectTraining

    def __init__(
        self,
        cache: AlignedCache,
        purpose: str,
        config: AffectTraining | None = None,
        *,
        start: Network | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.cache, self.workers = cache, workers or Workers()
        self.config = config or AffectTraining()
        self.train_index = labelled_faces(cache, purpose)
        self.held_out_index = labelled_faces(cache, "held out")
        self._places = plane_labels(cache, self.train_index)
        self._expressions = np.array(
            [cache.labels[i].get("expression", -1) for i in self.train_index], np.int64
        )
        torch.manual_seed(self.config.seed)
        self.network = AffectRegressor(PURPOSES[purpose])
        if start is not None:
            try:
                self.network.start_from(start)
            except (ValueError, RuntimeError) as error:
                reason = str(error).splitlines()[0]
                raise UsageError(f"`start`: does not fit this regressor ({reason})") from None
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._sampler = PlaneSampler(self._places, self.config.batch, self.config.seed)
        self._part = self.workers.part(self.config.batch)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return all parameters, with AdamW's usual averages and more weight decay."""
        (group,) = super().parameter_groups()
        return [group | {"betas": (0.9, 0.999), "weight_decay": 0.1}]

    def batch(self, step: int) -> AffectBatch:
        """Return this process's part of a step's faces, augmented."""
        rows = self._sampler(step)
        faces, size = self.cache.faces[self.train_index[rows]], self.network.config.size
        pictures = augmented_part(faces, size, self.config, step, self.workers)
        places, names = (
            torch.from_numpy(x[rows][self._part]) for x in (self._places, self._expressions)
        )
        device = self.workers.device
        return AffectBatch(pictures, places.to(device), names.to(device))

    def forward(self, network: nn.Module, batch: AffectBatch, step: int) -> tuple[Tensor, Tensor]:
        """Return places (B, 2) and logits (B, K)."""
        places, logits = network(batch.pictures)
        return places.float(), logits.float()

    def loss_terms(
        self, batch: AffectBatch, outputs: tuple[Tensor, Tensor], step: int
    ) -> dict[str, Term]:
        """Return 1 - CCC, the squared error, and the cross-entropy of the expressions."""
        places, logits = outputs
        terms = {
            "disagreement": (1.0, 1 - _concordance(places, batch.places).mean()),
            "squares": (self.config.squares, (places - batch.places).square().mean()),
        }
        known = batch.expressions >= 0
        if self.config.expression and bool(known.any()):
            loss = F.cross_entropy(logits[known], batch.expressions[known], label_smoothing=0.1)
            terms["expression"] = (self.config.expression, loss)
        return terms

    def metrics(self, averaged: AffectRegressor) -> dict[str, Any]:
        """Return CCC and root mean square error of both on held-out faces."""
        estimate = averaged.estimate(self.cache.crops(self.held_out_index))
        truth = plane_labels(self.cache, self.held_out_index)
        error = np.sqrt(np.square(estimate - truth).mean(axis=0))
        return {
            "held_out": {
                name: {
                    "ccc": round(concordance(truth[:, k], estimate[:, k]), 4),
                    "rmse": round(float(error[k]), 4),
                }
                for k, name in enumerate(("valence", "arousal"))
            }
            | {"faces": len(truth)}
        }

    def export(self, averaged: AffectRegressor, path: Path, extra: dict[str, Any]) -> None:
        """Write the regressor."""
        training = extra["training"] | {"faces": len(self.train_index)}
        save_network(averaged, path, extra | {"training": training})


def _concordance(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the concordance correlation coefficients (2,) of (B, 2) outputs and targets."""
    a, b = outputs.mean(dim=0), targets.mean(dim=0)
    shared = 2 * ((outputs - a) * (targets - b)).mean(dim=0)
    spread = outputs.var(dim=0, unbiased=False) + targets.var(dim=0, unbiased=False)
    return shared / (spread + (a - b).square() + 1e-6)
