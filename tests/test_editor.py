"""The pipeline on a real photo, through the Python API."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import faceflex
from faceflex.compose.composer import Composer
from faceflex.edit.editor import Editor
from faceflex.errors import NoFaceError, PhotoError, UsageError
from faceflex.evaluate.edits import Instruments
from faceflex.faces.align import SIZE
from faceflex.methods.base import Shot


@pytest.fixture(scope="module")
def opened(editor, portrait):
    return editor.open(portrait.rgb)


def render(opened, *settings):
    return list(opened.render([opened.shot(**s) for s in settings]))


def inside(opened):
    mask = np.zeros(opened.rgb.shape[:2], bool)
    region = opened.faces[0].region
    mask[region.top : region.bottom, region.left : region.right] = region.mask > 0
    return mask


def test_strength_zero_is_the_photo_bit_for_bit(opened):
    same, empty = render(opened, {"Smiling": 0.0}, {})
    assert np.array_equal(same, opened.rgb)
    assert np.array_equal(empty, opened.rgb)
    assert same is not opened.rgb


def test_a_smile_changes_the_mouth_and_nothing_outside_the_face(opened, portrait):
    (smiling,) = render(opened, {"Smiling": 1.5})
    mask = inside(opened)
    assert np.array_equal(smiling[~mask], portrait.rgb[~mask])
    change = np.abs(smiling.astype(int) - portrait.rgb).mean(axis=2)
    mouth = np.zeros(mask.shape, np.uint8)
    points = opened.faces[0].face.points[48:60]
    cv2.fillConvexPoly(mouth, np.round(points).astype(np.int32), 1)
    assert change[mouth > 0].mean() > 3 * change[mask].mean()


def test_more_strength_changes_more(opened, portrait):
    pictures = render(opened, *({"Smiling": s} for s in (0.5, 1.0, 2.0)))
    changes = [float(np.abs(p.astype(int) - portrait.rgb).mean()) for p in pictures]
    assert changes == sorted(changes)
    assert changes[2] > 2 * changes[0]


def test_a_classifier_that_took_no_part_calls_the_smile_a_smile(opened, portrait):
    instruments = Instruments()
    points = opened.faces[0].face.points
    pictures = render(opened, {"Smiling": 1.0}, {"Smiling": 2.0})
    scores = [instruments.measure(p, points, "Smiling").score for p in (portrait.rgb, *pictures)]
    assert scores == sorted(scores)
    assert scores[0] < 0.2
    assert scores[2] > 0.8


def test_the_photos_detail_is_kept_and_a_paste_loses_it(portrait, editor, opened):
    def sharpness(picture):
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        mask = cv2.erode(inside(opened).astype(np.uint8), np.ones((61, 61)))
        return cv2.Laplacian(gray, cv2.CV_64F)[mask > 0].var()

    original = sharpness(portrait.rgb)
    (kept,) = render(opened, {"Smiling": 1.0})
    plain = Editor(editor.finder, editor.method, Composer(mode="paste"))
    (pasted,) = render(plain.open(portrait.rgb), {"Smiling": 1.0})
    assert 0.85 < sharpness(kept) / original < 1.2
    assert sharpness(pasted) / original < 0.3


def test_latents_and_decodes_do_not_depend_on_the_photos_turn(editor, portrait, opened):
    rotated = editor.open(np.ascontiguousarray(np.rot90(portrait.rgb)))
    here, there = (editor.method.encode(o.faces, o.rgb)[0] for o in (opened, rotated))
    assert np.abs(there.decoded - here.decoded).mean() < 0.02


def test_four_lines_of_python_edit_and_save(portrait, tmp_path):
    path = tmp_path / "out.png"
    edited = faceflex.edit_photo(portrait, {"Smiling": 1.5, "young": 0.5})
    faceflex.save_photo(portrait, edited, path)
    written = faceflex.load_photo(path)
    assert np.array_equal(written.rgb, edited.rgb)
    assert edited.provenance.settings == {"Smiling": "1.5", "Young": "0.5"}
    assert edited.provenance.method == "attribute-vectors"
    assert set(edited.provenance.fingerprints) == {"model", "content"}
    assert b"Smiling" in written.xmp
    with pytest.raises(PhotoError, match="exists"):
        faceflex.save_photo(portrait, edited, path)
    faceflex.save_photo(portrait, edited, path, overwrite=True, mark=False)
    again = faceflex.load_photo(path)
    assert np.array_equal(again.rgb, edited.rgb)
    assert b"Smiling" not in (again.xmp or b"")


def test_an_open_photo_is_rendered_again_and_again_from_many_threads(opened):
    from concurrent.futures import ThreadPoolExecutor

    shots = [opened.shot(Smiling=s) for s in (0.5, 1.5, -1.0)]
    alone = [next(opened.render([shot])) for shot in shots]
    together = list(opened.render(shots))
    with ThreadPoolExecutor(3) as pool:
        threaded = list(pool.map(lambda shot: next(opened.render([shot])), shots))
    for one, two, three in zip(alone, together, threaded, strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)


def test_variants_of_a_smile_differ_and_the_seed_fixes_them(opened):
    settings = opened.shot(Smiling=1.5).settings
    shots = [Shot(settings, variant) for variant in (0, 1, 2, 1)]
    mean, one, two, again = opened.render(shots)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, two)
    assert not np.array_equal(one, mean)


def test_a_photo_opened_by_its_path_tells_whom_it_leaves_alone(editor):
    photo = faceflex.open_photo("examples/three-people.jpg", ["largest"], editor=editor)
    assert len(photo.faces) == 1
    assert len(photo.left_alone) == len(photo.detected) - 1
    (shot,) = [photo.shot(Smiling=1.0)]
    (steps,) = photo.changes([shot])
    assert len(steps) == 1
    (alone,) = photo.face_changes(0, [shot])
    assert np.array_equal(steps[0][0].after, alone[0].after)
    with pytest.raises(NoFaceError, match="no face"):
        editor.open(photo.rgb, faces=[])


def test_api_errors_are_told(portrait):
    with pytest.raises(UsageError, match="did you mean Smiling"):
        faceflex.edit_photo(portrait, {"Smillng": 1})
    with pytest.raises(NoFaceError, match="has no face 2"):
        faceflex.edit_photo(portrait, {"Smiling": 1}, faces=["2"])


def test_only_chosen_faces_are_edited(editor, small_portrait):
    both = np.hstack([small_portrait, small_portrait])
    opened = editor.open(both, ["2"])
    assert len(opened.detected) == 2
    (edited,) = render(opened, {"Smiling": 2})
    assert np.array_equal(edited[:, :450], both[:, :450])
    assert not np.array_equal(edited[:, 450:], both[:, 450:])


def test_public_names_exist():
    for name in faceflex.__all__:
        assert getattr(faceflex, name) is not None
    with pytest.raises(AttributeError):
        _ = faceflex.nothing


def test_a_mustache_is_hair_on_a_face_that_stays(opened, portrait):
    (edited,) = render(opened, {"Mustache": 2.0})
    p = opened.faces[0].face.points
    lip = slice(int(p[33, 1]) + 12, int(p[51, 1]) - 6), slice(int(p[50, 0]), int(p[52, 0]))
    cheek = slice(int(p[30, 1]) - 20, int(p[30, 1]) + 20), slice(int(p[4, 0]) + 40, int(p[48, 0]))
    before, after = portrait.rgb.astype(float), edited.astype(float)
    darker = (before - after).mean(axis=2)
    assert darker[lip].mean() > 12
    assert abs(darker[cheek].mean()) < 0.35 * darker[lip].mean()
    # The lower lip is where it was: the photo's own edges lie on the edit's.
    lower = slice(int(p[66, 1]) + 5, int(p[57, 1]) + 25), slice(int(p[59, 0]), int(p[55, 0]))
    old, new = (cv2.Laplacian(x[lower].mean(axis=2), cv2.CV_64F).ravel() for x in (before, after))
    assert np.corrcoef(old, new)[0, 1] > 0.98


def test_what_is_worn_and_what_moves_are_two_steps(editor, opened):
    shots = [opened.shot(smiling=1.5, Goatee=2.0), opened.shot()]
    two, none = opened.face_changes(0, shots)
    (code,) = editor.method.encode(opened.faces, opened.rgb)
    worn, moved = two
    assert worn.landmarks is None
    assert moved.landmarks.shape == (68, 2)
    assert np.array_equal(worn.before, code.decoded)
    assert np.array_equal(moved.before, worn.after)
    offset = 1.5 * editor.method.vectors.mean("Smiling")
    offset = offset + 2 * editor.method.vectors.mean("Goatee")
    decoded = editor.method.codec.decode((code.latent + offset)[None])[0]
    assert moved.after.shape == (SIZE, SIZE, 3)
    assert np.abs(moved.after - decoded).max() < 1e-4
    assert list(none) == []


def test_a_mustache_goes_with_a_smile(opened):
    both, smile = render(opened, {"Smiling": 1.5, "Mustache": 2.0}, {"Smiling": 1.5})
    p = opened.faces[0].face.points
    lip = slice(int(p[33, 1]) + 6, int(p[51, 1]) - 10), slice(int(p[50, 0]), int(p[52, 0]))
    assert (smile[lip].astype(float) - both[lip]).mean() > 8
