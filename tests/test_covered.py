"""Mouths that something covers."""

from __future__ import annotations

import cv2
import numpy as np

from faceflex.faces.covered import SURE, UNSURE, WARNING, covered_features, covered_score
from faceflex.faces.warnings import HIDDEN
from faceflex.methods.base import Shot

SMILE = Shot((("Smiling", 1.25),))


def hidden(rgb: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return a photo with a microphone before the mouth."""
    x, y = np.mean(points[48:68], axis=0).astype(int)
    size = int(0.45 * abs(points[54, 0] - points[48, 0]))
    photo = np.ascontiguousarray(rgb).copy()
    cv2.circle(photo, (int(x), int(y + size // 2)), size, (60, 60, 70), -1, cv2.LINE_AA)
    cv2.circle(photo, (int(x - size // 3), int(y)), size // 3, (190, 190, 200), -1, cv2.LINE_AA)
    return photo


def test_a_microphone_before_the_mouth_is_told_and_the_smile_stays_small(editor, small_portrait):
    seen = editor.open(small_portrait)
    (face,), (code,) = seen.faces, seen._codes
    assert code.covered == 0
    assert WARNING not in face.warnings
    covered = editor.open(hidden(small_portrait, face.face.points), faces=[face.face])
    assert {WARNING, HIDDEN} & set(covered.faces[0].warnings)
    assert covered._codes[0].covered > 0.5
    before, after = (
        covered_score(o.faces[0].crop, o._codes[0].decoded, o.faces[0].landmarks)
        for o in (seen, covered)
    )
    assert after > before + 2
    moved = []
    for opened in (seen, covered):
        change = next(opened.face_changes(0, [SMILE]))[-1]
        start = opened.faces[0].landmarks
        moved.append(float(np.abs(change.landmarks - start)[48:68].max()))
        if opened is covered:
            assert not change.lips.open
    assert moved[1] < 0.5 * moved[0]


def test_examples_are_in_view(editor, portrait, smile):
    for photo in (portrait.rgb, smile):
        opened = editor.open(photo)
        face, code = opened.faces[0], opened._codes[0]
        assert covered_score(face.crop, code.decoded, face.landmarks) < UNSURE < SURE


def test_a_mouth_outside_the_face_says_nothing():
    crop, points = np.zeros((128, 128, 3), np.uint8), np.zeros((68, 2), np.float32)
    assert np.isnan(covered_features(crop, np.float32(crop), points)).all()
    assert covered_score(crop, np.float32(crop), points) == -np.inf
