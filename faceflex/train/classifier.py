"""Objective of classifiers: binary cross-entropy on the labels of face sets.

Two networks are trained so. The attribute classifier measures edits; it must judge a mouth and not
the sharpness or the light of a picture, so its faces are blurred too. The feature extractor gives
the perceptual loss its maps, and must see sharpness. Its labels are all that the sets have:
CelebA's 40 attributes; from UTKFace age, sex (as CelebA's *Male*) and five groups of ethnicity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.data.cache import WIDE, AlignedCache
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE
from faceflex.methods.directions import auc_score
from faceflex.models.attribute_classifier import AttributeClassifier, ClassifierConfig
from faceflex.models.checkpoint import save_network
from faceflex.models.feature_extractor import ExtractorConfig, FeatureExtractor
from faceflex.train.batches import EpochSampler
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.workers import Workers

Classifier = AttributeClassifier | FeatureExtractor
_OLDEST, _ETHNIC_GROUPS = 116.0, 5  # Of UTKFace.
_MIN_OF_CLASS = 5  # Held-out faces of either class that an AUC needs.


@dataclass(frozen=True)
class ClassifierTraining(TrainConfig):
    """How to train a classifier: short rise, long fall, the last weights, no clipping."""

    steps: int = 3600
    batch: int = 64
    rate: float = 2e-3
    warmup: int = 360
    decay: float = 0.9
    ema: float = 0.0
    clip: float = float("inf")
    seed: int = 20


def is_classifier_held_out(name: str) -> bool:
    """Tell whether the attribute classifier never learns from this picture.

    That is a tenth of all, by another hash than the one that holds faces out from the face model.
    """
    return hashlib.sha256(b"judge/" + name.encode()).digest()[0] < 26


@dataclass(frozen=True)
class Purpose:
    """What a classifier is for.

    Attributes
    ----------
    make
        Makes the network that classifies into the given labels.
    sources
        Face sets whose labels it learns.
    is_held_out
        Whether a picture of this name is kept from it, beside those that no training sees.
    soften
        Whether its faces are blurred at random.
    config
        How to train it, by default.
    """

    make: Callable[[tuple[str, ...]], Classifier]
    sources: tuple[str, ...]
    is_held_out: Callable[[str], bool]
    soften: bool
    config: ClassifierTraining


PURPOSES = {
    "attributes": Purpose(
        lambda names: AttributeClassifier(ClassifierConfig(names)),
        ("celeba",),
        is_classifier_held_out,
        True,
        ClassifierTraining(),
    ),
    "features": Purpose(
        lambda names: FeatureExtractor(ExtractorConfig(names)),
        ("celeba", "utkface"),
        lambda _name: False,
        False,
        ClassifierTraining(steps=2600, batch=48, warmup=260, seed=40),
    ),
}


def as_targets(labels: Mapping[str, float]) -> dict[str, float]:
    """Return a face's labels as numbers from 0 to 1, whichever set it comes from.

    Examples
    --------
    >>> as_targets({"Smiling": 1.0, "Male": -1.0})
    {'Smiling': 1.0, 'Male': 0.0}
    >>> as_targets({"age": 58.0, "gender": 0.0, "race": 1.0})["age"]
    0.5
    """
    if "age" not in labels:
        return {name: float(value > 0) for name, value in labels.items()}
    targets = {"Male": float(labels["gender"] == 0), "age": min(1.0, labels["age"] / _OLDEST)}
    return targets | {f"group {i}": float(labels["race"] == i) for i in range(_ETHNIC_GROUPS)}


def label_targets(
    cache: AlignedCache, index: NDArray[np.integer]
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Return the names (K) of the labels of the N faces ``index``, and (N, K) targets.

    Targets are from 0 to 1, and NaN where a face has no such label.
    """
    rows = [as_targets(cache.labels[i]) for i in index]
    names = tuple(sorted({name for row in rows for name in row}))
    return names, np.array([[row.get(name, np.nan) for name in names] for row in rows], np.float32)


def augment(faces: Tensor, size: int, generator: torch.Generator, *, soften: bool = True) -> Tensor:
    """Random affine crop, colour, contrast, noise, blur and a covered patch (random erasing).

    Parameters
    ----------
    faces
        (B, 3, 136, 136) in [0, 1], as the cache keeps them.
    size
        Side of the result in pixels.
    generator
        Source of all that is random.
    soften
        Whether to blur as well, by way of a smaller picture.

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


def augmented_part(
    faces: NDArray[np.uint8],
    size: int,
    config: TrainConfig,
    step: int,
    workers: Workers,
    *,
    soften: bool = True,
) -> Tensor:
    """Return this process's part of a step's faces, augmented as the seed says, on its device.

    Parameters
    ----------
    faces
        (B, 136, 136, 3) of the whole batch, as the cache keeps them.
    size, soften
        As for :func:`augment`.
    config, step
        What fixes all that is random.
    workers
        The processes that train together.
    """
    x = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    part = augment(x, size, generator, soften=soften)[workers.part(config.batch)]
    return part.contiguous(memory_format=torch.channels_last).to(workers.device)


class LabelledBatch(NamedTuple):
    """Augmented pictures (B, 3, size, size), and targets (B, K); NaN is not known."""

    pictures: Tensor
    targets: Tensor


class ClassifierObjective(Objective[Classifier, LabelledBatch, Tensor]):
    """A classifier's training on all labelled faces that are not held out.

    In several processes, batch normalisation takes the statistics of each one's part of the batch.

    Parameters
    ----------
    cache
        Aligned faces with labels.
    purpose
        ``attributes`` or ``features``; see :data:`PURPOSES`.
    config
        How to train; the purpose's own way by default.
    workers
        The processes that train together.

    Raises
    ------
    UsageError
        If fewer than two batches of the faces have such labels.
    """

    def __init__(
        self,
        cache: AlignedCache,
        purpose: str,
        config: ClassifierTraining | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.purpose = PURPOSES[purpose]
        self.cache, self.workers = cache, workers or Workers()
        self.config = config or self.purpose.config
        labelled = [
            i
            for i, (source, labels) in enumerate(zip(cache.sources, cache.labels, strict=True))
            if labels and source in self.purpose.sources
        ]
        is_held_out = self.purpose.is_held_out
        held_out = [bool(cache.held_out[i]) or is_held_out(cache.names[i]) for i in labelled]
        self.train_index, self.held_out_index = (
            np.array(
                [i for i, out in zip(labelled, held_out, strict=True) if out is part], np.int64
            )
            for part in (False, True)
        )
        if len(self.train_index) < 2 * self.config.batch:
            raise UsageError(
                f"{len(self.train_index)} labelled faces to train on;"
                f" at least {2 * self.config.batch} are needed"
            )
        names, targets = label_targets(cache, self.train_index)
        self.targets = torch.from_numpy(targets)
        torch.manual_seed(self.config.seed)
        self.network = self.purpose.make(names)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        rows, batch, seed = np.arange(len(self.train_index)), self.config.batch, self.config.seed
        self._sampler = EpochSampler(rows, batch, seed)
        self._part = self.workers.part(batch)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return all parameters, with AdamW's usual averages and more weight decay."""
        (group,) = super().parameter_groups()
        return [group | {"betas": (0.9, 0.999), "weight_decay": 0.05}]

    def batch(self, step: int) -> LabelledBatch:
        """Return this process's part of a step's faces, augmented."""
        rows = self._sampler(step)
        faces, size = self.cache.faces[self.train_index[rows]], self.network.config.size
        soften = self.purpose.soften
        pictures = augmented_part(faces, size, self.config, step, self.workers, soften=soften)
        return LabelledBatch(pictures, self.targets[rows[self._part]].to(self.workers.device))

    def forward(self, network: nn.Module, batch: LabelledBatch, step: int) -> Tensor:
        """Return logits (B, K)."""
        logits: Tensor = network(batch.pictures)
        return logits.float()

    def loss_terms(self, batch: LabelledBatch, outputs: Tensor, step: int) -> dict[str, Term]:
        """Return the binary cross-entropy over all labels that are known."""
        known = ~torch.isnan(batch.targets)
        loss = F.binary_cross_entropy_with_logits(outputs[known], batch.targets[known])
        return {"cross_entropy": (1.0, loss)}

    def metrics(self, averaged: Classifier) -> dict[str, Any]:
        """Return ``auc``: of each attribute, on held-out faces where both classes have 5."""
        if not isinstance(averaged, AttributeClassifier):
            return {}
        scores = averaged.scores(self.cache.crops(self.held_out_index))
        labels = [as_targets(self.cache.labels[i]) for i in self.held_out_index]
        auc = {}
        for column, name in enumerate(averaged.config.names):
            truth = np.array([row.get(name, np.nan) for row in labels])
            known = ~np.isnan(truth)
            positive = truth[known] > 0.5
            if _MIN_OF_CLASS <= int(positive.sum()) <= len(positive) - _MIN_OF_CLASS:
                auc[name] = round(auc_score(scores[known, column], positive), 4)
        return {"auc": auc}

    def export(self, averaged: Classifier, path: Path, extra: dict[str, Any]) -> None:
        """Write the classifier."""
        training = extra["training"] | {"faces": len(self.train_index)}
        save_network(averaged, path, extra | {"training": training})
