"""Attribute vectors: estimation, calibration, sampling, files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceflex.assets import resolve
from faceflex.errors import AssetError, UsageError
from faceflex.methods.directions import ESTIMATORS, auc_score, estimate, ridge
from faceflex.methods.vectors import AttributeVectors, describe
from faceflex.models.model_id import read_id


@pytest.fixture
def world():
    """Latents in which a smile is 2 along axis 0, and sex 3 along axis 1; men smile less."""
    rng = np.random.default_rng(0)
    male = rng.random(6000) < 0.5
    smiling = rng.random(6000) < np.where(male, 0.25, 0.75)
    latents = rng.normal(0, 1, (6000, 12)).astype(np.float32)
    latents[:, 0] += 2.0 * smiling
    latents[:, 1] += 3.0 * male
    return latents, {"Smiling": signs(smiling), "Male": signs(male)}


def signs(has):
    """Return 1 where ``has``, -1 elsewhere."""
    return np.where(has, 1, -1).astype(np.int8)


def test_strength_one_is_the_distance_between_the_classes(world):
    latents, labels = world
    versions, gap = estimate(latents, labels, "Smiling")
    direction = versions.mean(axis=0)
    assert versions.shape == (25, 12)
    assert gap == pytest.approx(2.0, abs=0.15)
    assert np.linalg.norm(direction) == pytest.approx(gap, rel=0.1)
    unit = direction / np.linalg.norm(direction)
    assert np.allclose(versions @ unit, gap, rtol=0.12)


def test_a_smile_is_not_also_a_change_of_sex(world):
    latents, labels = world
    balanced = estimate(latents, labels, "Smiling")[0].mean(axis=0)
    plain = estimate(latents, {"Smiling": labels["Smiling"]}, "Smiling")[0].mean(axis=0)
    assert abs(plain[1]) > 1.0
    assert abs(balanced[1]) < 0.25


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_reaches_the_other_class(world, estimator):
    latents, labels = world
    versions, gap = estimate(latents, labels, "Smiling", estimator=estimator)
    direction = versions.mean(axis=0)
    # The plain difference of means counts a change of sex as part of the smile.
    assert gap == pytest.approx(2.45 if estimator == "mean" else 2.0, abs=0.2)
    assert direction[0] / np.linalg.norm(direction) > {
        "mean": 0.7,
        "logistic": 0.95,
        "lda": 0.95,
    }.get(estimator, 0.99)
    # Strength 1 takes the faces without it, along the direction, to the mean of those with it.
    unit = direction / np.linalg.norm(direction)
    means = [latents[labels["Smiling"] == v].mean(axis=0) @ unit for v in (-1, 1)]
    if estimator in ("balanced", "ridge"):
        assert means[0] + direction @ unit == pytest.approx(means[1], abs=0.4)


def test_labels_that_are_not_known_are_left_out(world):
    latents, labels = world
    rng = np.random.default_rng(7)
    part = {k: np.where(rng.random(len(v)) < 0.4, 0, v).astype(np.int8) for k, v in labels.items()}
    for estimator in ESTIMATORS:
        whole = estimate(latents, labels, "Smiling", estimator=estimator)[0].mean(axis=0)
        some = estimate(latents, part, "Smiling", estimator=estimator)[0].mean(axis=0)
        cosine = whole @ some / np.linalg.norm(whole) / np.linalg.norm(some)
        assert cosine > 0.93, estimator


def test_versions_lean_towards_different_kinds(world):
    latents, labels = world
    kinds = latents[:, 5:7].astype(float)
    plain = estimate(latents, labels, "Smiling")[0]
    leaning = estimate(latents, labels, "Smiling", kinds=kinds)[0]
    assert leaning[:, 5:7].std(axis=0).min() > 4 * plain[:, 5:7].std(axis=0).max()
    assert leaning[:, 7:].std() < 1.5 * plain[:, 7:].std()
    # Strength is the same, and the mean of many versions is still the attribute.
    assert np.linalg.norm(leaning.mean(axis=0)[5:7]) < 0.6
    assert leaning.mean(axis=0)[0] == pytest.approx(2.0, abs=0.2)


def test_what_is_kept_is_not_changed(world):
    vectors = made(world)
    plain = AttributeVectors(
        {
            "Smiling": vectors.versions["Smiling"] + np.eye(12, dtype=np.float32)[1],
            "Male": vectors.versions["Male"],
        },
        vectors.info,
        "abc",
        None,
        vectors.linear_probes,
    )
    kept = plain.condition_on(["male"])
    reader = vectors.linear_probes["Male"]
    assert abs(plain.mean("Smiling") @ reader) > 0.1
    assert abs(kept.mean("Smiling") @ reader) < 1e-4
    assert all(abs(kept.variant("Smiling", n) @ reader) < 1e-4 for n in range(1, 6))
    # It still reaches as far along its own direction.
    before, after = plain.mean("Smiling"), kept.mean("Smiling")
    assert after @ before / (before @ before) == pytest.approx(1.0, abs=0.02)
    with pytest.raises(UsageError, match="Male: cannot be edited and kept"):
        kept.mean("Male")
    with pytest.raises(UsageError, match="unknown attribute 'Hat'"):
        plain.condition_on(["Hat"])


def test_a_direction_that_is_another_is_not_kept_apart(world):
    vectors = made(world)
    twin = {"Smiling": vectors.versions["Male"], "Male": vectors.versions["Male"]}
    same = AttributeVectors(twin, vectors.info, "abc", None, vectors.linear_probes)
    same = same.condition_on(["Male"])
    with pytest.raises(UsageError, match="too little of Smiling would be left"):
        same.mean("Smiling")


def test_versions_differ_and_repeat_with_the_seed(world):
    latents, labels = world
    first, _ = estimate(latents, labels, "Smiling", seed=1)
    again, _ = estimate(latents, labels, "Smiling", seed=1)
    other, _ = estimate(latents, labels, "Smiling", seed=2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.linalg.norm(first[0] - first[1]) > 0.05


def test_a_class_of_one_face_is_refused(world):
    latents, _ = world
    lonely = np.full(len(latents), -1, np.int8)
    lonely[0] = 1
    with pytest.raises(UsageError, match="at least two faces"):
        estimate(latents, {"Bald": lonely}, "Bald")


def test_the_bundled_smile_lifts_the_corners_of_the_mouth_and_opens_it():
    vectors = AttributeVectors.load(resolve("vectors"))
    shift = vectors.landmark_shift(vectors.mean("Smiling"))
    left, right = shift[48], shift[54]
    assert left[0] < -1 < 1 < right[0]
    assert max(left[1], right[1]) < -1
    assert shift[66, 1] - shift[62, 1] > 1
    assert np.abs(left * [-1, 1] - right).max() < 0.3  # Left and right alike.


def test_auc_and_the_linear_reader(world):
    latents, labels = world
    assert auc_score(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 1, 1], bool)) == 1.0
    assert auc_score(np.array([0.1, 0.2, 0.3, 0.4]), np.array([1, 0, 0, 1], bool)) == 0.5
    weights = ridge(latents[:3000], labels["Male"][:3000, None].astype(float))
    scores = (latents[3000:] @ weights)[:, 0]
    assert auc_score(scores, labels["Male"][3000:] > 0) > 0.95
    noise = np.random.default_rng(5).random(3000) < 0.5
    assert abs(auc_score(scores, noise) - 0.5) < 0.05


def made(world, model="abc"):
    latents, labels = world
    versions, info = {}, {}
    for name in labels:
        versions[name], gap = estimate(latents, labels, name)
        info[name] = describe(versions[name], gap, labels[name], 0.95, "balanced")
    readers = {n: ridge(latents, y[:, None].astype(float))[:, 0] for n, y in labels.items()}
    return AttributeVectors(versions, info, model, None, readers)


def test_a_file_comes_back_as_it_was(world, tmp_path):
    vectors = made(world)
    vectors.save(tmp_path / "v.safetensors")
    back = AttributeVectors.load(tmp_path / "v.safetensors", "abc")
    assert back.names == ["Male", "Smiling"]
    assert back.info == vectors.info
    assert np.allclose(back.mean("Smiling"), vectors.mean("Smiling"), atol=2e-3)
    assert sorted(back.linear_probes) == ["Male", "Smiling"]
    assert np.allclose(back.linear_probes["Male"], vectors.linear_probes["Male"], atol=2e-3)


@pytest.mark.parametrize(
    ("success", "judged", "tier"),
    [
        (None, None, "unknown"),
        (0.9, 0.95, "good"),
        (0.9, 0.85, "fair"),
        (0.6, 0.95, "fair"),
        (0.3, 0.95, "weak"),
        (0.9, 0.6, "does not work"),
        (0.1, 0.99, "does not work"),
    ],
)
def test_reliability_is_success_bounded_by_the_labels(world, success, judged, tier):
    info = replace(made(world).info["Smiling"], success=success, judged=judged)
    assert info.reliability == tier


def test_vectors_of_another_model_are_refused(world, tmp_path):
    made(world).save(tmp_path / "v.safetensors")
    with pytest.raises(AssetError, match=r"belong to model abc, not to xyz.*build-vectors"):
        AttributeVectors.load(tmp_path / "v.safetensors", "xyz")


@pytest.mark.parametrize("cut", [0, 7, 100, -9])
def test_a_damaged_file_is_refused_in_one_line(world, tmp_path, cut):
    path = tmp_path / "v.safetensors"
    made(world).save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(AssetError, match=r"v\.safetensors") as caught:
        AttributeVectors.load(path)
    assert "\n" not in str(caught.value)


def test_numbers_that_are_not_finite_are_refused(world, tmp_path):
    vectors = made(world)
    vectors.versions["Male"][3, 3] = np.nan
    vectors.save(tmp_path / "v.safetensors")
    with pytest.raises(AssetError, match="not finite"):
        AttributeVectors.load(tmp_path / "v.safetensors")


def test_variants_are_versions_in_an_order_that_the_seed_fixes(world):
    vectors = made(world)
    versions = vectors.versions["Male"]
    assert np.allclose(vectors.mean("Male"), versions.mean(axis=0))

    def variants(seed, count=3):
        return np.stack([vectors.variant("Male", n, seed) for n in range(1, count + 1)])

    assert variants(4).shape == (3, 12)
    assert np.array_equal(variants(4), variants(4))
    assert not np.array_equal(variants(4), variants(5))
    assert sorted(variants(4, 25).tolist()) == sorted(versions.tolist())
    for number in (0, 26):
        with pytest.raises(UsageError, match=f"Male: has variants 1 to 25, not {number}"):
            vectors.variant("Male", number)


def test_names_are_found_and_suggested(world):
    vectors = made(world)
    assert vectors.find("smiling") == "Smiling"
    with pytest.raises(UsageError, match="did you mean Smiling"):
        vectors.find("Smilling")
    with pytest.raises(UsageError, match="unknown attribute 'zzz' "):
        vectors.find("zzz")


def test_the_bundled_vectors_fit_the_bundled_model():
    model = read_id(resolve("vae"))
    vectors = AttributeVectors.load(resolve("vectors"), model)
    assert len(vectors.names) == 40
    assert all(v.shape == (25, 500) for v in vectors.versions.values())
    for name in ("Smiling", "Male", "Eyeglasses"):
        assert vectors.info[name].reliability in ("good", "fair")
