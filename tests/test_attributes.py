"""Data about attributes."""

from __future__ import annotations

import pytest

from faceflex.assets import resolve
from faceflex.methods.attribute_styles import TransferStyle, carry, kinds
from faceflex.methods.vectors import AttributeVectors


def test_every_attribute_with_a_kind_is_one_that_can_be_edited():
    names = set(AttributeVectors.load(resolve("vectors")).names)
    assert set(kinds()) <= names
    assert {"Young", "Male"} <= names - set(kinds())


def test_tone_is_carried_over_for_colours_and_not_for_expressions():
    assert carry({"Smiling": 2.0}).tone == 0.0
    assert carry({"Pale_Skin": -1.0}).tone == 1.0
    assert carry({"Smiling": 1.0}).depth < carry({"Young": 1.0}).depth


def test_edits_of_several_attributes_are_carried_over_by_their_strengths():
    assert carry({"Pale_Skin": 1.0, "Smiling": -3.0}).tone == pytest.approx(0.25)
    assert carry({}) == carry({"Pale_Skin": 0.0}) == TransferStyle()


def test_what_is_worn_does_not_move():
    assert carry({"Mustache": 1.0}).motion == carry({"Wearing_Lipstick": -2.0}).motion == 0
    assert carry({"Smiling": 1.0}).motion == carry({"Young": 1.0}).motion == 1
