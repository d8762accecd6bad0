"""Data about attributes."""

from __future__ import annotations

import pytest

from faceflex.assets import resolve
from faceflex.attributes import tone_attributes, tone_share
from faceflex.vectors import AttributeVectors


def test_every_tone_attribute_is_one_that_can_be_edited():
    names = set(AttributeVectors.load(resolve("vectors")).names)
    assert tone_attributes() <= names
    assert {"Smiling", "Young", "Male"} <= names - tone_attributes()


def test_tone_is_shared_by_strength():
    assert tone_share({"Smiling": 2.0}) == 0.0
    assert tone_share({"Pale_Skin": -1.0}) == 1.0
    assert tone_share({"Pale_Skin": 1.0, "Smiling": -3.0}) == pytest.approx(0.25)
    assert tone_share({}) == tone_share({"Pale_Skin": 0.0}) == 0.0
