"""Masks, cloning and detail transfer: what may change, and how it joins."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceflex.compose.seamless_clone import membrane, seamless_clone
from faceflex.compose.transfer import paste, transfer
from faceflex.compose.warp import estimate_warp, jacobian, warp_crop
from faceflex.faces.align import estimate_similarity, invert, template, transform_points
from faceflex.faces.region import make_region
from faceflex.methods.attribute_styles import TransferStyle
from tests.conftest import face_points


def place(scale, dx, dy):
    """Return 68 points of a face of ``scale`` crop sizes, shifted by (dx, dy) pixels."""
    return (face_points(1) * scale + [dx, dy]).astype(np.float32)


def region_of(points, height, width):
    return make_region((height, width, 3), points, estimate_similarity(points))


def aligned_points():
    """Return the landmarks of ``place``'s faces in pixels of their crop."""
    points = face_points(1)
    return transform_points(estimate_similarity(points), points)


def photo_of(height, width, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.integers(60, 200, (6, 6, 3)).astype(np.float32)
    smooth = cv2.resize(low, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 4), st.floats(-200, 500), st.floats(-200, 500), st.integers(0, 5))
def test_nothing_outside_the_mask_changes_wherever_the_face_lies(scale, dx, dy, seed):
    photo = photo_of(300, 400, seed)
    region = region_of(place(scale, dx, dy), 300, 400)
    if region is None:
        return
    width, height = region.size
    assert 0 <= region.left < region.right <= 400
    assert 0 <= region.top < region.bottom <= 300
    assert region.mask.shape == (height, width)
    canvas = photo.copy()
    rng = np.random.default_rng(seed)
    seamless_clone(canvas, region, rng.uniform(0, 255, (height, width, 3)).astype(np.float32))
    outside = np.ones((300, 400), bool)
    outside[region.top : region.bottom, region.left : region.right] = region.mask == 0
    assert np.array_equal(canvas[outside], photo[outside])


def test_a_face_outside_the_photo_has_no_region():
    assert region_of(place(1, 900, 0), 300, 400) is None


def test_the_mask_is_soft_at_the_hull_and_full_in_the_middle():
    region = region_of(place(2, 60, 30), 400, 400)
    mask = region.mask
    assert mask.max() == 1.0
    assert mask[0].max() == mask[-1].max() == mask[:, 0].max() == mask[:, -1].max() == 0
    steps = np.abs(np.diff(mask, axis=0)).max()
    assert steps < 0.35


def test_the_mask_rises_over_the_brows():
    points = place(2, 60, 30)
    region = region_of(points, 400, 400)
    brow = points[17:27].min(axis=0)[1]
    box = (points.max(axis=0) - points.min(axis=0)).max()
    assert region.top < brow - 0.1 * box


def test_at_the_photos_border_the_mask_stays_full():
    points = place(2, 60, -70)
    region = region_of(points, 400, 400)
    assert region.top == 0
    assert region.mask[0].max() == 1.0


def test_a_region_and_its_crop_share_coordinates():
    points = place(2.5, 33, 21)
    region = region_of(points, 500, 500)
    ramp = np.stack(np.meshgrid(np.arange(128), np.arange(128)), axis=-1).astype(np.float32)
    brought = region.bring(np.ascontiguousarray(ramp))
    nose = points[30]
    x, y = np.round(nose).astype(int)
    seen = brought[y - region.top, x - region.left]
    expected = transform_points(estimate_similarity(points), np.float32([[x, y]]))[0]
    assert np.abs(seen - expected).max() < 0.1


def test_no_change_transfers_as_the_photo_itself():
    photo = photo_of(400, 400)
    region = region_of(place(2, 60, 30), 400, 400)
    decode = np.random.default_rng(0).random((128, 128, 3)).astype(np.float32)
    still = estimate_warp(aligned_points(), np.zeros((68, 2)))
    for moved in (None, still):
        same = transfer(photo, region, np.uint8(decode * 255), decode, decode, moved)
        assert np.abs(same - region.cut(photo)).max() < 1e-3


def test_a_change_is_transferred_and_grain_is_kept():
    photo = photo_of(400, 400)
    region = region_of(place(2, 60, 30), 400, 400)
    before = np.full((128, 128, 3), 0.5, np.float32)
    after = before.copy()
    mouth = template()[48:68].mean(axis=0).astype(int)
    cv2.circle(after, (int(mouth[0]), int(mouth[1])), 12, (0.8, 0.5, 0.5), -1)
    canvas = photo.copy()
    crop = np.uint8(before * 255)
    seamless_clone(
        canvas, region, transfer(photo, region, crop, before, after, None, TransferStyle(tone=1.0))
    )
    x, y = transform_points(
        invert(estimate_similarity(place(2, 60, 30))), mouth[None].astype(np.float32)
    )[0].astype(int)
    change = canvas[y, x].astype(int) - photo[y, x]
    assert change[0] > 45
    assert np.abs(change[1:]).max() < 15
    patch = (slice(y - 8, y + 8), slice(x - 8, x + 8))
    grain = cv2.Laplacian(canvas[patch], cv2.CV_64F).std()
    assert grain > 0.8 * cv2.Laplacian(photo[patch], cv2.CV_64F).std()


def test_the_clone_takes_its_brightness_from_the_photo_around_it():
    photo = np.full((400, 400, 3), 150, np.uint8)
    region = region_of(place(2, 60, 30), 400, 400)
    patch = np.full((*region.mask.shape, 3), 90.0, np.float32)
    canvas = photo.copy()
    seamless_clone(canvas, region, patch)
    assert np.abs(canvas.astype(int) - 150).max() <= 3


def test_a_mask_of_a_few_pixels_is_blended_without_the_clone():
    photo = photo_of(300, 400)
    region = region_of(place(0.05, 200, 150), 300, 400)
    if region is not None:
        patch = np.full((*region.mask.shape, 3), 90.0, np.float32)
        assert membrane(patch, region.cut(photo), region.mask) is None
        seamless_clone(photo, region, patch)


@pytest.mark.parametrize("corner", [(-60, -60), (300, -60), (-60, 330), (300, 330)])
def test_faces_over_the_photos_corners_are_cloned_without_harm(corner):
    photo = photo_of(460, 430)
    region = region_of(place(1.6, *corner), 460, 430)
    assert region is not None
    canvas = photo.copy()
    patch = paste(region, np.full((128, 128, 3), 0.4, np.float32))
    seamless_clone(canvas, region, patch)
    changed = (canvas != photo).any(axis=2)
    assert changed.any()
    # Brightness follows the photo: a flat grey patch never stands out as a block of its own.
    inside = canvas[changed].astype(float).mean()
    assert abs(inside - photo[changed].astype(float).mean()) < 40


def test_a_large_region_costs_a_small_solver(monkeypatch):
    seen = []
    real = cv2.seamlessClone

    def watched(source, *rest):
        seen.append(source.shape)
        return real(source, *rest)

    monkeypatch.setattr(cv2, "seamlessClone", watched)
    photo = photo_of(1600, 1600)
    region = region_of(place(11, 60, 30), 1600, 1600)
    seamless_clone(photo, region, region.cut(photo).astype(np.float32) + 5)
    assert max(seen[0]) <= 256


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 12))
def test_a_motion_never_folds_and_rests_at_the_masks_edge(seed, size):
    rng = np.random.default_rng(seed)
    points = face_points(seed)
    moved = estimate_warp(points, rng.normal(0, size, (68, 2)))
    edge = np.ones((64, 64), bool)
    edge[1:-1, 1:-1] = False
    for field in (moved.upper, moved.lower):
        assert jacobian(field).min() > 0
        assert not field[edge].any()


def test_no_shift_is_no_motion():
    moved = estimate_warp(face_points(2), np.zeros((68, 2)))
    assert not moved.upper.any()
    assert not moved.lower.any()
    assert moved.before.gap == moved.after.gap


def test_pixels_go_where_the_landmarks_go():
    points = np.float32(template())
    shift = np.zeros((68, 2), np.float32)
    shift[48:68] += (3, -2)
    moved = estimate_warp(points, shift)
    crop = np.zeros((128, 128, 1), np.float32)
    x, y = points[48:68].mean(axis=0).astype(int)
    cv2.circle(crop, (int(x), int(y)), 4, 1.0, -1)
    after = warp_crop(crop, moved)
    before_centre, after_centre = (
        np.array(np.nonzero(c > 0.5))[::-1].mean(axis=1) for c in (crop[..., 0], after)
    )
    assert np.abs(after_centre - before_centre - (3, -2)).max() < 0.7


def test_lips_that_would_cross_touch():
    points = np.float32(template())
    shift = np.zeros((68, 2), np.float32)
    shift[49:54, 1], shift[61:64, 1] = 20, 20
    shift[55:60, 1], shift[65:68, 1] = -20, -20
    moved = estimate_warp(points, shift)
    gaps = moved.targets[[67, 66, 65], 1] - moved.targets[[61, 62, 63], 1]
    assert (gaps >= 0).all()
    assert moved.after.gap < moved.before.gap


def test_an_edit_of_shape_leaves_the_tone_and_one_of_tone_does_not():
    photo = photo_of(400, 400)
    region = region_of(place(2, 60, 30), 400, 400)
    before = np.full((128, 128, 3), 0.5, np.float32)
    redder = before + np.float32([0.2, 0, 0])
    crop = np.uint8(before * 255)
    kept = transfer(photo, region, crop, before, redder)
    carried = transfer(photo, region, crop, before, redder, None, TransferStyle(tone=1.0))
    assert np.abs(kept - region.cut(photo)).max() < 1
    assert (carried - region.cut(photo))[..., 0].mean() > 45


def test_a_large_face_is_edited_as_a_small_one_is_only_quicker(editor, portrait, monkeypatch):
    import faceflex.faces.region

    half = portrait.rgb[250:1250, 150:1150]
    large = cv2.resize(half, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    edits = [editor.edit_of({"Smiling": s}) for s in (1.5, -1.0)]
    pictures = []
    for sampling in (0.0, faceflex.faces.region._SAMPLING):
        monkeypatch.setattr(faceflex.faces.region, "_SAMPLING", sampling)
        faces = editor.prepare(large, editor.find_faces(large))
        assert (faces[0].region.step > 1) == (sampling > 0)
        pictures.append([p.astype(int) for p in editor.render(large, faces, edits)])
    for exact, quick in zip(*pictures, strict=True):
        difference = np.abs(exact - quick)
        assert difference.max() <= 12
        assert (difference > 2).mean() < 1e-3
        assert np.abs(exact - large).max() > 60


@pytest.mark.parametrize(
    ("name", "least", "most"), [("Eyeglasses", -25, 40), ("Mustache", -26, 26), ("Goatee", -27, 24)]
)
def test_taking_away_what_is_not_there_leaves_no_glare_and_no_lipstick(
    editor, portrait, name, least, most
):
    faces = editor.prepare(portrait.rgb, editor.find_faces(portrait.rgb))
    edits = [editor.edit_of({name: s}) for s in (-2.0, 2.0)]
    region, own = faces[0].region, portrait.rgb.astype(int)
    inside = region.mask > 0.5
    taken, given = (
        np.percentile(region.cut(p - own)[inside], (1, 99))
        for p in editor.render(portrait.rgb, faces, edits)
    )
    assert least < taken[0] < 0 < taken[1] < most
    assert max(-given[0], given[1]) > 30
