"""Measuring attributes and reconstructions: thresholds, leakage, groups of people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from faceflex.assets import resolve
from faceflex.data.readers import read_celeba
from faceflex.evaluate.reconstruction import (
    active_numbers,
    classifier_accuracy,
    evaluate_model,
    groups,
    perceptual,
    reconstruction,
)
from faceflex.evaluate.vectors import (
    Subjects,
    at_gain,
    comparison,
    evaluate_vectors,
    logits,
    measure,
    spread,
    thresholds,
)
from faceflex.methods.vectors import AttributeVectors
from faceflex.models.attribute_classifier import load_classifier
from faceflex.models.feature_extractor import ExtractorConfig, FeatureExtractor
from faceflex.models.vae import VAE, VAEConfig

SMALL = VAEConfig(latent=12, encoder=(16, 16, 16), bottleneck=4, decoder=(16, 16, 16, 16))


def test_figures_are_compared_at_an_equal_gain():
    rows = [
        {"strength": 1.0, "gain": 2.0, "leak_mean": 0.4},
        {"strength": 2.0, "gain": 4.0, "leak_mean": 1.0},
    ]
    assert at_gain(rows, 3.0) == {"strength": 1.5, "gain": 3.0, "leak_mean": pytest.approx(0.7)}
    assert at_gain(rows, 1.0)["leak_mean"] == pytest.approx(0.2)
    assert at_gain(rows, 5.0) is None


def test_files_are_compared_over_what_all_of_them_reach():
    figures = dict.fromkeys(("strength", "passed", "leak_mean", "leak_worst", "identity"), 1.0)
    row = figures | {"colour": 2.0}
    lines = [
        {"file": "a", "attribute": "X", "matched": row},
        {"file": "b", "attribute": "X", "matched": row | {"colour": 3.0}},
        {"file": "a", "attribute": "Y", "matched": row | {"colour": 9.0}},
        {"file": "b", "attribute": "Y", "matched": None},
    ]
    table = comparison(lines)
    assert table[0].startswith("1 attributes")
    assert table[3] == "| a | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | 2.000 |"
    assert table[4].endswith("3.000 |")
    assert comparison(lines[2:]) == []


def test_versions_are_kinds_of_an_expression_and_not_of_a_beard():
    vectors = AttributeVectors.load(resolve("vectors"))
    assert spread(vectors, "Smiling") > 3 * spread(vectors, "Mustache")
    alike = AttributeVectors(
        {"Smiling": np.ones((3, 500), np.float32)},
        {"Smiling": vectors.info["Smiling"]},
        "m",
        vectors.landmark_readout,
    )
    assert spread(alike, "Smiling") == 0
    alike.landmark_readout = None
    assert spread(alike, "Smiling") is None


def test_log_odds():
    assert logits(np.array([0.5, 0.8])) == pytest.approx([0.0, np.log(4)])
    assert np.isfinite(logits(np.array([0.0, 1.0]))).all()


def test_edits_of_held_out_photos_are_measured(celeba, editor):
    classifier, records = load_classifier(resolve("judge")), list(read_celeba(celeba))
    cuts = thresholds(classifier, records)
    assert set(cuts) == {"Male", "Smiling"}
    assert all(np.isfinite(cut) and 0 <= auc <= 1 for cut, auc in cuts.values())
    subjects = Subjects(editor, records[:3])
    rows = measure(subjects, classifier, "Smiling", [0.5, 2.0], [0, 2], 0.0)
    assert [r["strength"] for r in rows] == [0.5, 2.0]
    assert 0 < rows[0]["gain"] < rows[1]["gain"]
    assert 0 < rows[0]["identity"] < rows[1]["identity"] < 0.6
    assert rows[1]["leak_worst"] >= rows[1]["leak_mean"] > 0
    assert rows[1]["passed"] == 1.0


def test_vector_files_are_measured_and_successes_written(celeba, tmp_path, monkeypatch):
    records = [replace(r, partition=2) for r in read_celeba(celeba)]
    monkeypatch.setattr("faceflex.evaluate.vectors.read_celeba", lambda data: records)
    path = tmp_path / "vectors.safetensors"
    path.write_bytes(resolve("vectors").read_bytes())
    rows = list(
        evaluate_vectors(
            celeba,
            [str(path)],
            attributes=["Smiling", "Male", "Eyeglasses"],  # There is no label of the last.
            condition_on=["Male"],
            watched=["Male"],
            faces=2,
            strengths=[2.0],
            write=True,
        )
    )
    assert [r["attribute"] for r in rows] == ["Smiling"]
    assert rows[0]["faces"] == 2
    assert abs(rows[0]["rows"][0]["Male"]) < rows[0]["rows"][0]["gain"]
    written = AttributeVectors.load(path).info["Smiling"]
    assert written.success == round(rows[0]["rows"][0]["passed"], 3)


def test_people_are_grouped_by_what_their_set_tells():
    assert groups("celeba", {"Male": 1.0}) == ["celeba"]
    labels = groups("utkface", {"age": 12.0, "gender": 1.0, "race": 2.0})
    assert labels == ["utkface", "age 0-12", "female", "Asian"]
    assert groups("utkface", {"age": 61.0, "gender": 0.0, "race": 4.0})[1:] == [
        "age 60+",
        "male",
        "other",
    ]


def test_a_face_model_is_measured_on_face_sets(celeba, tmp_path):
    figures = evaluate_model([celeba], tmp_path)
    assert figures["celeba"]["psnr"] > 20
    assert set(figures) == {"model", "celeba", "active", "landmarks", "probe", "classifier"}
    assert figures["landmarks"]["error"] > 0
    assert figures["probe"] == {}  # Two labels of forty.


def test_reconstruction_is_measured_on_held_out_faces(cache):
    torch.manual_seed(0)
    model = VAE(SMALL).eval()
    network = FeatureExtractor(ExtractorConfig(("Smiling",))).eval().requires_grad_(False)
    found = reconstruction(cache, model, network)
    assert set(found) == {"celeba"}
    assert found["celeba"]["faces"] == int(cache.held_out.sum()) > 0
    assert found["celeba"]["perceptual"] > 0
    assert 0 <= active_numbers(cache, model) <= 12
    assert (
        classifier_accuracy(cache, load_classifier(resolve("judge"))) is None
    )  # Two labels of forty.
    faces = cache.crops([0, 1])
    ones = np.full((2, 128, 128), 100, np.uint8)
    assert perceptual(network, faces, faces, ones) == pytest.approx([0, 0], abs=1e-6)
