"""How far a head is turned, and how a smile looks from there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceflex.faces.align import template
from faceflex.faces.head_turn import HeadTurn, frontal_view, mean_shape
from faceflex.faces.lips import Lips, lips_from_landmarks
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.methods.base import Shot
from faceflex.methods.smile_targets import smile_targets
from faceflex.train.head_shape import factorize

MIDDLE = np.array([63.5, 72.0])


def turned(degrees: float, roll: float = 0.0) -> np.ndarray:
    """Return landmarks (68, 2) of the mean shape, turned."""
    seen = HeadTurn(np.radians(degrees), np.radians(roll), 1.0).project(mean_shape())
    return np.float32(seen + MIDDLE)


@pytest.mark.parametrize("degrees", [-30, -12, 0, 20])
def test_a_turn_is_read_from_landmarks_whatever_the_mouth_does(degrees):
    points = turned(degrees, 5)
    points[48:68] += np.float32([3, -4])
    found = HeadTurn.estimate(points)
    assert found.degrees == pytest.approx(degrees, abs=0.1)
    assert np.degrees(found.roll) == pytest.approx(5, abs=0.1)


def test_a_face_seen_from_the_front_has_no_other_view():
    assert frontal_view(template(), lips_from_landmarks(template())) is None


def test_a_turned_face_is_laid_to_the_front_and_back():
    points = turned(25)
    lips = lips_from_landmarks(points)
    view = frontal_view(points, lips)
    assert view is not None
    apart = view.landmarks - view.landmarks[30] - (mean_shape()[:, :2] - mean_shape()[30, :2])
    assert np.abs(apart).max() < 0.1
    goal, same = view.back(view.landmarks, view.lips)
    np.testing.assert_allclose(goal, points, atol=1e-3)
    np.testing.assert_allclose(same.x, lips.x, atol=1e-3)
    np.testing.assert_allclose(same.midline, lips.midline, atol=1e-3)


@pytest.mark.parametrize("degrees", [-25, 25])
def test_of_a_turned_smile_the_near_corner_goes_out_and_the_middle_opens_most(degrees):
    motion = AttributeVectorMethod().smile_motion
    assert motion is not None
    points = turned(degrees)
    lips = lips_from_landmarks(points)
    goal, after = smile_targets(motion, points, lips, 1.25)
    right, left = points[48, 0] - goal[48, 0], goal[54, 0] - points[54, 0]
    near, far = (right, left) if degrees > 0 else (left, right)
    assert near > 2 * max(far, 0.3)
    assert isinstance(after, Lips)
    assert (after.lower >= after.upper - 1e-4).all()
    assert (np.diff(after.x) >= 0).all()
    opened = after.x[int(np.argmax(after.lower - after.upper))]
    assert abs(opened - points[62, 0]) < 0.15 * (lips.x[-1] - lips.x[0])


def test_a_shape_is_found_again_from_how_cameras_see_it():
    rng = np.random.default_rng(0)
    angles = rng.normal(0, 0.35, 200)
    pitch = rng.normal(0, 0.15, 200)
    seen = []
    for yaw, nod in zip(angles, pitch, strict=True):
        solid = mean_shape().copy()
        y, z = solid[:, 1].copy(), solid[:, 2].copy()
        solid[:, 1] = y * np.cos(nod) - z * np.sin(nod)
        solid[:, 2] = y * np.sin(nod) + z * np.cos(nod)
        seen.append(HeadTurn(yaw, 0.0, 1.0).project(solid) + MIDDLE)
    found = factorize(np.array(seen))
    found, known = (s - s.mean(axis=0) for s in (found, mean_shape()))
    assert np.abs(found / np.abs(found).max() - known / np.abs(known).max()).max() < 0.08


def test_a_head_that_is_turned_far_gets_a_smaller_smile_and_is_told_so(editor, small_portrait):
    seen = editor.open(small_portrait)
    (code,), method = seen._codes, editor.method
    sideways, moved = [], []
    for degrees in (0, 30):
        points = turned(degrees)
        face = replace(code.face, landmarks=points, lips=lips_from_landmarks(points))
        other = replace(code, face=face)
        shot = Shot((("Smiling", 1.25),))
        sideways.append(method.remarks(other, shot))
        change = next(method.changes([other], [shot]))[0][-1]
        moved.append(change.lips.gap)
    assert moved[1] < 0.6 * moved[0]
    assert sideways == [(), ("its head is turned by about 30°: a smaller smile is given",)]
    assert method.remarks(other, Shot((("Smiling", -1.0),))) == ()
