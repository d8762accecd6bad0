"""Smiles taken away: lips keep their thickness and meet as real ones do, and folds go."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceflex.compose.lip_borders import border_targets, widen_opening
from faceflex.compose.lip_seam import COLUMNS, ROWS, SeamLine, seam_share, seams
from faceflex.compose.smile_folds import fold_weight, soften_folds
from faceflex.compose.warp import estimate_warp
from faceflex.faces.align import estimate_similarity, template, transform_points, warp
from faceflex.faces.lips import Lips, lips_from_landmarks
from faceflex.faces.region import LUMA
from faceflex.faces.vermilion import find_vermilion, vermilion_from_landmarks
from faceflex.methods.base import Shot

SKIN, LIP, TEETH = (205, 160, 140), (165, 80, 85), (225, 215, 205)


def smiling_mouth(gap: float = 8.0) -> np.ndarray:
    """Return 68 landmarks, in pixels of the crop, whose lips are ``gap`` pixels apart."""
    points = template().astype(np.float32).copy()
    lift = gap / 2 - (points[66, 1] - points[62, 1]) / 2
    points[[61, 62, 63, 49, 50, 51, 52, 53], 1] -= lift
    points[[65, 66, 67, 55, 56, 57, 58, 59], 1] += lift
    return points


def painted(points: np.ndarray, beside: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Paint lips and teeth at 4 pixels to one of the crop; return photo and landmarks there.

    The lower lip ends ``beside`` pixels of the crop above its landmarks.
    """
    size, scale = 512, 4.0
    photo = np.full((size, size, 3), SKIN, np.uint8)
    outer = points[48:60].copy()
    outer[7:12, 1] -= beside
    for part, color in ((outer, LIP), (points[60:68], TEETH)):
        cv2.fillPoly(photo, [np.int32(np.round(part * scale))], color, cv2.LINE_AA)
    grain = np.random.default_rng(0).normal(0, 3, photo.shape)
    photo = np.clip(cv2.GaussianBlur(photo, (0, 0), 2.0) + grain, 0, 255).astype(np.uint8)
    return photo, points * scale


def test_the_border_of_lips_is_found_where_landmarks_are_not():
    points = smiling_mouth()
    photo, there = painted(points, beside=2.5)
    lips = lips_from_landmarks(transform_points(estimate_similarity(there), there))
    matrix = estimate_similarity(there)
    found = find_vermilion(photo, there, lips)
    middle = slice(24, 41)
    true = points[:, 1].copy()
    true[55:60] -= 2.5
    lower = transform_points(matrix, np.stack([points[:, 0], true], 1) * 4.0)[57, 1]
    upper = transform_points(matrix, there)[51, 1]
    assert abs(found.lower[middle].mean() - lower) < 0.8
    assert abs(found.upper[32] - upper) < 1.2
    rough = vermilion_from_landmarks(transform_points(matrix, there))
    assert abs(rough.lower[middle].mean() - lower) > 1.5


def test_borders_that_nothing_moves_stay_and_narrower_lips_are_thicker():
    points = smiling_mouth()
    lips, border = lips_from_landmarks(points), vermilion_from_landmarks(points)
    for places, goals in border_targets(border, lips, lips, points, points):
        assert np.abs(goals - places).max() < 0.05
    narrow = points.copy()
    middle = points[[48, 54], 0].mean()
    narrow[48:68, 0] = middle + 0.8 * (points[48:68, 0] - middle)
    x = np.float32(middle + 0.8 * (lips.x - middle))
    closed = Lips(x, lips.midline, lips.midline)
    (above, up), (below, down) = border_targets(border, lips, closed, points, narrow)
    for places, goals, edge, least in (
        (above, up, lips.upper, 1.1),
        (below, down, lips.lower, 1.02),
    ):
        was = np.abs(places[4, 1] - np.interp(places[4, 0], lips.x, edge))
        now = np.abs(goals[4, 1] - np.interp(goals[4, 0], closed.x, closed.upper))
        assert least < now / was < 1.3
    # The warp brings each border there.
    moved = estimate_warp(points, narrow, lips, closed, border)
    where = np.round(np.float32(down[4])).astype(int)
    from_y = where[1] + moved.fields[1][where[1], where[0], 1]
    assert abs(from_y - below[4, 1] - (where[1] - down[4, 1])) < 0.7


def test_lips_that_close_take_in_what_contours_left_over():
    points = smiling_mouth()
    true = lips_from_landmarks(points)
    short = Lips(true.x, np.float32(true.upper + 1), true.lower)
    closed = Lips(true.x, true.midline, true.midline)
    before, after = widen_opening(short, closed, points)
    assert np.abs(before.upper - true.upper)[8:-8].max() < 0.15
    assert (after.upper == closed.upper).all()
    same, still = widen_opening(short, short, points)  # Where nothing closes nothing jumps.
    assert np.abs(same.upper - still.upper).max() < 1e-4
    assert widen_opening(closed, closed, points) == (closed, closed)


def test_seams_are_dark_lines_along_which_lips_meet():
    assert seams().shape == (6, ROWS, COLUMNS, 3)
    luma = seams() @ LUMA
    inside = luma[:, :, 30:-30]
    assert (inside[:, ROWS // 2 - 3 : ROWS // 2 + 3].min(axis=1).mean(axis=1) < 0.65).all()
    assert (np.abs(inside[:, [0, -1]].mean(axis=(1, 2)) - 1) < 0.3).all()


def test_a_seam_comes_as_the_gap_goes():
    lips = lips_from_landmarks(smiling_mouth())
    half = (lips.lower - lips.upper) / 2

    def with_gap(share: float) -> Lips:
        return Lips(lips.x, np.float32(lips.midline - share * half), lips.midline + share * half)

    shares = [seam_share(lips, with_gap(s)) for s in np.linspace(1, 0, 21)]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)
    closed = with_gap(0)
    assert seam_share(closed, closed) == 0  # Lips that met have their own.


def test_a_seam_is_of_the_lips_colors_and_fades_away_from_its_line():
    points = smiling_mouth(0.0)
    lips = lips_from_landmarks(points)
    y, x = np.mgrid[60:110:0.25, 30:98:0.25].astype(np.float32)
    line = SeamLine.of(lips, points, x, y)
    new, near = line.weights()
    assert new[np.abs(line.apart) < 0.5][:, None].max() == 1
    assert new[np.abs(line.apart) > 2.5].max() == 0
    assert near[np.abs(line.apart) > 3].max() == 0
    assert (line.ratio(3) != line.ratio(9)).any()  # Each exemplar is used both ways round.
    ends = line.ratio(0)[(line.across < -1.5) | (line.across > line.width + 1.5)]
    assert np.abs(ends - 1).max() < 0.02


def test_folds_beside_the_mouth_fade_and_pores_stay():
    points = smiling_mouth(0.0)
    weight = fold_weight(points)
    row, column = np.unravel_index(weight[:, :80].argmax(), (128, 80))
    rng = np.random.default_rng(1)
    flat = np.full((128, 160, 3), 150, np.float32)
    pores = rng.normal(0, 6, (128, 160, 1)).astype(np.float32)
    pores -= cv2.GaussianBlur(pores, (0, 0), 0.8)[:, :, None]
    away = np.abs(np.arange(160, dtype=np.float32) - column)
    fold = -40 * np.exp(-((away / 2.5) ** 2))[None, :, None]
    made = soften_folds(flat + pores + fold, points, 1.0)

    def depth(picture: np.ndarray) -> float:
        part = picture[row - 3 : row + 4].mean(axis=(0, 2))
        return float(part[column - 20 : column - 12].mean() - part[column])

    before = depth(flat + pores + fold)
    assert depth(made) < 0.75 * before
    assert depth(soften_folds(flat + pores + fold, points, 0.5)) > depth(made)
    fine = soften_folds(flat + pores, points, 1.0) - flat
    assert 0.85 < fine[weight > 0.3].std() / pores[weight > 0.3].std() < 1.05
    assert np.abs(made - (flat + pores + fold))[weight == 0].max(initial=0) < 1e-3
    assert soften_folds(flat, points, 0.0) is flat


@pytest.fixture(scope="module")
def taken(editor, smile):
    """A smiling face, and its picture with the smile taken away to several degrees."""
    photo = cv2.resize(smile, (450, 450), interpolation=cv2.INTER_AREA)
    opened = editor.open(photo)
    strengths = (-0.3, -0.6, -0.95, -1.0, -1.5, -2.0)
    shots = [Shot(settings=(("Smiling", s),)) for s in strengths]
    pictures = dict(zip(strengths, opened.render(shots), strict=True))
    return photo, opened, shots, pictures


def test_lips_that_met_show_a_dark_line_and_no_teeth(taken):
    _, opened, shots, pictures = taken
    face = opened.faces[0]
    change = next(iter(opened.changes(shots[4:5])))[0][-1]
    assert change.relaxed > 0.9
    lips = change.lips
    crop, _ = warp(pictures[-1.5], face.matrix * 4, 512)
    luma = crop @ LUMA

    def along(off: float) -> float:
        x, y = lips.x[20:-20], lips.midline[20:-20] + off
        at = np.round(np.stack([x, y]) * 4).astype(int)
        return float(luma[at[1], at[0]].mean())

    lip = (along(-2.5) + along(2.5)) / 2
    line = min(along(off) for off in np.arange(-0.75, 0.8, 0.25))
    assert line < 0.85 * lip  # There is a line ...
    assert line > 0.3 * lip  # ... which is no ink.
    assert max(along(off) for off in np.arange(-2.5, 2.6, 0.5)) < 1.3 * lip  # And no teeth.


def test_lips_get_back_what_the_smile_drew_thin(editor, taken):
    photo, opened, shots, pictures = taken
    face = opened.faces[0]
    change = next(iter(opened.changes(shots[4:5])))[0][-1]
    was = find_vermilion(photo, face.face.points, face.lips)
    found = editor.open(pictures[-1.5]).faces[0]
    now = find_vermilion(pictures[-1.5], found.face.points, found.lips)

    def thick(border, lips) -> np.ndarray:
        middle = slice(22, 43)
        upper, lower = (np.interp(border.x, lips.x, e) for e in (lips.upper, lips.lower))
        return np.array(
            [(upper - border.upper)[middle].mean(), (border.lower - lower)[middle].mean()]
        )

    ratio = thick(now, found.lips) / thick(was, face.lips)
    assert (ratio > 0.85).all()
    assert (ratio < 1.9).all()
    assert change.lips.gap == 0


def test_between_strengths_nothing_jumps(taken):
    photo, _, _, pictures = taken
    near = np.abs(pictures[-0.95].astype(int) - pictures[-1.0]).mean()
    far = np.abs(photo.astype(int) - pictures[-1.0]).mean()
    assert near < 0.15 * far
    assert (pictures[-1.5] == pictures[-2.0]).mean() > 0.5  # Below the neutral face little moves.


def test_who_has_no_smile_to_lose_has_nothing_relaxed(editor, small_portrait):
    opened = editor.open(small_portrait)
    shot = Shot(settings=(("Smiling", -1.5),))
    (picture,) = opened.render([shot])
    assert (picture == small_portrait).all()
    assert all(c.relaxed == 0 for steps in next(iter(opened.changes([shot]))) for c in steps)


def test_a_smile_that_is_given_is_not_relaxed(editor, small_portrait):
    opened = editor.open(small_portrait)
    steps = next(iter(opened.changes([Shot(settings=(("Smiling", 1.0),))])))[0]
    assert [c.relaxed for c in steps] == [0.0] * len(steps)
