"""How well edited faces are told from real ones: a measure that sees what there is, and no more."""

from __future__ import annotations

import json
from itertools import product

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from faceflex.cli.app import app
from faceflex.errors import UsageError
from faceflex.evaluate import realism, realism_network
from faceflex.evaluate.realism import (
    FOLDS,
    MIN_FACES,
    assign_folds,
    estimate_auc,
    realism_auc,
)
from faceflex.evaluate.realism_faces import PLACES, cut_face, person_of
from faceflex.evaluate.realism_network import RealismTraining
from faceflex.faces.align import transform_points
from tests.test_cli import failed_well

QUICK = RealismTraining(epochs=10, batch=12)


@pytest.fixture(scope="module")
def people(editor, portrait, smile):
    """Two people made small, with landmarks."""
    found = []
    for rgb in (portrait.rgb, smile):
        small = cv2.resize(rgb, (260, 260), interpolation=cv2.INTER_AREA)
        found.append((small, editor.finder.find(small)[0].points))
    return found


def taken(people, number):
    """Return one of the people, seen anew: turned, shifted, lit and grained in another way."""
    rgb, points = people[number % len(people)]
    rng = np.random.default_rng(number)
    matrix = cv2.getRotationMatrix2D((130, 130), rng.normal(0, 4), rng.uniform(0.9, 1.1))
    photo = cv2.warpAffine(rgb, matrix, (260, 260)) * rng.uniform(0.7, 1.1, 3)
    photo = np.clip(photo + rng.normal(0, 3, photo.shape), 0, 255).astype(np.uint8)
    return photo, (transform_points(matrix, points) + rng.normal(0, 0.6, (68, 2))).astype(
        np.float32
    )


def smeared(photo, points):
    """Return the photo with a smeared mouth, as a bad edit leaves it."""
    mouth = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillConvexPoly(mouth, cv2.convexHull(points[48:60].astype(np.int32)), 1)
    return np.where(mouth[..., None] > 0, cv2.GaussianBlur(photo, (0, 0), 4), photo)


def faces(people, numbers, edit=None):
    """Cut faces out of photos of the people; each photo counts as a person."""
    cut = []
    for number in numbers:
        photo, points = taken(people, number)
        cut.append(cut_face(edit(photo, points) if edit else photo, points, str(number)))
    return cut


def test_photos_of_one_kind_cannot_be_told_apart(people):
    real, other = faces(people, range(30)), faces(people, range(30, 60))
    found = realism_auc(real, other, training=QUICK)
    assert (found.real, found.edited) == (30, 30)
    for estimate in (found.seen, found.covered):
        assert estimate.low < 0.5 < estimate.high
        assert 0.15 < estimate.high - estimate.low < 0.5


def test_a_smeared_mouth_is_seen_until_it_is_covered(people):
    edited = faces(people, range(30, 60), smeared)
    calls = []
    found = realism_auc(
        faces(people, range(30)), edited, training=QUICK, progress=lambda *c: calls.append(c)
    )
    assert found.seen.auc > 0.9
    assert found.seen.low > 0.8
    assert found.covered.auc < found.seen.auc - 0.2
    assert found.covered.low < 0.5 < found.covered.high
    assert calls == [(n, 10) for n in range(1, 11)]


def test_the_control_covers_the_mouth_and_leaves_its_surroundings(people):
    ((photo, points),) = people[:1]
    place = PLACES["mouth"]
    whole, other = (
        cut_face(picture, points, "x").window for picture in (photo, smeared(photo, points))
    )
    assert whole.shape == (*place.shape, 3)
    changed = (whole != other).any(axis=2)
    assert changed.sum() > 500
    rows, columns = place.covered
    changed[rows, columns] = False
    assert not changed.any()
    assert np.prod([s.stop - s.start for s in place.covered]) < 0.6 * np.prod(place.shape)


def test_the_seed_alone_decides_whatever_the_number_of_cores(people, monkeypatch):
    sides = faces(people, range(20)), faces(people, range(20, 40))
    found = []
    for cores, seed in ((1, 0), (3, 0), (1, 1)):
        monkeypatch.setattr(realism_network, "default_jobs", lambda cores=cores: cores)
        found.append(realism_auc(*sides, seed=seed, training=RealismTraining(epochs=1, batch=12)))
    assert found[0] == found[1]
    assert found[0].seen != found[2].seen


def test_no_person_is_both_learned_from_and_asked_about():
    rng = np.random.default_rng(0)
    persons = np.unique(rng.integers(0, 23, 90), return_inverse=True)[1]
    is_edited = rng.random(90) < 0.4
    fold = assign_folds(persons, is_edited)
    assert all(len(set(fold[persons == p])) == 1 for p in set(persons))
    assert all(
        ((fold == k) & (is_edited == side)).any() for k, side in product(range(FOLDS), (0, 1))
    )
    with pytest.raises(UsageError, match="4 persons on the edited side"):
        assign_folds(np.r_[np.arange(30), np.arange(60) % 4], np.arange(90) >= 30)


def test_the_area_is_that_of_pairs_within_folds_and_its_interval_that_of_persons():
    is_edited = np.arange(40) % 2 == 0
    fold, persons = np.arange(40) // 20, np.arange(40)
    logits = np.where(is_edited, 1.0, 0.0)
    perfect = estimate_auc(logits + 10 * fold, is_edited, fold, persons)
    assert (perfect.auc, perfect.low, perfect.high) == (1, 1, 1)
    assert estimate_auc(-logits, is_edited, fold, persons).auc == 0
    assert estimate_auc(np.zeros(40), is_edited, fold, persons).auc == 0.5
    noisy = logits + np.random.default_rng(0).normal(0, 1.5, 40)
    pairs = [
        (noisy[a] > noisy[b])
        for a, b in product(range(40), range(40))
        if is_edited[a] and not is_edited[b] and fold[a] == fold[b]
    ]
    wide = estimate_auc(noisy, is_edited, fold, np.arange(40) // 4)
    narrow = estimate_auc(noisy, is_edited, fold, persons)
    assert narrow.auc == wide.auc == pytest.approx(np.mean(pairs))
    assert narrow.low < narrow.auc < narrow.high


def test_names_of_persons():
    assert person_of("a/anna.jpg") == person_of("b/anna-edited.png") == "anna"
    assert person_of("x-Smiling/anna/1.0.png", r"([^/]+)/[^/]+$") == "anna"
    assert person_of("other.png", r"[0-9]+") == "other"


@pytest.fixture
def folders(tmp_path, people):
    """Folders ``real`` and ``edited`` of five photos each, with four faces in a row."""
    for side, edit in (("real", None), ("edited", smeared)):
        (tmp_path / side).mkdir()
        for number in range(5):
            row = []
            for face in range(4 * number, 4 * number + 4):
                photo, points = taken(people, face + (edit is not None) * MIN_FACES)
                row.append(cv2.resize(edit(photo, points) if edit else photo, (160, 160)))
            Image.fromarray(np.hstack(row)).save(tmp_path / side / f"{side}{number}.png")
    return tmp_path


@pytest.fixture
def command(monkeypatch):
    """Run ``faceflex`` in this process, with short trainings."""
    monkeypatch.setattr(realism, "RealismTraining", lambda: RealismTraining(epochs=1))
    return lambda *words: CliRunner().invoke(app, [str(w) for w in words])


def test_the_command_tells_edits_from_photos(command, folders):
    words = ("evaluate", "realism", folders / "real", "--edited", folders / "edited")
    done = command(*words, "--json")
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)
    assert (row["real"], row["edited"], row["place"], row["seed"]) == (20, 20, "mouth", 0)
    assert row["low"] <= row["auc"] <= row["high"] <= 1
    shown = command(*words).stdout
    assert f"{row['auc']:.3f} ({row['low']:.2f}-{row['high']:.2f})" in shown
    assert f"{row['covered']['auc']:.3f}" in shown


def test_words_of_the_command_are_checked(run, folders):
    words = ("evaluate", "realism", "real", "--edited", "edited")
    failed_well(run(*words[:4], "edited/edited0.png"), 2, "4 edited faces", "20")
    failed_well(run(*words, "--person", "("), 2, "--person", "regular expression")
    failed_well(run(*words, "--person", "real|edited"), 2, "1 person", "5 folds")
    failed_well(run(*words, "--place", "nose"), 2, "--place", "mouth")
    failed_well(run(*words[:4], "real"), 2, "real0.png", "among the real photos")


def test_a_report_tells_how_realistic_its_edits_are(command, folders):
    words = ("--attr", "Smiling", "--range", "1", "1.5", "1", "--out", folders / "report")
    edits, real = ("evaluate", "edits", *words), folders / "real"
    done = command(*edits, real, "--against", real / "real0.png")
    assert "4 real faces" in str(done.exception)
    done = command(*edits, real / "real0.png", "--against", folders / "edited")
    assert done.exit_code == 0, done.output
    assert "realism is not measured: 4 edited faces" in done.stderr
    done = command(*edits, real, "--against", folders / "edited", "--overwrite")
    assert done.exit_code == 0, done.output
    (line,) = json.loads((folders / "report" / "report.json").read_text())["strengths"]
    assert line["realism"]["edited"] == line["realism"]["real"] == 20
    assert 0 <= line["realism"]["covered"]["auc"] <= 1
    assert f"told from real {line['realism']['auc']:.3f}" in done.stderr
