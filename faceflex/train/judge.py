"""Train the judge on CelebA's labels.

Its faces are blurred, coloured, turned and partly covered at random, so that it judges a mouth and
not the sharpness or the light of the picture: it must be fair to edits of large photos as well.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError
from faceflex.methods.directions import auc_score
from faceflex.models.attribute_classifier import (
    AttributeClassifier,
    ClassifierConfig,
    save_classifier,
)
from faceflex.train.classifier import ClassifierTraining, Report, train_classifier


def is_kept_from_judge(name: str) -> bool:
    """Tell whether the judge's own tenth, by another hash than the model's, has this picture."""
    return hashlib.sha256(b"judge/" + name.encode()).digest()[0] < 26


def measure(
    judge: AttributeClassifier, cache: AlignedCache, index: NDArray[np.integer]
) -> dict[str, float]:
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
    config: ClassifierTraining | None = None,
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
    config = config or ClassifierTraining()
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
    judge = AttributeClassifier(ClassifierConfig(names)).train()
    train_classifier(
        judge, cache, labelled[train], truth[train], config, judge.config.size, report=report
    )
    auc = measure(judge, cache, labelled[apart])
    save_classifier(judge, out, {"auc": auc, "training": {**asdict(config), "faces": len(train)}})
    return auc
