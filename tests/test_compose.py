"""Masks, warps, transfer and cloning: what may change, what moves, and how it joins."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceflex.compose.change import FaceChange, TransferStyle
from faceflex.compose.composer import Composer
from faceflex.compose.content import Content
from faceflex.compose.seamless_clone import membrane, seamless_clone
from faceflex.compose.transfer import paste, transfer
from faceflex.compose.warp import estimate_warp, jacobian, warp_crop
from faceflex.errors import UsageError
from faceflex.faces import Face
from faceflex.faces.align import align, estimate_similarity, invert, template, transform_points
from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.lips import lips_from_landmarks
from faceflex.faces.region import make_region
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


def changed(before, after, landmarks=None, **style):
    return FaceChange(before, after, landmarks, style=TransferStyle(**style))


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
    resampled = region.from_crop(np.ascontiguousarray(ramp))
    nose = points[30]
    x, y = np.round(nose).astype(int)
    seen = resampled[y - region.top, x - region.left]
    expected = transform_points(estimate_similarity(points), np.float32([[x, y]]))[0]
    assert np.abs(seen - expected).max() < 0.1


def test_no_change_transfers_as_the_photo_itself():
    photo = photo_of(400, 400)
    region = region_of(place(2, 60, 30), 400, 400)
    decode = np.random.default_rng(0).random((128, 128, 3)).astype(np.float32)
    still = estimate_warp(aligned_points(), aligned_points())
    for warp in (None, still):
        same = transfer(photo, region, np.uint8(decode * 255), changed(decode, decode), warp)
        assert np.abs(same.patch - region.crop(photo)).max() < 1e-3


def test_a_change_is_transferred_and_grain_is_kept():
    photo = photo_of(400, 400)
    region = region_of(place(2, 60, 30), 400, 400)
    before = np.full((128, 128, 3), 0.5, np.float32)
    after = before.copy()
    mouth = template()[48:68].mean(axis=0).astype(int)
    cv2.circle(after, (int(mouth[0]), int(mouth[1])), 12, (0.8, 0.5, 0.5), -1)
    canvas = photo.copy()
    crop = np.uint8(before * 255)
    added = transfer(photo, region, crop, changed(before, after, color=1.0), None)
    seamless_clone(canvas, region, added.patch)
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
        assert membrane(patch, region.crop(photo), region.mask) is None
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
    seamless_clone(photo, region, region.crop(photo).astype(np.float32) + 5)
    assert max(seen[0]) <= 256


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 12))
def test_a_warp_never_folds_and_rests_at_the_masks_edge(seed, size):
    rng = np.random.default_rng(seed)
    points = face_points(seed)
    warp = estimate_warp(points, points + rng.normal(0, size, (68, 2)))
    edge = np.ones((64, 64), bool)
    edge[1:-1, 1:-1] = False
    for field in (warp.upper, warp.lower):
        assert jacobian(field).min() > 0
        assert not field[edge].any()


def test_landmarks_that_stay_move_nothing():
    warp = estimate_warp(face_points(2), face_points(2))
    assert not warp.upper.any()
    assert not warp.lower.any()
    assert warp.before.gap == warp.after.gap


def smooth_shift(rng, points, size):
    """Return a random displacement (N, 2) of points whose waves are 64 pixels long and more."""
    shift = np.zeros(points.shape)
    for _ in range(3):
        way, phase = rng.uniform(0, 2 * np.pi, 2)
        wave = 2 * np.pi / rng.uniform(64, 300) * np.array([np.cos(way), np.sin(way)])
        shift += np.sin(points @ wave + phase)[:, None] * rng.normal(0, size / np.sqrt(3), 2)
    return shift


def with_gap(points, gap):
    """Return landmarks whose inner lips are ``gap`` pixels apart in the middle.

    Lips keep their thickness: where one is pressed to nothing, no warp can follow both its edges.
    """
    apart = points.copy()
    upper, lower = [61, 62, 63], [67, 66, 65]
    middle, half = (points[upper] + points[lower]) / 2, gap / 2 * np.array([0.8, 1, 0.8])
    for inner, outer, sign in ((upper, [50, 51, 52], -1), (lower, [58, 57, 56], 1)):
        apart[inner] = middle + sign * half[:, None] * [0, 1]
        apart[outer] += apart[inner] - points[inner]
    return apart


def follow_back(warp, places):
    """Return where the warp's fields say that what is at ``places`` (68, 2) comes from."""
    below = np.isin(np.arange(68), [*range(55, 60), 65, 66, 67])
    sources = np.zeros((68, 2))
    for field, group in zip(warp.fields, (~below, below), strict=True):
        x, y = np.float32(places[group].T[:, None])
        sources[group] = places[group] + cv2.remap(field, x, y, cv2.INTER_CUBIC)[0]
    return sources


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 3), st.floats(1.2, 8), st.floats(-4, 4))
def test_landmark_targets_are_reached(seed, size, gap, opening):
    """Nothing corrects what a method asks for: expressions, lips that open, lips that close."""
    rng = np.random.default_rng(seed)
    points = template() + smooth_shift(rng, template(), 2.0)
    targets = points.copy()
    targets[17:] += smooth_shift(rng, points, size)[17:]
    points, targets = with_gap(points, gap), with_gap(targets, max(1.2, gap + opening))
    warp = estimate_warp(np.float32(points), np.float32(targets))
    missed = np.linalg.norm(follow_back(warp, targets) - points, axis=1)
    # But for the outer ends of the brows, which lie where the field comes to rest.
    assert missed[[*range(19, 25), *range(27, 68)]].mean() < 0.3
    assert missed[[*range(19, 25), *range(27, 60)]].max() < 0.5
    assert np.median(missed[17:]) < 0.1


def dotted_face(scale=4.0, corner=(60, 70)):
    """Return a grey photo with a dark dot at some landmarks, its face, and which they are."""
    points = np.float32(template() * scale + corner)
    side = int(128 * scale + 160)
    photo = np.full((side, side, 3), 180, np.uint8)
    dots = [19, 24, 30, 36, 39, 42, 45, 48, 54, 57]
    for k in dots:
        center = tuple(int(v) for v in np.round(points[k] * 16))
        cv2.circle(photo, center, round(2.0 * scale * 16), (60, 50, 40), -1, cv2.LINE_AA, 4)
    aligned = align(photo, points)
    landmarks = transform_points(aligned.matrix, points)
    low, high = points.min(axis=0).astype(int), points.max(axis=0).astype(int)
    face = AlignedFace(
        Face(1, (*low, *high), 1.0, points),
        aligned.crop,
        landmarks,
        lips_from_landmarks(landmarks),
        aligned.matrix,
        make_region(photo.shape, points, aligned.matrix),
    )
    return photo, face, dots


def dot_near(photo, place, reach=14):
    """Return the centre of the dark dot near a place of a photo."""
    x, y = np.round(place).astype(int)
    window = photo[y - reach : y + reach + 1, x - reach : x + reach + 1].mean(axis=2)
    dark = np.clip(window.max() - 30 - window, 0, None)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.array([x + (dark * columns).sum() / dark.sum(), y + (dark * rows).sum() / dark.sum()])


def test_the_photos_own_pixels_move_to_the_targets_of_a_change():
    photo, face, dots = dotted_face()
    assert (
        max(np.abs(dot_near(photo, face.face.points[k]) - face.face.points[k]).max() for k in dots)
        < 0.5
    )
    decode = np.full((128, 128, 3), 0.6, np.float32)
    shift = smooth_shift(np.random.default_rng(3), face.landmarks, 2.0)
    targets = np.float32(face.landmarks + shift)
    canvas = photo.copy()
    stages = Composer().apply(canvas, face, [changed(decode, decode, targets)], record=True)
    wanted = transform_points(invert(face.matrix), targets)
    assert np.linalg.norm(wanted - face.face.points, axis=1)[dots].min() > 2
    for k in dots:
        assert np.abs(dot_near(canvas, wanted[k]) - wanted[k]).max() < 1.2  # 0.3 of the crop.
    assert stages.warp is not None
    assert np.array_equal(stages.warp.targets, targets)
    only_difference = photo.copy()
    Composer(mode="difference").apply(only_difference, face, [changed(decode, decode, targets)])
    assert np.abs(only_difference.astype(int) - photo).max() <= 1


def test_steps_follow_on_each_other_and_none_changes_nothing():
    photo, face, _ = dotted_face()
    composer, canvas = Composer(), photo.copy()
    assert composer.apply(canvas, face, []) is None
    assert np.array_equal(canvas, photo)
    decode = np.full((128, 128, 3), 0.6, np.float32)
    steps = [changed(decode, decode + s, color=1.0) for s in (np.float32(0.1), np.float32(0.2))]
    one, two = photo.copy(), photo.copy()
    composer.apply(one, face, steps)
    for step in steps:
        composer.apply(two, face, [step])
    assert np.array_equal(one, two)
    with pytest.raises(UsageError, match="mode"):
        Composer(mode="collage")


class Patch:
    """A renderer that fills a window; notes what it was told."""

    fingerprint = "patch-1"

    def render(self, scene):
        self.condition = dict(scene.change.condition)
        pixels = np.full((10, 12, 3), 255, np.float32)
        return Content(slice(60, 70), slice(80, 92), pixels, np.ones((10, 12), np.float32))


def test_another_renderer_makes_the_new_content_and_knows_the_condition():
    photo, face, _ = dotted_face()
    decode = np.full((128, 128, 3), 0.6, np.float32)
    change = FaceChange(decode, decode, face.landmarks + 1, condition={"smile": 0.7})
    renderer = Patch()
    patch, stages = Composer(renderer).make_patch(photo, face, change, record=True)
    assert (patch[60:70, 80:92] == 255).all()
    assert stages.new.sum() == 120
    assert renderer.condition == {"smile": 0.7}


def test_pixels_go_where_the_landmarks_go():
    points = np.float32(template())
    targets = points.copy()
    targets[48:68] += (3, -2)
    warp = estimate_warp(points, targets)
    crop = np.zeros((128, 128, 1), np.float32)
    x, y = points[48:68].mean(axis=0).astype(int)
    cv2.circle(crop, (int(x), int(y)), 4, 1.0, -1)
    after = warp_crop(crop, warp)
    before_centre, after_centre = (
        np.array(np.nonzero(c > 0.5))[::-1].mean(axis=1) for c in (crop[..., 0], after)
    )
    assert np.abs(after_centre - before_centre - (3, -2)).max() < 0.3


def test_lips_that_would_cross_touch():
    points = np.float32(template())
    targets = points.copy()
    targets[[*range(49, 54), *range(61, 64)], 1] += 20
    targets[[*range(55, 60), *range(65, 68)], 1] -= 20
    warp = estimate_warp(points, targets)
    assert (warp.after.lower >= warp.after.upper).all()
    assert warp.after.gap < warp.before.gap


def test_an_edit_of_shape_leaves_the_tone_and_one_of_tone_does_not():
    photo = photo_of(400, 400)
    region = region_of(place(2, 60, 30), 400, 400)
    before = np.full((128, 128, 3), 0.5, np.float32)
    redder = before + np.float32([0.2, 0, 0])
    crop = np.uint8(before * 255)
    shape, tone = (
        transfer(photo, region, crop, changed(before, redder, color=color), None).patch
        for color in (0.0, 1.0)
    )
    assert np.abs(shape - region.crop(photo)).max() < 1
    assert (tone - region.crop(photo))[..., 0].mean() > 45


def test_a_large_face_is_edited_as_a_small_one_is_only_quicker(editor, portrait, monkeypatch):
    import faceflex.faces.region

    half = portrait.rgb[250:1250, 150:1150]
    large = cv2.resize(half, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    pictures = []
    for sampling in (0.0, faceflex.faces.region._COARSE_SPACING):
        monkeypatch.setattr(faceflex.faces.region, "_COARSE_SPACING", sampling)
        opened = editor.open(large)
        assert (opened.faces[0].region.stride > 1) == (sampling > 0)
        shots = [opened.shot(Smiling=1.5), opened.shot(Smiling=1.5, Mouth_Slightly_Open=0)]
        pictures.append([p.astype(int) for p in opened.render(shots)])
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
    opened = editor.open(portrait.rgb)
    shots = [opened.shot(**{name: s}) for s in (-2.0, 2.0)]
    region, before = opened.faces[0].region, portrait.rgb.astype(int)
    inside = region.mask > 0.5
    taken, given = (
        np.percentile(region.crop(p - before)[inside], (1, 99)) for p in opened.render(shots)
    )
    assert least < taken[0] < 0 < taken[1] < most
    assert max(-given[0], given[1]) > 30
