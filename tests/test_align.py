"""Alignment: the similarity, its inverse, and resampling."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceflex.faces.align import (
    SIZE,
    align,
    estimate_similarity,
    fit_error,
    invert,
    scale_of,
    template,
    transform_points,
    warp,
)
from faceflex.faces.mask import face_outline
from tests.conftest import face_points

TURNS = st.floats(-180, 180)
SCALES = st.floats(0.3, 12)
SHIFTS = st.floats(-3000, 3000)


def moved(points, degrees, scale, dx, dy):
    turn = np.radians(degrees)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (points @ linear.T + [dx, dy]).astype(np.float32)


@given(TURNS, SCALES, SHIFTS, SHIFTS, st.integers(0, 50))
def test_there_and_back_is_exact(degrees, scale, dx, dy, seed):
    points = moved(face_points(seed), degrees, scale, dx, dy)
    matrix = estimate_similarity(points)
    back = transform_points(invert(matrix), transform_points(matrix, points))
    assert np.abs(back - points).max() < 0.05


@given(TURNS, SCALES, SHIFTS, SHIFTS)
def test_aligned_points_do_not_depend_on_where_the_face_is(degrees, scale, dx, dy):
    points = face_points(3)
    here = transform_points(estimate_similarity(points), points)
    there_points = moved(points, degrees, scale, dx, dy)
    there = transform_points(estimate_similarity(there_points), there_points)
    assert np.abs(here - there).max() < 0.02


@given(TURNS, SCALES, SHIFTS, SHIFTS)
def test_similarity_recovers_a_known_one(degrees, scale, dx, dy):
    points = moved(template(), degrees, scale, dx, dy)
    matrix = estimate_similarity(points)
    assert scale_of(matrix) == pytest.approx(1 / scale, rel=1e-4)
    assert np.linalg.det(matrix[:, :2]) > 0
    assert fit_error(points) < 0.01


@pytest.mark.parametrize("points", [np.zeros((68, 2)), np.full((68, 2), np.nan)])
def test_impossible_landmarks_are_refused(points):
    with pytest.raises(ValueError, match="coincide or are not finite"):
        estimate_similarity(points)


def test_template_is_symmetric_and_scales_about_its_edges():
    big, small = template(256), template(128)
    assert np.allclose((big + 0.5) / 2 - 0.5, small, atol=1e-3)
    chin = small[8]
    assert abs(chin[0] - 63.5) < 0.01
    assert np.allclose(small[36, 0] + small[45, 0], 127, atol=0.01)


@settings(max_examples=25, deadline=None)
@given(st.floats(-170, 170), st.floats(0.5, 2.5), st.floats(-8, 8))
def test_the_crop_does_not_change_when_the_photo_is_turned_or_scaled(
    small_portrait, degrees, scale, shift
):
    points = _portrait_points()
    reference = align(small_portrait, points).crop.astype(float)
    side = int(450 * max(1.5, scale * 1.5))
    turn = np.radians(degrees)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = np.array([side / 2 + shift, side / 2 - shift])
    matrix = np.column_stack([linear, centre - linear @ points.mean(axis=0)])
    # Made with four times as many samples, so that what is tested is align and not this picture.
    big = cv2.warpAffine(
        small_portrait, _times(matrix, 4), (side * 4, side * 4), flags=cv2.INTER_CUBIC
    )
    photo = cv2.resize(big, (side, side), interpolation=cv2.INTER_AREA)
    crop = align(photo, transform_points(matrix, points)).crop.astype(float)
    hull = np.zeros((SIZE, SIZE), np.uint8)
    inside = transform_points(estimate_similarity(points), points)
    cv2.fillConvexPoly(hull, np.round(face_outline(inside, False)).astype(np.int32), 1)
    difference = np.abs(crop - reference)[hull > 0]
    assert difference.mean() < (4.0 if scale < 0.9 else 2.0)


def _times(matrix, factor):
    out = matrix * factor
    out[:, 2] += 0.5 * factor - 0.5
    return out


def _portrait_points():
    from faceflex.faces.align import invert as inverse

    # Where the example's face is at 450 pixels, as a similarity of the template.
    matrix = np.array([[0.72, 0.0, -100.0], [0.0, 0.72, -114.0]])
    return transform_points(inverse(matrix), template())


def test_outside_the_photo_is_reflected_and_marked():
    photo = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    points = template() - np.float32([40, 0])
    aligned = align(photo, points)
    assert aligned.valid[:, 41:].all()
    assert not aligned.valid[:, :39].any()
    assert np.array_equal(aligned.crop[:, 40 - 7], aligned.crop[:, 40 + 7])


def test_shrinking_averages_and_does_not_alias():
    stripes = np.zeros((2048, 2048, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = np.array([[1 / 16, 0, 0.03], [0, 1 / 16, 0.03]])
    crop, _ = warp(stripes, matrix, 128)
    assert crop.std() < 3
    assert abs(float(crop.mean()) - 127.5) < 3


def test_channel_order_is_rgb_from_file_to_crop(tmp_path):
    from PIL import Image

    from faceflex.photo import load_rgb

    red = np.zeros((200, 200, 3), np.uint8)
    red[..., 0] = 250
    Image.fromarray(red).save(tmp_path / "red.png")
    crop = align(load_rgb(tmp_path / "red.png"), template() + 30).crop
    assert crop[..., 0].min() == 250
    assert crop[..., 1:].max() == 0


@given(st.floats(-180, 180), st.floats(0.5, 8))
def test_the_outline_turns_with_the_face(degrees, scale):
    points = face_points(5)
    outline = face_outline(points)
    turned = face_outline(moved(points, degrees, scale, 10, -20))
    expected = moved(outline, degrees, scale, 10, -20)
    assert cv2.contourArea(turned) == pytest.approx(cv2.contourArea(expected), rel=0.01)
    assert cv2.contourArea(outline) > cv2.contourArea(face_outline(points, False)) * 1.05
