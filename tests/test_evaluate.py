"""Measures of edits, the attribute classifier, and identity."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceflex.assets import resolve
from faceflex.compose.composer import Composer
from faceflex.edit.editor import Editor
from faceflex.errors import AssetError, UsageError
from faceflex.evaluate import measures
from faceflex.evaluate.edits import Instruments, evaluate_photo, passed, summarise
from faceflex.faces.recognition import FaceDescriptor, IdentityMeter, descriptor_distance
from faceflex.models.attribute_classifier import (
    AttributeClassifier,
    ClassifierConfig,
    load_classifier,
)
from faceflex.models.checkpoint import save_network
from tests.conftest import face_points


@pytest.fixture(scope="module")
def face(editor, portrait):
    return editor.finder.find(portrait.rgb)[0]


@pytest.fixture(scope="module")
def instruments():
    return Instruments()


def test_a_photo_compared_with_itself_has_changed_nothing(portrait, face):
    rgb, points = portrait.rgb, face.points
    assert measures.colour_change(rgb, rgb, points) == 0
    assert measures.seam(rgb, rgb, points) == 1
    assert measures.shape_distance(points, points) == 0
    assert measures.nearer(points, points, points + 5 * face_points(1)) == 0


def test_blur_lowers_sharpness_and_noise_raises_the_noise_level(portrait, face):
    where = measures.area(portrait.rgb.shape, face.points)
    blurred = cv2.GaussianBlur(portrait.rgb, (0, 0), 2)
    assert measures.sharpness(blurred, where) < 0.3 * measures.sharpness(portrait.rgb, where)
    rng = np.random.default_rng(0)
    flat = np.full((200, 200, 3), 120, np.uint8)
    noisy = np.clip(flat + rng.normal(0, 6, (200, 200, 1)), 0, 255).astype(np.uint8)
    assert measures.noise(noisy, np.ones((200, 200), bool)) == pytest.approx(6, rel=0.05)
    assert measures.noise(flat, np.ones((200, 200), bool)) == 0


def test_redder_cheeks_are_a_colour_change_and_a_step_is_a_seam(portrait, face):
    redder = portrait.rgb.astype(int) + [12, 0, 0]
    redder = np.clip(redder, 0, 255).astype(np.uint8)
    assert 2 < measures.colour_change(portrait.rgb, redder, face.points) < 15
    pasted = portrait.rgb.copy()
    from faceflex.faces.mask import face_outline

    inside = measures.area(pasted.shape, face_outline(face.points))
    pasted[inside] = np.clip(pasted[inside].astype(int) + 25, 0, 255)
    assert measures.seam(portrait.rgb, pasted, face.points) > 1.1


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.6, 0.6), st.floats(0.2, 5), st.floats(-300, 300), st.integers(0, 50))
def test_shape_distance_does_not_see_where_the_head_is(turn, scale, shift, seed):
    one, two = face_points(seed), face_points(seed + 1)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = two @ matrix.T + shift
    assert measures.shape_distance(one, two) == pytest.approx(
        measures.shape_distance(one, moved), abs=1e-2
    )


def test_nearer_is_1_at_the_goal_and_negative_beyond_the_start():
    start, goal = face_points(1), face_points(2)
    assert measures.nearer(start, goal, goal) == 1
    assert measures.nearer(start, 2 * start - goal, goal) < 0


def test_the_descriptor_knows_people_apart(editor, portrait, smile, face):
    describe = FaceDescriptor.default()
    other = editor.finder.find(smile)[0]
    one, two = describe(portrait.rgb, face.points), describe(smile, other.points)
    assert one.shape == (128,)
    assert descriptor_distance(one, two) > 0.6
    # The same person in a smaller copy.
    small = cv2.resize(portrait.rgb, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    assert descriptor_distance(one, describe(small, face.points * 0.4)) < 0.1
    watch = IdentityMeter(editor.finder.landmarks, portrait.rgb, [face.points])
    assert watch.distances(portrait.rgb) == [0.0]


def test_a_file_that_is_no_descriptor_is_refused(tmp_path):
    path = tmp_path / "descriptor.dat"
    path.write_bytes(b"not a network")
    with pytest.raises(AssetError, match=r"descriptor\.dat"):
        FaceDescriptor(path)


def test_the_classifier_tells_smiles_and_says_how_well(portrait, smile, editor, face, instruments):
    closed = instruments.measure(portrait.rgb, face.points, "Smiling")
    wide = instruments.measure(smile, editor.finder.find(smile)[0].points, "Smiling")
    assert closed.score < 0.2
    assert wide.score > 0.8
    with pytest.raises(UsageError, match="does not know Winking"):
        instruments.column("Winking")


def test_an_evaluation_measures_what_was_edited(editor, portrait, instruments):
    strengths = [0.5, 2.0, -1.0]
    measured = evaluate_photo(editor, instruments, "x", portrait.rgb, "Smiling", strengths)
    rows = [row for row, _ in measured]
    assert [r["strength"] for r in rows] == [0.5, 2.0, -1.0]
    assert all(r["outside"] == 0 for r in rows)
    assert all(0.5 < r[k] < 3 for r in rows for k in ("noise", "noise_mouth"))
    assert rows[0]["identity_distance"] < rows[1]["identity_distance"] < 0.6
    assert [passed(r) for r in rows] == [False, True, True]
    summary = summarise(rows[:2])
    assert summary["chosen"] == 2.0
    assert summary["monotone"] == 1.0
    pasting = Editor(editor.finder, editor.method, Composer(mode="paste"))
    ((pasted, _),) = evaluate_photo(pasting, instruments, "x", portrait.rgb, "Smiling", [2.0])
    assert pasted["sharpness_hull"] < 0.5 < rows[1]["sharpness_hull"]
    assert pasted["identity_distance"] > rows[1]["identity_distance"]


def test_a_pair_tells_how_near_an_edit_comes(editor, portrait, instruments):
    # The goal is an edit itself: what is nearer to it is known.
    (_, goal), *_ = evaluate_photo(editor, instruments, "x", portrait.rgb, "Smiling", [1.5])
    rows = [
        row
        for row, _ in evaluate_photo(
            editor, instruments, "x", portrait.rgb, "Smiling", [0.7, 1.5, -1.0], real=goal
        )
    ]
    assert rows[2]["nearer"] < 0 < rows[0]["nearer"] < rows[1]["nearer"]
    assert rows[1]["nearer"] > 0.4
    assert summarise(rows[:2])["strengths"][0]["nearer_people"] == 1.0


def test_a_classifier_is_saved_and_read_back(tmp_path):
    classifier = AttributeClassifier(ClassifierConfig(("A", "B"), 48, (8, 8, 8, 8))).eval()
    save_network(classifier, tmp_path / "classifier.safetensors", {"auc": {"A": 0.9}})
    crops = np.random.default_rng(0).integers(0, 255, (3, 128, 128, 3), np.uint8)
    again = load_classifier(tmp_path / "classifier.safetensors").scores(crops)
    assert again.shape == (3, 2)
    assert np.abs(again - classifier.scores(crops)).max() < 1e-2
    assert (
        np.abs(
            again - load_classifier(tmp_path / "classifier.safetensors").scores(crops[:, :, ::-1])
        ).max()
        < 1e-5
    )
    with pytest.raises(AssetError, match="attribute judge"):
        load_classifier(resolve("vae"))
