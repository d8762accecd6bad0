"""Train the network that perceptual losses compare pictures by.

It learns whatever the face sets tell: CelebA's 40 attributes; from UTKFace the age, the sex (as
CelebA's *Male*) and five groups of ethnicity. Sharpness stays as it is: it must learn to see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError
from faceflex.models.feature_extractor import ExtractorConfig, FeatureExtractor, save_extractor
from faceflex.train.classifier import ClassifierTraining, Report, train_classifier

_OLDEST, _GROUPS = 116.0, 5
FEATURES_TRAINING = ClassifierTraining(steps=2600, batch=48, seed=40)


def as_targets(labels: Mapping[str, float]) -> dict[str, float]:
    """Return a face's labels as numbers from 0 to 1, whichever set it comes from."""
    if "age" not in labels:
        return {name: float(value > 0) for name, value in labels.items()}
    found = {"Male": float(labels["gender"] == 0), "age": min(1.0, labels["age"] / _OLDEST)}
    return found | {f"group {i}": float(labels["race"] == i) for i in range(_GROUPS)}


def targets(
    cache: AlignedCache, index: NDArray[np.integer]
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Return the names (K) of all that is told of some face, and (N, K) values, NaN if unknown."""
    rows = [as_targets(cache.labels[i]) for i in index]
    names = tuple(sorted({name for row in rows for name in row}))
    return names, np.array([[row.get(name, np.nan) for name in names] for row in rows], np.float32)


def train_features(
    cache: AlignedCache,
    out: Path,
    config: ClassifierTraining = FEATURES_TRAINING,
    report: Report | None = None,
) -> int:
    """Train a feature network on all faces that are not held out, and write it.

    Parameters
    ----------
    cache
        Aligned faces with CelebA's or UTKFace's labels.
    out
        File to write.
    config
        How to train.
    report
        Called after each step with (steps done, steps in all, loss).

    Returns
    -------
    The number of faces it was trained on.

    Raises
    ------
    UsageError
        If too few of the faces have labels.
    """
    labelled = [i for i, labels in enumerate(cache.labels) if labels and not cache.held_out[i]]
    index = np.array(labelled, np.int64)
    if len(index) < 2 * config.batch:
        raise UsageError(f"{len(index)} labelled faces; at least {2 * config.batch} are needed")
    names, truth = targets(cache, index)
    torch.manual_seed(config.seed)
    network = FeatureExtractor(ExtractorConfig(names)).train()
    train_classifier(
        network, cache, index, truth, config, network.config.size, soften=False, report=report
    )
    save_extractor(network, out, {"training": {**asdict(config), "faces": len(index)}})
    return len(index)
