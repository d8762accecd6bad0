"""The smile dial: degrees that are set, shifted, swept and estimated; faces that are generated."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from faceflex import make_editor
from faceflex.assets import resolve
from faceflex.data.records import Record
from faceflex.errors import UsageError
from faceflex.evaluate.bias import (
    Person,
    dial_quality,
    drift,
    edit_scores,
    smile_table,
    wilson,
)
from faceflex.evaluate.generation import diversity, face_vectors, nearest
from faceflex.faces.align import align
from faceflex.faces.landmark_groups import OUTER_MOUTH_CORNERS
from faceflex.methods.smile_degree import estimate_degrees, face_degrees
from faceflex.models.attribute_classifier import load_classifier
from faceflex.models.checkpoint import load_network
from faceflex.models.conv_autoencoder import ConvAutoencoder
from faceflex.models.degree_regressor import DegreeRegressor
from faceflex.models.face_generator import FaceGenerator
from faceflex.photo import load_photo


@pytest.fixture(scope="module")
def opened(small_portrait):
    return make_editor("smile-degree", device="cpu").open(small_portrait)


@pytest.fixture(scope="module")
def laughing(opened, smile):
    """Somebody who smiles, opened by the dial."""
    return opened.editor.open(np.array(Image.fromarray(smile).reduce(2)))


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_dial_is_seen_by_the_regressor_and_monotone(laughing):
    asked = (-0.8, 0.0, 0.8)
    (face,) = laughing.faces
    crops = [
        align(picture, face.face.points).crop
        for picture in laughing.render([laughing.shot(Smile=d) for d in asked])
    ]
    found = estimate_degrees(crops)
    assert found[0] <= found[1] < found[2] - 0.4  # 0 may be the own neutral face already.
    assert found[2] > 0.4
    assert found[0] < -0.3


def test_who_does_not_smile_keeps_the_own_neutral_face(opened, small_portrait):
    (picture,) = opened.render([opened.shot(Smile=-0.9)])
    assert (picture == small_portrait).all()


def test_a_face_at_the_degree_stays_bit_for_bit(opened, small_portrait):
    own = opened.editor.method.encode(opened.faces, small_portrait)[0].degree
    shots = [opened.shot(Smile=own), opened.shot(Smile_Shift=0), opened.shot(Smile=own + 0.1)]
    assert face_degrees(small_portrait, opened.detected) == [own]  # What faceflex faces tells.
    same, still, other = opened.render(shots)
    assert (same == small_portrait).all()
    assert (still == small_portrait).all()
    assert (other != small_portrait).any()
    outside = np.ones(small_portrait.shape[:2], bool)
    region = opened.faces[0].region
    outside[region.top : region.bottom, region.left : region.right] = region.mask == 0
    assert (other == small_portrait)[outside].all()


def test_a_shift_is_the_degree_that_it_leads_to(opened, small_portrait):
    own = opened.editor.method.encode(opened.faces, small_portrait)[0].degree
    shifted, set_ = opened.render(
        [opened.shot(Smile_Shift=0.5), opened.shot(smile=round(own + 0.5, 2))]
    )
    assert (shifted == set_).all()


def test_the_change_says_what_composition_needs(laughing):
    (((smile,),),) = laughing.changes([laughing.shot(Smile=0.9)])
    (((neutral,),),) = laughing.changes([laughing.shot(Smile=-0.9)])
    left, right = OUTER_MOUTH_CORNERS[0], OUTER_MOUTH_CORNERS[1]
    width = {
        name: np.ptp(change.landmarks[[left, right], 0])
        for name, change in (("smile", smile), ("neutral", neutral))
    }
    assert width["smile"] > width["neutral"] + 3
    assert smile.condition["smile"] > neutral.condition["smile"]
    assert 10 < smile.condition["age"] < 80
    assert smile.style.rendered > 0  # Folds and teeth are the renderer's.


def test_the_command_sets_shifts_and_sweeps(run, png, tmp_path):
    done = run("edit", png, "--smile", "0.8", "-o", "set.png", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = lines(done)
    assert row["settings"] == {"Smile": 0.8}
    assert row["provenance"]["method"] == "smile-degree"
    assert set(row["provenance"]["models"]) >= {"model", "cvae", "degree", "content"}
    assert b'AIPromptInformation="Smile=0.8"' in load_photo(tmp_path / "set.png").xmp
    words = ("edit", png, "--smile-range", "-1", "1.1", "2", "--smile", "+0.1", "--out", "sweep")
    done = run(*words, "--json")
    assert done.returncode == 0, done.stderr
    settings = [row["settings"] for row in lines(done)]
    assert settings == [{"Smile_Shift": 0.1, "Smile": s} for s in (-1.0, 1.0)]
    names = sorted(p.name for p in (tmp_path / "sweep" / "sample-1").iterdir())
    assert names == ["-1-Smile.png", "1-Smile.png"]
    assert (tmp_path / "sweep" / "sheet.png").is_file()


def test_wrong_words_about_smiles_are_told(run, png):
    for words, reason in (
        (("--smile", "wide"), "--smile wide: needs a number, like 0.5"),
        (("--smile", "nan"), "--smile nan: needs a number"),
        (("--smile", "1", "--set", "Young=1"), "unknown attribute 'Young'"),
        (("--smile-range", "-1", "1", "1", "--attr", "Smile"), "leave out --attr and --range"),
        (("--smile", "1", "--method", "attribute-vectors"), "one method at a time"),
        (("--smile", "1", "--keep", "Male"), "--keep: only attribute vectors"),
        (("--smile", "1", "--model", "vae"), "not a smile CVAE"),
    ):
        done = run("edit", png, *words, "-o", "o.png")
        assert done.returncode in (1, 2)
        assert reason in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr
    beyond = run("edit", png, "--smile", "1.5", "-o", "o.png")
    assert "Smile: strengths were measured from -1 to 1" in beyond.stderr


def test_estimates_are_told_of_each_face(run, png):
    assert -1 <= lines(run("faces", png, "--json"))[0]["smile"] < 0.2
    assert lines(run("faces", png, "--json", "--no-smile"))[0]["smile"] is None


def test_faces_are_generated_at_degrees(run, tmp_path):
    done = run("generate", "--smile", "0.7", "--count", "4", "--seed", "3", "--out", "grid.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (258, 258)
        first = np.asarray(grid)
    assert run("generate", "--smile", "0.7", "--out", "grid.png").returncode == 2
    words = ("generate", "--sweep", "-0.7", "3.1", "1.4", "--count", "2", "--seed", "3")
    done = run(*words, "--out", "rows.png")
    assert "degree 2.1: beyond the trained range of -1 to 1; its faces differ" in done.stderr
    with Image.open(tmp_path / "rows.png") as rows:
        assert rows.size == (2 * 132 + 4, 3 * 154 + 4)
        # The same seed is the same face, in a row of its degree.
        again = np.asarray(rows)[4 + 154 + 22 :, 4:][:128, :128]
    assert np.abs(again.astype(int) - first[:128, :128]).mean() < 0.01
    for words, reason in (
        ((), "give --smile DEGREE or --sweep"),
        (("--smile", "0", "--sweep", "0", "1", "1"), "give --smile DEGREE or --sweep"),
        (("--sweep", "0", "1", "0"), "never reaches the end"),
        (("--smile", "0", "--model", "vae"), "not a smile CVAE"),
    ):
        done = run("generate", *words, "--out", "other.png")
        assert done.returncode in (1, 2)
        assert reason in done.stderr


def test_a_model_is_looked_into(run, tmp_path):
    done = run("inspect", "--out", "inside", "--count", "1", "--axis", "7")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["axes"] == [7]
    assert {p.name for p in (tmp_path / "inside").iterdir()} == {"axes.png", "degree.png"}
    assert "codes have numbers 0 to 499" in run("inspect", "--out", "i", "--axis", "500").stderr


def test_the_same_code_is_one_face_whatever_else_is_drawn():
    generator = FaceGenerator(ConvAutoencoder().eval())
    many, few = generator.draw(5, 1), generator.draw(2, 1)
    np.testing.assert_array_equal(many[:2], few)
    faces = generator.decode(many, np.zeros(5))
    assert faces.shape == (5, 50, 50, 3)
    crops = np.random.default_rng(0).integers(0, 255, (3, 128, 128, 3), np.uint8)
    assert generator.encode(crops, np.zeros(3)).shape == (3, 20)


def test_copies_are_found_and_variety_is_measured():
    rng = np.random.default_rng(0)
    real = rng.integers(0, 255, (30, 16, 16, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    which, distances = nearest(real[[4, 9]], face_vectors(real))
    assert which.tolist() == [4, 9]
    assert distances.max() < 1e-3
    assert diversity(real[:1]) == 0
    assert diversity(np.repeat(real[:1], 4, 0)) < 1e-3 < diversity(real)


def test_who_smiles_is_counted(run, tmp_path):
    people = [Person("male", "20-39", "White", -0.5)] * 6
    people += [Person("male", "20-39", "White", 0.5)] * 2
    people += [Person("female", "20-39", "Asian", 0.5)] * 4
    rows = {(r["gender"], r["age"], r["group"]): r for r in smile_table(people)}
    assert rows["all", "all", "all"]["smiling"] == 0.5
    assert rows["male", "all", "all"]["smiling"] == 0.25
    assert rows["female", "20-39", "Asian"]["faces"] == 4
    low, high = wilson(0.25, 8)
    assert (round(low, 3), round(high, 3)) == (0.071, 0.591)  # Wilson's interval of 2 of 8.
    text = "file,degree\n" + "".join(f"2{i % 10}_{i % 2}_0_{i}.jpg,{(-1) ** i * 0.5}\n"
                                     for i in range(24))  # fmt: skip
    (tmp_path / "d.csv").write_text(text)
    done = run("bias", "d.csv", "--out", "b")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "b" / "smiles.csv").open() as file:
        table = {r["gender"]: r for r in csv.DictReader(file) if r["group"] == r["age"] == "all"}
    assert float(table["male"]["smiling"]) == 1.0
    assert float(table["female"]["smiling"]) == 0.0
    assert (tmp_path / "b" / "smiles.png").is_file()


def test_edits_are_judged_before_and_after(opened, png):
    record = Record(png, "utkface", opened.faces[0].face.points)
    broken = Record(png.with_name("none.png"), "utkface", record.points)
    judge = load_classifier(resolve("judge"))
    regressor = load_network(resolve("smile-degree"), DegreeRegressor)
    words = (opened.editor, judge, [broken, record], (-0.7, 0.7), ("Smiling", "Male"), regressor)
    (scores,) = edit_scores(*words)
    assert scores.shape == (3, 3)
    assert scores[1, 0] < scores[2, 0] - 0.4  # Smiling,
    assert scores[1, 2] < scores[2, 2] - 0.6  # its degree,
    assert np.ptp(scores[:, 1]) < 0.2  # and not Male.


def test_drift_and_quality_of_the_dial():
    rng = np.random.default_rng(0)
    scores = np.zeros((50, 4, 2), np.float32)
    scores[:, 1:, 0] = [0.1, 0.5, 0.9]
    scores[:, :, 1] = 0.5 + rng.normal(0, 0.01, (50, 4))
    scores[:, 3, 1] += 0.2
    rows = {(r["judged"], r["degree"]): r for r in drift(scores, (-1, 0, 1), ("Smiling", "Male"))}
    moved, still = rows["Male", 1], rows["Male", -1]
    assert moved["low"] < 0.2 < moved["high"]
    assert moved["low"] > 0.19
    assert still["low"] < 0.0 < still["high"]
    quality = dial_quality(scores[:, :, 0], (-1, 0, 1))
    assert quality["spearman"] == pytest.approx(1.0)
    assert quality["monotone"] == 1.0
    scores[0, 3, 0] = 0.2
    assert dial_quality(scores[:, :, 0], (-1, 0, 1))["monotone"] == 0.98


def test_unknown_controls_of_the_dial_are_told(opened):
    with pytest.raises(UsageError, match="unknown attribute 'Young'"):
        opened.shot(Young=1)
    with pytest.raises(UsageError, match="Smile: is set twice"):
        opened.shot(Smile=1, smile=0)
