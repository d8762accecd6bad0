"""What a command line asks for, before any photo is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceflex.edit.request import (
    Request,
    parse_settings,
    plan_outputs,
    strength_name,
    strengths,
)
from faceflex.edit.selection import check_selector, choose_faces
from faceflex.errors import NoFaceError, UsageError
from faceflex.faces import Face

FACES = [
    Face(i, (x, 0, x + w, w), 1.0, np.zeros((68, 2), np.float32))
    for i, x, w in ((1, 0, 50), (2, 60, 90), (3, 200, 40))
]


def test_a_range_is_numpys_arange_without_drift():
    assert strengths(0, 5, 1) == [0, 1, 2, 3, 4]
    assert strengths(0, 1, 0.1) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert strengths(1, -1, -0.5) == [1, 0.5, 0, -0.5]
    assert strengths(-0.3, 0.3, 0.3) == [-0.3, 0.0]


@given(st.integers(-50, 50), st.integers(1, 80), st.integers(1, 20))
def test_a_range_of_hundredths_is_exact(start, length, step):
    values = strengths(start / 100, (start + length) / 100, step / 100)
    assert values == [n / 100 for n in range(start, start + length, step)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0, 5, 0), "step of 0"),
        ((5, 0, 1), "negative STEP"),
        ((0, 5, -1), "empty"),
        ((2, 2, 1), "empty"),
        ((0, 1e9, 1), "1,000,000,000 pictures"),
        ((0, float("inf"), 1), "finite"),
        ((0, 1, float("nan")), "finite"),
    ],
)
def test_senseless_ranges_are_refused(values, words):
    with pytest.raises(UsageError, match=words):
        strengths(*values)


def test_strengths_are_named_as_typed():
    assert [strength_name(v) for v in (0.0, -0.0, 1.0, 0.5, -1.5, 0.30000000000000004)] == [
        "0",
        "0",
        "1",
        "0.5",
        "-1.5",
        "0.3",
    ]


def test_settings_are_read():
    assert parse_settings(["Smiling=2", "Young=-1.5"]) == {"Smiling": 2.0, "Young": -1.5}


@pytest.mark.parametrize("pair", ["Smiling", "=2", "Smiling=", "Smiling=much", "Smiling=nan"])
def test_wrong_settings_are_refused(pair):
    with pytest.raises(UsageError, match="NAME=STRENGTH"):
        parse_settings([pair])


def test_blanks_and_automatic_strengths_are_read():
    assert parse_settings(["Smiling = 1.5", " Young= auto", "Male=AUTO"]) == {
        "Smiling": 1.5,
        "Young": None,
        "Male": None,
    }


def test_a_setting_given_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        parse_settings(["Young=1", "Young=2"])


def test_faces_are_chosen_by_number_size_and_place():
    def chosen(*selectors):
        return [f.index for f in choose_faces(FACES, selectors, "p.jpg")]

    assert chosen() == [1, 2, 3]
    assert chosen("3", "1", "3") == [1, 3]
    assert chosen("largest") == [2]
    assert chosen("210,20") == [3]
    assert chosen("largest", "2") == [2]


@pytest.mark.parametrize(
    ("selector", "words"), [("4", "has no face 4; it has 1 to 3"), ("500,500", "no face at")]
)
def test_a_face_that_is_not_there_is_an_error(selector, words):
    with pytest.raises(NoFaceError, match=words):
        choose_faces(FACES, [selector], "p.jpg")


@pytest.mark.parametrize("selector", ["0", "-1", "first", "1,2,3", "a,b", "", "1.5", "nan,2"])
def test_senseless_selectors_are_refused(selector):
    with pytest.raises(UsageError, match="`face`"):
        check_selector(selector)


def test_a_sweep_has_a_folder_a_sample_and_a_file_a_strength():
    request = Request(("Smiling", "Young"), (0.0, 1.5), 2, {"Male": 1.0, "Young": 1.0})
    outputs = plan_outputs(request, Path("out"), "me", ".png")
    assert [str(o.path) for o in outputs] == [
        f"out/sample-{i}/{s}-{a}.png"
        for a in ("Smiling", "Young")
        for i in (1, 2)
        for s in ("0", "1.5")
    ]
    assert outputs[1].settings == {"Male": 1.0, "Young": 1.0, "Smiling": 1.5}
    assert outputs[-1].settings == {"Male": 1.0, "Young": 2.5}


def test_settings_alone_make_one_picture():
    (only,) = plan_outputs(Request((), (), 1, {"Male": 1.0}), Path("out"), "me-edited", ".png")
    assert only.path == Path("out/me-edited.png")
    assert only.settings == {"Male": 1.0}


def test_automatic_strengths_are_one_picture_a_control_and_sample():
    request = Request(("Smiling", "Young"), (None,), 2, {"Male": 1.0}, ("Bald",), 0.7)
    outputs = plan_outputs(request, Path("out"), "me-edited", ".png")
    assert [str(o.path) for o in outputs] == [
        f"out/sample-{i}/auto-{a}.png" for a in ("Smiling", "Young") for i in (1, 2)
    ]
    assert outputs[0].automatic == {"Bald": 0.7, "Smiling": 0.7}
    assert (outputs[0].strength, outputs[0].settings) == (None, {"Male": 1.0})
    assert request.automatic_controls == ("Bald", "Smiling", "Young")
    assert len(outputs) == request.outputs


def test_a_control_is_suggested_by_what_people_call_it():
    from faceflex.assets import resolve
    from faceflex.assets.registry import read_toml
    from faceflex.methods.controls import find_control
    from faceflex.methods.vectors import AttributeVectors

    names = AttributeVectors.load(resolve("vectors")).names
    for word, meant in {
        "Happy": "Smiling",
        "grin": "Smiling",
        "moustaches": "Mustache",
        "Glases": "Eyeglasses",
        "old": "Young with a negative strength",
        "beard": "No_Beard with a negative strength",
        "Wrinkels": "Young with a negative strength",
    }.items():
        with pytest.raises(UsageError, match=rf"did you mean {meant}\? \(see"):
            find_control(word, names)
    with pytest.raises(UsageError, match="unknown attribute 'Happy' \\(see"):
        find_control("Happy", ["warmth"])
    controls = {control.lstrip("-") for control in read_toml("synonyms.toml").values()}
    assert controls <= set(names)
