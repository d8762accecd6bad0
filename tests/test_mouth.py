"""Mouths: lips found in photos, how they part and meet, and what shows between them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceflex.compose.change import FaceChange
from faceflex.compose.content import Scene
from faceflex.compose.lips_motion import between, move_lips_with, side
from faceflex.compose.mouth_exemplars import MouthKind, exemplars
from faceflex.compose.mouth_interior import existing_share, render_teeth
from faceflex.compose.mouth_light import MouthLight, teeth_color
from faceflex.compose.transfer import transfer
from faceflex.compose.warp import estimate_warp
from faceflex.evaluate import measures
from faceflex.evaluate.edits import Instruments
from faceflex.faces.align import estimate_similarity, template, transform_points
from faceflex.faces.lips import find_lips, lips_from_landmarks
from faceflex.faces.region import LUMA
from faceflex.methods.base import Shot
from faceflex.methods.landmark_readout import landmark_targets, move_lips, remove_rigid_motion
from tests.conftest import face_points

SMILE = Shot((("Smiling", 1.25),))


def mouth(gap: float) -> np.ndarray:
    """Return 68 points whose inner lips are ``gap`` pixels apart in the middle."""
    points = np.array(template(), np.float32)
    line = points[60:68, 1].mean()
    points[60:68, 1] = line
    points[[61, 62, 63], 1] -= gap / 2
    points[[65, 66, 67], 1] += gap / 2
    return points


def opening(size: float) -> np.ndarray:
    shift = np.zeros((68, 2), np.float32)
    shift[[61, 62, 63], 1], shift[[65, 66, 67], 1] = -size / 2, size / 2
    return shift


def edited(editor, rgb, **strengths):
    opened = editor.open(rgb)
    return opened.faces[0], next(opened.render([opened.shot(**strengths)]))


def teeth_share(rgb, points):
    """Return how much of the mouth is as bright and colourless as teeth are."""
    inside = measures.area(rgb.shape, points[48:60])
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[inside]
    return float(((lab[:, 0] > 62) & (np.abs(lab[:, 1]) < 7)).mean())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 10))
def test_lips_never_cross_wherever_they_are_moved(seed, size):
    rng = np.random.default_rng(seed)
    points = face_points(seed)
    lips, goal = move_lips(lips_from_landmarks(points), points, rng.normal(0, size, (68, 2)))
    assert (lips.lower - lips.upper >= -1e-3).all()
    assert (np.diff(lips.x) >= 0).all()
    assert (goal[[67, 66, 65], 1] - goal[[61, 62, 63], 1] >= -1e-3).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 10))
def test_lips_that_follow_their_landmarks_never_cross_either(seed, size):
    rng = np.random.default_rng(seed)
    points = face_points(seed)
    targets = np.float32(points + rng.normal(0, size, (68, 2)))
    lips = move_lips_with(lips_from_landmarks(points), points, targets)
    assert (lips.lower >= lips.upper).all()
    assert (np.diff(lips.x) >= 0).all()


def test_the_readout_is_corrected_and_no_motion_stays_none():
    points = mouth(3.0)
    lips = lips_from_landmarks(points)
    same, same_lips = landmark_targets(points, np.zeros((68, 2)), lips)
    assert np.array_equal(same, points)
    assert same_lips is lips
    crossing = opening(-40.0)
    targets, closed = landmark_targets(points, crossing, lips)
    assert (targets[[67, 66, 65], 1] - targets[[61, 62, 63], 1] >= -1e-3).all()
    assert closed.gap == 0
    wider = np.zeros((68, 2), np.float32)
    wider[48:68, 0] = (points[48:68, 0] - 64) * 0.1
    halved, _ = landmark_targets(points, wider, lips, sideways=0.5)
    whole, _ = landmark_targets(points, wider, lips)
    shift = whole[54, 0] - points[54, 0]
    assert halved[54, 0] - points[54, 0] == pytest.approx(shift / 2, rel=1e-3)


def test_touching_lips_stick_then_part_and_never_yawn():
    points = mouth(0)
    gaps = [
        move_lips(lips_from_landmarks(points), points, opening(s))[0].gap
        for s in (0.2, 1.0, 3.0, 6.0, 30.0)
    ]
    assert gaps[0] == 0
    assert gaps == sorted(gaps)
    assert 1.5 < gaps[2] < 8
    assert gaps[4] < 9


def test_a_wide_mouth_closes_as_fully_as_a_narrow_one():
    for gap in (3.0, 12.0):
        points = mouth(gap)
        half = move_lips(lips_from_landmarks(points), points, opening(-2.0))[0]
        closed = move_lips(lips_from_landmarks(points), points, opening(-5.0))[0]
        assert 0 < half.gap < gap
        assert closed.gap == 0
        assert not closed.open


def test_a_place_is_above_or_below_the_mouth_or_between_the_lips():
    lips = lips_from_landmarks(mouth(8))
    middle = np.float32([(lips.x[0] + lips.x[-1]) / 2])
    line = np.float32([lips.midline[32]])
    assert side(lips, middle, line - 2)[0] == 1
    assert side(lips, middle, line + 2)[0] == 0
    assert between(lips, middle, line, 0.8)[0] == 1
    assert between(lips, middle, line + 6, 0.8)[0] == 0
    assert between(lips, middle - 60, line, 0.8)[0] == 0
    closed = lips_from_landmarks(mouth(0))
    assert between(closed, middle, line, 0.8)[0] == 0


def test_a_shift_that_moves_the_whole_head_is_no_motion():
    points = face_points(3)
    turn, scale = 0.05, 1.04
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = (points - 64) @ matrix.T + 64 + [3, -2]
    assert np.abs(remove_rigid_motion(points, moved - points)).max() < 1e-3


def test_lips_are_found_closed_and_open_in_photos(portrait, smile, editor):
    (neutral,) = editor.finder.find(portrait.rgb)
    assert not find_lips(portrait.rgb, neutral.points).open
    (face,) = editor.finder.find(smile)
    lips = find_lips(smile, face.points)
    assert 6 < lips.gap < 11
    # What lies between them is teeth: brighter and less red than the lips around.
    points = transform_points(estimate_similarity(face.points), face.points)
    matrix = estimate_similarity(face.points)
    crop = cv2.warpAffine(smile, matrix, (128, 128), flags=cv2.INTER_AREA)
    lab = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    row, column = np.round([lips.midline[32], lips.x[32]]).astype(int)
    lip = np.round((points[57] + points[66]) / 2).astype(int)
    assert lab[row, column, 0] > lab[lip[1], lip[0], 0] + 10
    assert lab[row, column, 1] < lab[lip[1], lip[0], 1] - 8


def test_closing_a_smile_leaves_no_teeth(editor, smile):
    face, closed = edited(editor, smile, Smiling=-1.5)
    instruments = Instruments()
    before, after = (instruments.measure(p, face.face.points, "Smiling") for p in (smile, closed))
    assert before.score > 0.8
    assert after.score < 0.3
    assert teeth_share(smile, before.points) > 0.15
    assert teeth_share(closed, after.points) < 0.01


def test_teeth_stay_where_they_are_while_lips_close_over_them(editor, smile):
    face, half = edited(editor, smile, Smiling=-0.4)
    points = face.face.points
    x, y = np.round(points[62] * 0.5 + points[66] * 0.5).astype(int)
    where = (slice(y - 4, y + 4), slice(x - 30, x + 30))
    difference = np.abs(half[where].astype(int) - smile[where])
    assert np.median(difference) <= 3
    assert cv2.absdiff(half, smile)[y - 40 : y + 40, x - 60 : x + 60].max() > 60


def test_an_opened_mouth_shows_teeth_and_not_a_bar(editor, portrait, monkeypatch):
    face, smiling = edited(editor, portrait.rgb, Smiling=1.5)
    points = Instruments().measure(smiling, face.face.points, "Smiling").points
    assert teeth_share(smiling, points) > 0.1
    bar = np.ones((96, 320, 3), np.float32)
    plain = tuple(replace(one, colors=bar) for one in exemplars())
    monkeypatch.setattr("faceflex.compose.mouth_exemplars.exemplars", lambda: plain)
    _, flat = edited(editor, portrait.rgb, Smiling=1.5)
    detail = smiling.astype(np.float32).mean(axis=2) / np.maximum(flat.mean(axis=2), 1)
    teeth = detail[measures.area(flat.shape, points[60:68])]
    assert len(teeth) > 2000
    assert np.percentile(teeth, 2) < 0.8
    assert np.percentile(teeth, 90) > 0.9


def test_a_grey_photo_stays_grey(editor, small_portrait):
    gray = cv2.cvtColor(small_portrait, cv2.COLOR_RGB2GRAY)
    photo = np.ascontiguousarray(np.repeat(gray[:, :, None], 3, axis=2))
    _, smiling = edited(editor, photo, Smiling=1.5)
    colour = smiling.max(axis=2).astype(int) - smiling.min(axis=2)
    assert (smiling != photo).any()
    assert colour.max() <= 12
    assert colour.mean() < 0.5


@pytest.mark.parametrize("strength", [1.0, -1.0])
def test_a_smile_keeps_the_tone_and_shows_no_seam(editor, portrait, smile, strength):
    photo = portrait.rgb if strength > 0 else smile
    face, changed = edited(editor, photo, Smiling=strength)
    points = face.face.points
    # People's own smiles change cheeks and forehead by 1.4 to 6.7, 3 in the mean (London set).
    assert measures.colour_change(photo, changed, points) < 4
    assert measures.seam(photo, changed, points) < 1.03
    # Beside the mouth, whose teeth appear and disappear.
    mouth = measures.area(photo.shape, points[48:60]).astype(np.uint8)
    skin = measures.area(photo.shape, points) & (cv2.dilate(mouth, np.ones((15, 15))) == 0)
    kept = measures.sharpness(changed, skin) / measures.sharpness(photo, skin)
    assert 0.8 < kept < 1.25


def test_an_open_mouth_that_does_not_move_is_the_photos_own(editor, smile):
    opened = editor.open(smile)
    face, region = opened.faces[0], opened.faces[0].region
    still = estimate_warp(face.landmarks, face.landmarks, face.lips)
    assert still.before.open
    (code,) = editor.method.encode([face], smile)
    change = FaceChange(code.decoded, code.decoded * np.float32(0.9))
    patch = transfer(smile, region, face.crop, change, still).patch
    x, y = region.coordinates()
    inside = between(still.after, x, y, 4.0) == 1
    assert inside.sum() > 500
    assert np.abs(patch - region.crop(smile))[inside].max() <= 1


def test_exemplars_are_mouths_of_six_people_and_one_of_babies():
    kinds = exemplars()
    assert [one.infant for one in kinds] == [False] * 6 + [True]
    for one in kinds:
        middle = one.colors[30:60, 100:220]
        # Teeth are about as bright as teeth, and pale; gums are neither.
        assert (middle.mean() > 0.75) == (not one.infant)
        assert (middle[..., 2].mean() > 0.8 * middle[..., 0].mean()) == (not one.infant)


def test_teeth_stay_in_their_places_while_a_mouth_opens():
    kind = MouthKind(0)
    x, y = np.meshgrid(np.linspace(46, 82, 145, dtype=np.float32), np.linspace(80, 100, 81))
    rows = []
    for gap in (4.0, 5.0, 6.0):
        lips = lips_from_landmarks(mouth(gap))
        middle = float(lips.x[32])
        colors = kind.render(lips, middle, x, np.float32(y), 0.25)
        inside = (y > np.interp(x, lips.x, lips.upper)) & (y < np.interp(x, lips.x, lips.lower))
        columns = np.where(inside, colors[..., 1], np.nan)
        rows.append(np.nanmedian(columns[:, 40:105], axis=0))
    for first, second in itertools.pairwise(rows):
        assert np.corrcoef(first, second)[0, 1] > 0.9


def test_milk_teeth_are_shorter_and_leave_room_below():
    lips = lips_from_landmarks(mouth(6.0))
    x = np.full((200, 1), lips.x[32], np.float32)
    y = np.linspace(lips.upper[32], lips.lower[32], 200, dtype=np.float32)[:, None]
    old, milk = (
        MouthKind(0, milk=m).render(lips, float(lips.x[32]), x, y, 0.05)[:, 0]
        for m in (False, True)
    )
    reach = [int(np.flatnonzero(c.mean(axis=1) > 0.6).max()) for c in (old, milk)]
    assert 0.6 * reach[0] < reach[1] < 0.85 * reach[0]
    kind = MouthKind.draw(np.random.default_rng(3), child=True)
    assert kind.milk
    assert not MouthKind.draw(np.random.default_rng(3), infant=True, child=True).milk


@pytest.mark.parametrize("blur", [0.6, 3.0])
def test_teeth_are_as_bright_in_blurred_photos(portrait, editor, blur):
    opened = editor.open(portrait.rgb)
    face, change = opened.faces[0], next(opened.face_changes(0, [SMILE]))[-1]
    region = face.region
    warp = estimate_warp(face.landmarks, change.landmarks, face.lips, change.lips)
    photo = region.crop(portrait.rgb)
    x, y = region.coordinates()
    scene = Scene(photo, np.float32(photo), region, x, y, warp, change, change.after, blur)
    light = replace(MouthLight.measure(photo, region, face.landmarks, blur), blur=blur)
    everything = slice(0, photo.shape[0]), slice(0, photo.shape[1])
    pixels, share = render_teeth(scene, MouthKind(1), light, everything)
    luma = (pixels @ LUMA)[share > 0.8] / 255
    brightest = luma[luma >= np.percentile(luma, 85)].mean()
    assert brightest == pytest.approx(float(light.teeth @ LUMA), abs=0.08)


def test_a_laugh_keeps_its_own_teeth(editor, smile):
    opened = editor.open(smile)
    face = opened.faces[0]
    change = next(opened.face_changes(0, [Shot((("Smiling", 2.0),))]))[-1]
    assert face.lips.gap > 3
    assert change.lips.gap < 2 * face.lips.gap
    assert existing_share(face.lips, change.lips) > 0.9


def test_a_turned_face_has_narrow_teeth_on_its_far_side():
    lips = lips_from_landmarks(mouth(6.0))
    straight = float((lips.x[0] + lips.x[-1]) / 2)
    seen = []
    for off in (0.0, -6.0):  # The middle of the face, and how far from it teeth end to the left.
        x = np.linspace(lips.x[0], straight + off, 200, dtype=np.float32)[None]
        y = np.float32(np.interp(x, lips.x, lips.midline))
        seen.append(MouthKind(0).render(lips, straight + off, x, y, 0.05)[0, :, 1])
    assert seen[0][-1] == pytest.approx(seen[1][-1], abs=0.05)
    assert np.corrcoef(seen[0][60:], seen[1][60:])[0, 1] > 0.5


def test_teeth_are_as_bright_as_the_photo_is(portrait, editor):
    face = editor.open(portrait.rgb).faces[0]
    region, light = face.region, []
    for share in (1.0, 0.5):
        photo = np.uint8(region.crop(portrait.rgb) * share)
        light.append(MouthLight.measure(photo, region, face.landmarks, 0.5))
    assert light[0].teeth.mean() > 1.2 * light[1].teeth.mean()
    assert light[0].saturation == 1
    gray = np.repeat(region.crop(portrait.rgb).mean(axis=2, keepdims=True), 3, axis=2)
    assert MouthLight.measure(np.uint8(gray), region, face.landmarks, 0.5).saturation < 0.1
    blurred = cv2.GaussianBlur(region.crop(portrait.rgb), (0, 0), 8)
    assert MouthLight.measure(blurred, region, face.landmarks, 0.5).blur > 3


@given(st.floats(0.05, 1), st.floats(0.05, 1))
def test_brighter_light_means_brighter_teeth(skin, eyes):
    gray = np.ones(3, np.float32)
    light = max(skin, eyes)
    usual = teeth_color(gray * np.float32(skin), gray * np.float32(eyes), light)
    brighter = teeth_color(gray * np.float32(skin), gray * np.float32(min(1.0, 1.2 * eyes)), light)
    assert (brighter >= usual - 1e-6).all()
    assert usual.max() <= 0.95 + 1e-6
