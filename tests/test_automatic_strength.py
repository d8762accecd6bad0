"""Automatic strengths: the smallest at which a judge sees the attribute, for each face."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import faceflex
from faceflex.edit.automatic_strength import STEPS, bisect_step
from faceflex.errors import UsageError
from faceflex.faces.align import align
from faceflex.photo import load_photo
from tests.conftest import ROOT

THREE = ROOT / "examples" / "three-people.jpg"


class Brightness:
    """A judge that can be told apart from the real one: the mean of a crop, scaled."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def attribute_of(self, control):
        return control

    def score(self, crop, attribute):
        return float(crop.mean()) / 255 * self.scale


@given(st.integers(1, STEPS))
def test_the_smallest_step_is_found_in_few_calls(first):
    calls = []
    assert bisect_step(lambda step: calls.append(step) or step >= first) == first
    assert len(calls) <= 8
    assert len(calls) == len(set(calls))


def test_a_score_that_is_never_reached_is_given_up_early():
    calls = []
    assert bisect_step(calls.append) is None
    assert calls[-1] == STEPS
    assert len(calls) == 3


def test_the_strength_is_the_smallest_that_passes_on_the_composed_photo(editor, small_portrait):
    opened = editor.open(small_portrait)
    (found,) = opened.auto("smiling", until=0.6)
    assert (found.control, found.outcome) == ("Smiling", "reached")
    assert found.score_before < 0.1 < 0.6 <= found.score_after

    def score(strength):
        (picture,) = opened.render([opened.shot(Smiling=strength)])
        landmarks, points = editor.finder.landmarks, opened.faces[0].face.points
        points = landmarks.refine(picture, landmarks.refine(picture, points))
        return editor.scorer.score(align(picture, points).crop, "Smiling")

    assert score(found.strength) == pytest.approx(found.score_after, abs=1e-4)
    assert score(found.strength - 0.05) < 0.6
    (more,) = opened.auto("Smiling", until=0.9)
    assert more.strength > found.strength


def test_below_a_half_the_score_is_to_fall(editor, smile):
    opened = faceflex.open_photo(ROOT / "examples" / "smile.jpg", editor=editor)
    (found,) = opened.auto("Smiling", until=0.4)
    assert (found.outcome, found.strength < 0) == ("reached", True)
    assert found.score_after <= 0.4 < 0.8 < found.score_before
    (kept,) = opened.auto("Smiling", until=0.8)
    assert (kept.outcome, kept.strength) == ("already", 0)
    assert "already" not in kept.note
    assert "left alone" in kept.note


def test_what_cannot_be_reached_stays_the_same_person(editor, small_portrait, monkeypatch):
    import faceflex.faces.recognition as recognition

    opened = editor.open(small_portrait)
    monkeypatch.setattr(editor, "scorer", Brightness(0.0))
    monkeypatch.setattr(recognition, "descriptor_available", lambda: False)
    (found,) = opened.auto("Smiling")
    assert (found.outcome, found.strength) == ("not reached", 2.5)
    assert "not 0.8" in found.note
    monkeypatch.undo()
    monkeypatch.setattr(editor, "scorer", Brightness(0.0))
    shots = opened.automatic(opened.shot(), {"Smiling": 0.8}, max_distance=0.2)
    assert shots[0][1][0].strength in (1.0, 1.75)
    shots = opened.automatic(opened.shot(), {"Smiling": 0.8}, max_distance=1e-6)
    assert shots[0][1][0].strength == 0


def test_controls_are_found_one_after_the_other_with_fixed_ones_beside(editor, small_portrait):
    opened = editor.open(small_portrait)
    shot = opened.shot(Young=-1.0)
    ((full, found),) = opened.automatic(shot, {"Smiling": 0.7, "Mustache": 0.5})
    assert [name for name, _ in full.settings] == ["Young", "Smiling", "Mustache"]
    assert [f.control for f in found] == ["Smiling", "Mustache"]
    # Scores are those of the result, in which both are.
    picture = opened.render_each([full])
    landmarks, points = editor.finder.landmarks, opened.faces[0].face.points
    points = landmarks.refine(picture, landmarks.refine(picture, points))
    crop = align(picture, points).crop
    for one in found:
        assert editor.scorer.score(crop, one.control) == pytest.approx(one.score_after, abs=1e-4)


def test_python_edits_automatically_and_says_how(editor, small_portrait, tmp_path):
    from PIL import Image

    Image.fromarray(small_portrait).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    edited = faceflex.edit_photo(photo, {"smiling": "auto", "Young": 0.5}, until=0.6, editor=editor)
    used = float(edited.provenance.settings["Smiling"])
    assert 0 < used <= 2.5
    again = faceflex.edit_photo(photo, {"Smiling": used, "Young": 0.5}, editor=editor)
    assert np.abs(again.rgb.astype(int) - edited.rgb).max() <= 1


def test_a_control_that_nobody_can_judge_is_refused(editor):
    with pytest.raises(UsageError, match="warmth: its strength cannot be automatic"):
        editor.scorer.attribute_of("warmth")
    plain = faceflex.Editor(editor.finder, editor.method, editor.composer)
    opened = plain.open(load_photo(THREE).rgb, ["1"])
    with pytest.raises(UsageError, match="no scorer"):
        opened.auto("Smiling")


def test_each_face_of_each_photo_has_its_own_strength(run, png, tmp_path):
    words = ("--attr", "Smiling", "--until", "0.7", "--out", "out", "--jobs", "2", "--json")
    done = run("edit", THREE, png, *words)
    assert done.returncode == 0, done.stderr
    rows = {r["photo"]: r for r in map(json.loads, done.stdout.splitlines())}
    three, one = rows[str(THREE)], rows[str(png)]
    found = [face["automatic"][0] for face in three["faces"]]
    assert [f["outcome"] for f in found] == ["reached"] * 3
    assert len({f["strength"] for f in found}) > 1
    assert all(f["score_before"] < 0.7 <= f["score_after"] for f in found)
    assert (three["strength"], three["automatic"]) == (None, {"Smiling": 0.7})
    used = "/".join(f"{f['strength']:g}" for f in found)
    assert three["provenance"]["settings"] == {"Smiling": used}
    folder = tmp_path / "out" / "three-people"
    assert (folder / "sheet.png").is_file()
    picture = load_photo(folder / "sample-1" / "auto-Smiling.jpg")
    assert f"Smiling={used}".encode() in picture.xmp
    assert one["output"] == "out/friend/sample-1/auto-Smiling.png"


def test_a_face_that_has_it_is_left_alone_and_that_is_said(run, tmp_path):
    path = ROOT / "examples" / "smile.jpg"
    done = run("edit", path, "--set", "Smiling = auto", "-o", "out.png", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = map(json.loads, done.stdout.splitlines())
    (found,) = row["faces"][0]["automatic"]
    assert (found["outcome"], found["strength"], found["until"]) == ("already", 0, 0.8)
    notes = [line for line in done.stderr.splitlines() if "left alone" in line]
    assert notes == [f"{path}: face 1: Smiling scores 0.99 as it is, left alone"]
    assert np.array_equal(load_photo(tmp_path / "out.png").rgb, load_photo(path).rgb)


def test_what_is_said_of_several_attributes_is_one_line_a_photo(run, png, tmp_path):
    words = ("--attr", "Smiling", "--attr", "Wearing_Necktie", "--until", "0.7", "--json")
    done = run("edit", png, *words)
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["faces"][0]["automatic"][0]["outcome"] == "reached"
    (found,) = second["faces"][0]["automatic"]
    assert (found["outcome"], found["strength"] > 0) == ("not reached", True)
    told = [line for line in done.stderr.splitlines() if line.startswith(f"{png}: ")]
    assert len(told) == 1
    assert f"face 1: Wearing_Necktie {found['strength']:g} takes its score from" in told[0]
    names = sorted(p.name for p in (tmp_path / "friend-Smiling-Wearing_Necktie").rglob("*.png"))
    assert names == ["auto-Smiling.png", "auto-Wearing_Necktie.png", "sheet.png"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--attr", "Smiling", "--until", "1.5"), "--until 1.5"),
        (("--attr", "Smiling", "--until", "0.8", "--range", "0", "1", "1"), "--until and --range"),
        (("--set", "Smiling=1", "--until", "0.8"), "--until: needs"),
        (("--set", "Smiling=1", "--attr", "Smiling", "--until", "0.8"), "Smiling: is set twice"),
        (("--set", "Smiling=auto", "--set", "smiling=1"), "Smiling: is set twice"),
    ],
)
def test_senseless_words_about_it_are_refused(run, png, words, told):
    done = run("edit", png, *words)
    assert done.returncode == 2
    assert told in done.stderr


def test_the_sheet_shows_strength_and_scores():
    from faceflex.edit.automatic_strength import AutomaticStrength
    from faceflex.edit.photo_job import _Plan, _shown_strength
    from faceflex.edit.request import Output

    one = AutomaticStrength("Smiling", 0.8, 1.25, 0.123, 0.831, "reached")
    output = Output(None, "Smiling", None, 1, {}, {"Smiling": 0.8})
    assert _shown_strength(_Plan(output, [], [[one]])) == "1.25 (0.12 to 0.83)"
    assert _shown_strength(_Plan(output, [], [[one]] * 3)) == "auto 1.25/1.25/1.25"
