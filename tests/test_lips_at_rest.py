"""Mouths at rest: teeth that glimpse are seen, corners come to rest, lips are painted anew."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceflex.compose.lips_at_rest import (
    LIP_COLUMNS,
    LIP_ROWS,
    LipBand,
    laugh_share,
    lip_bands,
    lips_at_rest,
)
from faceflex.compose.warp import estimate_warp
from faceflex.faces.align import estimate_similarity, template, transform_points
from faceflex.faces.lips import Lips, find_lips, lips_from_landmarks
from faceflex.faces.region import LUMA, Region
from faceflex.faces.vermilion import find_vermilion, vermilion_from_landmarks
from faceflex.methods.base import Shot
from faceflex.methods.neutral_mouth import mouth_motion, rest_shift

SKIN, LIP, TEETH, DARK = (205, 160, 140), (150, 75, 80), (225, 215, 205), (70, 30, 30)


def closed_mouth() -> np.ndarray:
    """Return 68 landmarks, in pixels of the crop, whose lips meet."""
    points = template().astype(np.float32).copy()
    middle = (points[[61, 62, 63], 1] + points[[67, 66, 65], 1]) / 2
    points[[61, 62, 63], 1] = points[[67, 66, 65], 1] = middle
    return points


def painted(points: np.ndarray, strip: float) -> tuple[np.ndarray, np.ndarray]:
    """Paint lips that meet along a dark line, or around a strip of teeth so many pixels high."""
    scale = 4.0
    photo = np.full((512, 512, 3), SKIN, np.uint8)
    cv2.fillPoly(photo, [np.int32(np.round(points[48:60] * scale))], LIP, cv2.LINE_AA)
    line = points[[60, 61, 62, 63, 64]]
    for half, color in ((strip / 2 + 1, DARK), (strip / 2, TEETH))[: 2 if strip else 1]:
        band = np.concatenate([line - (0, half), line[::-1] + (0, half)])
        cv2.fillPoly(photo, [np.int32(np.round(band * scale))], color, cv2.LINE_AA)
    grain = np.random.default_rng(0).normal(0, 2, photo.shape)
    photo = np.clip(cv2.GaussianBlur(photo, (0, 0), 2.0) + grain, 0, 255).astype(np.uint8)
    return photo, points * scale


def test_teeth_that_landmarks_do_not_know_are_seen():
    points = closed_mouth()
    points[[48, 54, 60, 64], 1] = points[62, 1] - 3  # Corners that smile.
    parted = find_lips(*painted(points, 2.5))
    assert parted.open
    assert 1.5 < parted.gap < 4
    assert not find_lips(*painted(points, 0)).open
    points[[48, 54, 60, 64], 1] += 5  # Others would rather have gloss.
    assert not find_lips(*painted(points, 2.5)).open


@pytest.mark.parametrize(("lift", "way"), [(-5.0, 1.0), (0.0, 1.0), (8.0, -1.0)])
def test_corners_come_to_rest(lift: float, way: float):
    points = closed_mouth().astype(np.float64)
    points[[48, 54], 1] = points[62, 1] + lift
    down, _ = rest_shift(points, float(points[62, 1]))
    assert way * down > 0
    moved = points + mouth_motion(points, down, 0.0)
    assert (moved[:48] == points[:48]).all()
    eyes = 40.0
    assert abs(moved[48, 1] - points[62, 1] - 0.02 * eyes) < abs(lift - 0.02 * eyes) + 0.1
    assert abs(moved[62, 1] - points[62, 1]) < 0.05 * abs(down)
    assert moved[48, 1] - points[48, 1] == pytest.approx(down)


def test_wide_mouths_become_narrower_and_narrow_ones_wider():
    points = closed_mouth().astype(np.float64)
    results = []
    for width in (28.0, 50.0):
        points[[48, 54], 0] = 63.5 - width / 2, 63.5 + width / 2
        wider = rest_shift(points, float(points[62, 1]))[1]
        moved = points + mouth_motion(points, 0.0, wider)
        assert moved[54, 0] - moved[48, 0] == pytest.approx(width + wider)
        results.append(wider)
    assert results[0] > 0 > results[1]


def test_lips_at_rest_are_dark_where_they_meet_and_darker_above():
    upper, lower = lips_at_rest() @ LUMA
    assert upper.shape == (LIP_ROWS, LIP_COLUMNS)
    for lip in (upper, lower):
        middle = lip[:, 12:-12].mean(axis=1)
        assert middle[0] < 0.9 * middle[LIP_ROWS // 2]
        assert abs(middle[LIP_ROWS // 3 : -LIP_ROWS // 3].mean() - 1) < 0.1
    assert np.abs(lips_at_rest() - lips_at_rest()[:, :, ::-1]).max() < 0.03


def test_a_band_has_the_lips_own_color_and_ends_thin():
    points = closed_mouth()
    photo, there = painted(points, 0)
    matrix = estimate_similarity(there)
    landmarks = np.float32(transform_points(matrix, there))
    lips, border = lips_from_landmarks(landmarks), vermilion_from_landmarks(landmarks)
    region = Region(0, 0, 512, 512, np.ones((512, 512), np.float32), matrix)
    for edge, y in (("upper", border.upper), ("lower", border.lower)):
        outline = np.stack([border.x, y], axis=1)[4:-4:4]
        band = LipBand.of(lips, edge, outline, landmarks[[48, 54]])
        color, sure = band.color(np.float32(photo), region)
        assert np.abs(color - LIP)[12:-12].max() < 12
        assert sure > 0.8
        blunt = LipBand(band.x, band.inner, band.inner + np.sign(band.border - band.inner) * 6)
        thick = blunt.tapered().thick
        assert (np.diff(thick[: LIP_COLUMNS // 2]) >= -1e-4).all()
        assert thick[0] < 0.5 < 5.9 < thick[LIP_COLUMNS // 2]


def test_the_wider_a_laugh_the_more_of_the_lips_is_new():
    x = np.linspace(40, 88, 65, dtype=np.float32)
    shares = [
        laugh_share(Lips(x, np.full(65, 90 - g / 2, np.float32), np.full(65, 90 + g / 2)))
        for g in np.linspace(0, 12, 25)
    ]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)


def test_lips_that_laughed_are_even_and_keep_their_color(editor, smile):
    photo = cv2.resize(smile, (450, 450), interpolation=cv2.INTER_AREA)
    opened = editor.open(photo)
    shot = Shot(settings=(("Smiling", -1.5),))
    (picture,) = opened.render([shot])
    face = opened.faces[0]
    change = next(iter(opened.changes([shot])))[0][-1]
    border = find_vermilion(photo, face.face.points, face.lips)
    moved = estimate_warp(face.landmarks, change.landmarks, face.lips, change.lips, border)
    assert estimate_warp(face.landmarks, change.landmarks).borders is None
    whole = Region(0, 0, 450, 450, np.ones((450, 450), np.float32), face.matrix)
    for before, after in zip(lip_bands(moved, False), lip_bands(moved, True), strict=True):
        was, now = (
            band.color(np.float32(p), whole)[0] for band, p in ((before, photo), (after, picture))
        )
        assert np.abs(np.log(now / was))[10:-10].mean() < 0.2
        along = np.log(after.sample(np.float32(picture), whole, (0.5,))[0, 10:-10] @ LUMA)
        assert np.abs(np.diff(along, 2)).max() < 0.08  # No streaks.
