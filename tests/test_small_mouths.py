"""Teeth in small and blurred photos: what light they have, and what a model of it knows."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from faceflex.compose.face_tones import FaceTones, brightest, in_one_color
from faceflex.compose.lips_motion import between
from faceflex.compose.mouth_tones import (
    EVEN,
    MouthTones,
    mouth_places,
    mouth_tones,
    pack,
    tone_features,
    unpack,
)
from faceflex.compose.small_mouths import small_share
from faceflex.errors import AssetError
from faceflex.faces.align import template
from faceflex.faces.lips import lips_from_landmarks
from faceflex.faces.region import LUMA
from faceflex.methods.base import Shot
from faceflex.train.mouth_tones import fit, mirrored


def lips_apart(gap: float):
    points = np.array(template(), np.float32)
    points[60:68, 1] = points[60:68, 1].mean()
    points[[61, 62, 63], 1] -= gap / 2
    points[[65, 66, 67], 1] += gap / 2
    return lips_from_landmarks(points)


@pytest.fixture(scope="module")
def tones(portrait, editor):
    """The light in the example photo."""
    face = editor.open(portrait.rgb).faces[0]
    return FaceTones.measure(face.region.crop(portrait.rgb), face.region, face.landmarks)


@pytest.fixture(scope="module")
def chip(portrait):
    """(200, 200, 3) uint8: the example photo, as small as faces are in face sets."""
    return cv2.resize(portrait.rgb, (200, 200), interpolation=cv2.INTER_AREA)


def smiles(editor, photo, *strengths):
    """Return pictures of smiles, and where their teeth are, 0 to 1."""
    opened = editor.open(photo)
    face = opened.faces[0]
    shots = [Shot((("Smiling", s),)) for s in strengths]
    pictures = [np.float32(p) for p in opened.render(shots)]
    x, y = face.region.coordinates()
    inside = []
    for change in opened.face_changes(0, shots):
        whole = np.zeros(photo.shape[:2], np.float32)
        rows, columns = (
            slice(face.region.top, face.region.bottom),
            slice(face.region.left, face.region.right),
        )
        whole[rows, columns] = between(change[-1].lips, x, y, 0.8)
        inside.append(whole)
    return face, pictures, inside


def test_a_mirror_image_has_a_mirrored_mouth(tones):
    model, lips = mouth_tones(), lips_apart(5.0)
    even, odd = tone_features(tones, lips, float(lips.x[32]) - 4, 35.0)
    nothing = np.zeros(len(model.parts), np.float32)
    bright, hue, teeth = model.predict((even, odd), nothing)
    other, same_hue, same_teeth = model.predict((even, -odd), nothing)
    assert np.allclose(bright, other[:, ::-1], atol=0.06)
    assert np.allclose(hue, same_hue, atol=0.02)
    assert teeth == pytest.approx(same_teeth, abs=0.03)
    assert np.ptp(bright - other) > 0.05  # The head is turned: it is not the same picture.


def test_teeth_are_lit_from_the_side_of_the_face(tones):
    model, lips = mouth_tones(), lips_apart(5.0)
    middle, nothing = float(lips.x[32]), np.zeros(len(model.parts), np.float32)
    lit = replace(tones, sides=(0.5, 0.5))
    bright, _, teeth = model.predict(tone_features(lit, lips, middle, 35.0), nothing)
    assert bright[1:5, 14:21].mean() > bright[1:5, 3:10].mean() + 0.05
    assert -0.3 < teeth < 0.7
    varied = model.predict(tone_features(lit, lips, middle, 35.0), nothing + 1, 0.5)[0]
    assert 0.01 < np.abs(varied - bright).max() < 1


def test_corners_are_darker_than_the_middle_and_teeth_paler_than_skin(tones):
    lips = lips_apart(5.0)
    nothing = np.zeros(len(mouth_tones().parts), np.float32)
    features = tone_features(tones, lips, float(lips.x[32]), 35.0)
    bright, hue, _ = mouth_tones().predict(features, nothing)
    assert bright[2:5, [0, 1, -2, -1]].mean() < bright[2:5, 8:16].mean() - 0.5
    skin = np.log(tones.skin[[0, 2]] / (tones.skin @ LUMA))
    assert hue[0] < skin[0]
    assert hue[1] > skin[1]


def test_a_fit_finds_what_mouths_follow():
    rng = np.random.default_rng(4)
    even = rng.normal(0, 1, (900, EVEN)).astype(np.float32)
    odd = rng.normal(0, 1, (900, 4)).astype(np.float32)
    grid = np.full((16, 48, 3), 0.5, np.float32)
    grid[:, 36:] *= 0.5
    flat = np.stack([pack(grid, 0.5)] * 900)
    outputs = flat + 0.2 * even[:, :1] + rng.normal(0, 0.02, flat.shape).astype(np.float32)
    outputs[:, : 8 * 24].reshape(-1, 8, 24)[:, :, :12] += 0.2 * odd[:, 1, None, None]
    model = fit(even[:800], odd[:800], outputs[:800])
    left = (
        model.factors(even[800:], odd[800:]) @ model.regression
        - (outputs[800:] + mirrored(outputs[800:])) / 2
    )
    assert np.abs(left[:, -1]).mean() < 0.1  # Of 0.2: the ridge keeps a part.
    right, other = (
        unpack(model.regression[18])[0][:, part].mean() for part in (slice(12), slice(12, 24))
    )
    assert right > 0.02 > -0.02 > other


def test_files_that_are_no_models_are_refused(tmp_path):
    model, path = mouth_tones(), tmp_path / "tones.safetensors"
    model.save(path)
    again = MouthTones.load(path)
    assert np.allclose(again.regression, model.regression)
    replace(model, parts=model.parts[:, :5]).save(path)
    with pytest.raises(AssetError, match="do not fit together"):
        MouthTones.load(path)


def test_what_a_mouth_shows_is_read_back():
    x, y = mouth_places(lips_apart(4.0))
    assert x.shape == y.shape == (16, 48)
    assert (np.diff(y, axis=0) >= 0).all()
    grid = np.full((16, 48, 3), 0.6, np.float32) * np.float32([1.1, 1.0, 0.7])
    bright, hue, teeth = unpack(pack(grid, 0.3))
    luma = float(grid[0, 0] @ LUMA)
    assert np.allclose(bright, np.log(luma / 0.3), atol=1e-4)
    assert teeth == pytest.approx(np.log(luma / 0.3), abs=1e-3)
    assert hue[0] > 0 > hue[1]


def test_photos_are_small_to_mouths_by_pixels_and_by_blur():
    lips = lips_apart(5.0)
    assert small_share(lips, 0.1, 0.6) == 0
    assert 0.1 < small_share(lips, 0.6, 0.6) < 0.6  # Small, and sharp.
    assert small_share(lips, 0.6, 2.0) > 0.98
    assert small_share(lips, 0.1, 12.0) == 1
    shares = [small_share(lips, scale, 0.6) for scale in np.linspace(0.1, 0.6, 20)]
    assert shares == sorted(shares)


def test_small_photos_get_teeth_that_grow_smoothly(editor, chip):
    strengths = (0.9, 1.0, 1.1, 1.2)
    face, pictures, inside = smiles(editor, chip, *strengths)
    region = face.region
    light = FaceTones.measure(region.crop(chip), region, face.landmarks).light
    levels = []
    for picture, there in zip(pictures, inside, strict=True):
        luma = (picture @ LUMA)[there > 0.7] / 255
        levels.append(float(np.percentile(luma, 85)))
        assert luma.max() < brightest(light) + 0.1  # The photo's grain lies over it.
    skin = float(FaceTones.measure(region.crop(chip), region, face.landmarks).skin @ LUMA)
    assert 0.9 * skin < levels[-1] < 1.7 * skin
    assert all(abs(b - a) < 0.06 for a, b in itertools.pairwise(levels))
    again = smiles(editor, chip, 1.2)[1][0]
    assert np.array_equal(again, pictures[-1])


def test_in_blurred_photos_teeth_are_soft(editor, chip):
    steep = []
    for sigma in (0.0, 2.5):
        photo = cv2.GaussianBlur(chip, (0, 0), sigma) if sigma else chip
        _, (picture,), (there,) = smiles(editor, photo, 1.25)
        rows, columns = np.nonzero(there > 0.5)
        part = (picture @ LUMA)[rows.min() : rows.max(), columns.min() : columns.max()]
        steep.append(float(np.abs(np.diff(part, axis=1)).mean()))
    assert steep[1] < 0.7 * steep[0]


def test_a_toned_photo_gets_teeth_of_its_color(editor, chip):
    gray = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY).astype(np.float32)[:, :, None] / 255
    sepia = np.uint8(255 * gray ** np.float32([0.8, 1.0, 1.5]))
    face, (picture,), (there,) = smiles(editor, sepia, 1.25)
    tones = FaceTones.measure(face.region.crop(sepia), face.region, face.landmarks)
    assert tones.toned == 1
    teeth = picture[there > 0.8] / 255
    wanted = in_one_color(np.float32(teeth[None]), tones)[0]
    assert np.abs(teeth - wanted).mean() < 0.03
    plain = FaceTones.measure(face.region.crop(chip), face.region, face.landmarks)
    assert plain.toned == 0
    assert np.array_equal(in_one_color(teeth, plain), teeth)
