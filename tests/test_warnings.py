"""Warnings: for what predicts a bad edit, and for nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceflex.assets import resolve
from faceflex.faces import find_faces
from faceflex.faces.align import align, transform_points
from faceflex.faces.landmarks import LandmarkModel
from faceflex.faces.lips import Lips, find_lips, lips_from_landmarks
from faceflex.faces.warnings import (
    CUT_OFF,
    UNSURE_MOUTH,
    WIDE_OPEN,
    disturbed_starts,
    face_brightness,
    face_warnings,
    lip_line_shift,
    mouth_disagreement,
    photo_warning,
)


@pytest.fixture(scope="module")
def face(small_portrait):
    (found,) = find_faces(small_portrait)
    return found


@pytest.fixture(scope="module")
def parts(small_portrait, face):
    """Crop, its valid pixels, landmarks and lips of a face that is easy."""
    aligned = align(small_portrait, face.points)
    points = transform_points(aligned.matrix, face.points)
    return aligned.crop, aligned.valid, points, find_lips(small_portrait, face.points)


@pytest.fixture(scope="module")
def refine():
    return LandmarkModel(resolve("landmarks68")).refine


def found_again(picture, points, refine):
    matrix = align(picture, points).matrix
    return [transform_points(matrix, refine(picture, start)) for start in disturbed_starts(points)]


def test_an_easy_face_gets_no_warning(small_portrait, face, parts, refine):
    again = found_again(small_portrait, face.points, refine)
    assert mouth_disagreement(parts[2], again) < 1.5
    assert face_warnings(*parts, again, face.score) == ()


def test_small_turned_and_blurred_faces_get_none_because_they_fail_no_more_often(portrait, refine):
    tiny = cv2.resize(portrait.rgb, None, fx=0.1, fy=0.1, interpolation=cv2.INTER_AREA)
    (face,) = find_faces(tiny)
    assert face.width < 60
    for picture in (tiny, cv2.GaussianBlur(tiny, (0, 0), 0.8)):
        aligned = align(picture, face.points)
        points = transform_points(aligned.matrix, face.points)
        lips = find_lips(picture, face.points)
        again = found_again(picture, face.points, refine)
        assert face_warnings(aligned.crop, aligned.valid, points, lips, again, face.score) == ()


def test_a_dark_face_is_warned_of(parts):
    crop, valid, points, lips = parts
    dark = (crop * 0.3).astype(np.uint8)
    assert face_brightness(dark, points) < face_brightness(crop, points) / 2
    (phrase,) = face_warnings(dark, valid, points, lips)
    assert "very dark" in phrase


def test_a_mouth_that_cannot_be_made_out_is_warned_of(parts):
    crop, valid, points, _ = parts
    moved = points + np.float32([0, 2 * UNSURE_MOUTH])
    assert mouth_disagreement(points, [points, moved]) == pytest.approx(UNSURE_MOUTH)
    assert mouth_disagreement(points, []) == 0
    # Where the picture draws the line between the lips, it is found beside the landmarks' own.
    line = lips_from_landmarks(points)
    drawn = Lips(line.x, line.upper + 0.6, line.lower + 0.6)
    assert lip_line_shift(points, drawn) == pytest.approx(0.6, abs=1e-3)
    assert face_warnings(crop, valid, points, drawn, [moved]) == ()
    assert face_warnings(crop, valid, points, line, [points]) == ()
    (phrase,) = face_warnings(crop, valid, points, line, [moved])
    assert "cannot be made out" in phrase
    # Only the mouth counts.
    jaw = points.copy()
    jaw[:17] += 9
    assert face_warnings(crop, valid, points, line, [jaw]) == ()


def test_a_covered_mouth_is_warned_of(small_portrait, face, refine):
    points = face.points
    where = np.zeros(small_portrait.shape[:2], np.uint8)
    outline = np.concatenate([points[2:15], points[29:30]])
    cv2.fillPoly(where, [np.round(outline).astype(np.int32)], 255)
    soft = cv2.GaussianBlur(where, (0, 0), 2)[..., None] / 255
    masked = (small_portrait * (1 - soft) + soft * np.array([150, 190, 215])).astype(np.uint8)
    (found,) = find_faces(masked)
    aligned = align(masked, found.points)
    own = transform_points(aligned.matrix, found.points)
    again = found_again(masked, found.points, refine)
    lips = find_lips(masked, found.points)
    assert any(
        "made out" in w for w in face_warnings(aligned.crop, aligned.valid, own, lips, again)
    )


def test_a_mouth_wide_open_is_warned_of(parts):
    crop, valid, points, lips = parts
    wide = Lips(lips.x, lips.upper, np.float32(lips.upper + WIDE_OPEN + 1))
    (phrase,) = face_warnings(crop, valid, points, wide)
    assert "wide open" in phrase


def test_a_face_that_the_detector_doubts_is_warned_of(parts):
    (phrase,) = face_warnings(*parts, score=0.1)
    assert "0.10" in phrase
    assert face_warnings(*parts, score=None) == ()


def test_a_face_that_the_photo_cuts_is_warned_of(parts):
    crop, valid, points, lips = parts
    cut = valid.copy()
    cut[:, : int(128 * (CUT_OFF + 0.05))] = False
    (phrase,) = face_warnings(crop, cut, points, lips)
    assert "cut off" in phrase


def test_the_strongest_comes_first(parts):
    crop, valid, points, lips = parts
    wide = Lips(lips.x, lips.upper, np.float32(lips.upper + WIDE_OPEN + 1))
    found = face_warnings((crop * 0.3).astype(np.uint8), valid, points, wide, score=0.0)
    assert len(found) == 3
    assert "dark" in found[0]


def test_starts_are_near_the_landmarks_and_differ(face):
    starts = disturbed_starts(face.points)
    apart = [float(np.hypot(*(s - face.points).T).mean()) / face.width for s in starts]
    assert all(0.02 < a < 0.12 for a in apart)
    assert all(s.shape == (68, 2) and s.dtype == np.float32 for s in starts)
    # A face twice as large is disturbed twice as much.
    large = disturbed_starts(face.points * 2)
    assert np.allclose(large[0], starts[0] * 2, atol=1e-2)


def test_a_photo_gets_one_line():
    assert photo_warning({}) is None
    assert photo_warning({1: (), 2: ()}) is None
    assert photo_warning({1: (), 2: ("dark", "open")}) == "face 2: dark"
    assert photo_warning({3: ("b",), 1: ("a",)}) == "face 1: a (face 3 has a warning, too)"
    crowd = photo_warning(dict.fromkeys(range(1, 40), ("x", "y")))
    assert crowd == "face 1: x (38 other faces have warnings, too)"
