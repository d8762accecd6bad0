"""Data about attributes."""

from __future__ import annotations

import pytest

from faceflex.assets import resolve
from faceflex.compose.change import TransferStyle
from faceflex.methods.attribute_styles import AttributeStyle, blend_styles, styles
from faceflex.methods.vectors import AttributeVectors


def transfer(settings):
    return blend_styles(settings).transfer


def test_every_attribute_with_a_kind_is_one_that_can_be_edited():
    names = set(AttributeVectors.load(resolve("vectors")).names)
    assert set(styles()) <= names
    assert {"Attractive", "Male"} <= names - set(styles())


def test_tone_is_carried_over_for_colours_and_not_for_expressions():
    assert transfer({"Smiling": 2.0}).color == 0.0
    assert transfer({"Pale_Skin": -1.0}).color == 1.0
    assert transfer({"Smiling": 1.0}).max_shading < transfer({"Young": 1.0}).max_shading


def test_edits_of_several_attributes_are_carried_over_by_their_strengths():
    assert transfer({"Pale_Skin": 1.0, "Smiling": -3.0}).color == pytest.approx(0.25)
    assert blend_styles({}) == blend_styles({"Pale_Skin": 0.0}) == AttributeStyle(TransferStyle())


def test_what_is_worn_does_not_move():
    for name, moves in (("Mustache", False), ("Wearing_Lipstick", False), ("Young", True)):
        assert blend_styles({name: -2.0}).moves == moves
    assert blend_styles({"Smiling": 1.0, "Mustache": 1.0}).moves
