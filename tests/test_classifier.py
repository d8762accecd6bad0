"""Training of classifiers: the attribute classifier and the feature extractor."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from faceflex.data.cache import WIDE, AlignedCache
from faceflex.errors import UsageError
from faceflex.faces import find_faces
from faceflex.faces.align import align
from faceflex.models.attribute_classifier import load_classifier
from faceflex.tensors import read_metadata
from faceflex.train.classifier import (
    PURPOSES,
    ClassifierObjective,
    ClassifierTraining,
    as_targets,
    augment,
    is_classifier_held_out,
    label_targets,
)
from faceflex.train.loop import Trainer
from tests.resuming import run_unbroken_and_resumed


@pytest.fixture(scope="module")
def two_people(portrait, smile):
    """Sixty copies of each of two people, one of whom smiles."""
    crops = [align(p, find_faces(p)[0].points, 4).crop for p in (portrait.rgb, smile)] * 60
    return AlignedCache(
        np.stack(crops),
        np.zeros((120, WIDE, WIDE), np.uint8),
        np.zeros((120, 68, 2), np.float32),
        [f"{i}.jpg" for i in range(120)],
        ["celeba"] * 120,
        np.array([i % 10 < 2 for i in range(120)]),
        [{"Smiling": 1.0 if i % 2 else -1.0} for i in range(120)],
    )


def test_a_classifier_learns_and_is_measured_on_held_out_faces(two_people, tmp_path):
    objective = ClassifierObjective(two_people, "attributes", ClassifierTraining(12, 16, warmup=1))
    assert not set(objective.train_index) & set(objective.held_out_index)
    auc = Trainer(objective, tmp_path).run()["auc"]
    with (tmp_path / "losses.csv").open() as file:
        losses = np.array([float(row["loss"]) for row in csv.DictReader(file)])
    assert losses[-3:].mean() < losses[:3].mean()
    assert auc["Smiling"] > 0.9
    path = tmp_path / "model.safetensors"
    assert load_classifier(path).config.names == ("Smiling",)
    metadata = read_metadata(path, "faceflex-judge-1", "attribute judge")
    assert json.loads(metadata["auc"]) == auc
    assert json.loads(metadata["training"])["faces"] == len(objective.train_index)


def test_a_stopped_classifier_goes_on_to_the_same_result(cache, tmp_path):
    config = ClassifierTraining(4, 8)

    def trainer(folder):
        return Trainer(ClassifierObjective(cache, "features", config), tmp_path / folder)

    run_unbroken_and_resumed(trainer)


def test_the_attribute_classifier_keeps_its_own_tenth():
    kept = np.mean([is_classifier_held_out(f"{i:06d}.jpg") for i in range(4000)])
    assert 0.08 < kept < 0.12


@pytest.mark.parametrize("purpose", PURPOSES)
def test_too_few_labelled_faces_are_refused(cache, purpose):
    with pytest.raises(UsageError, match="at least 200 are needed"):
        ClassifierObjective(cache, purpose, ClassifierTraining(1, 100))
    unlabelled = replace(cache, labels=[{}] * len(cache))
    with pytest.raises(UsageError, match="0 labelled faces"):
        ClassifierObjective(unlabelled, purpose, ClassifierTraining(1, 1))


def test_labels_of_both_sets_become_targets():
    assert as_targets({"Smiling": 1.0, "Male": -1.0}) == {"Smiling": 1.0, "Male": 0.0}
    targets = as_targets({"age": 58.0, "gender": 0.0, "race": 2.0})
    assert targets["Male"] == 1.0
    assert targets["age"] == 0.5
    assert [targets[f"group {i}"] for i in range(5)] == [0, 0, 1, 0, 0]


def test_labels_that_a_face_does_not_have_are_not_known(cache):
    labels = [{"age": 58.0, "gender": 1.0, "race": 2.0}, *cache.labels[1:]]
    names, values = label_targets(replace(cache, labels=labels), np.arange(5))
    assert names == ("Male", "Smiling", "age", *(f"group {i}" for i in range(5)))
    assert values[0, [0, 2, 5]].tolist() == [0.0, 0.5, 1.0]
    assert np.isnan(values[0, 1])
    assert np.isnan(values[1:, 2:]).all()


def test_augmented_faces_follow_from_the_seed():
    faces = torch.rand(8, 3, 136, 136)
    one, two = (augment(faces, 96, torch.Generator().manual_seed(1)) for _ in range(2))
    assert one.shape == (8, 3, 96, 96)
    assert torch.equal(one, two)
    assert not torch.equal(one, augment(faces, 96, torch.Generator().manual_seed(2)))
