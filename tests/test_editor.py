"""The pipeline on a real photo, through the Python API."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import faceflex
from faceflex.errors import NoFaceError, PhotoError, UsageError
from faceflex.evaluate.edits import Instruments


@pytest.fixture(scope="module")
def prepared(editor, portrait):
    return editor.prepare(portrait.rgb, editor.find_faces(portrait.rgb))


def render(editor, photo, prepared, *settings):
    return list(editor.render(photo.rgb, prepared, [editor.edit_of(s) for s in settings]))


def inside(prepared, shape):
    mask = np.zeros(shape[:2], bool)
    region = prepared[0].region
    mask[region.top : region.bottom, region.left : region.right] = region.mask > 0
    return mask


def test_strength_zero_is_the_photo_bit_for_bit(editor, portrait, prepared):
    (same,) = render(editor, portrait, prepared, {"Smiling": 0.0})
    assert np.array_equal(same, portrait.rgb)


def test_a_smile_changes_the_mouth_and_nothing_outside_the_face(editor, portrait, prepared):
    (smiling,) = render(editor, portrait, prepared, {"Smiling": 1.5})
    mask = inside(prepared, portrait.rgb.shape)
    assert np.array_equal(smiling[~mask], portrait.rgb[~mask])
    change = np.abs(smiling.astype(int) - portrait.rgb).mean(axis=2)
    mouth = np.zeros(mask.shape, np.uint8)
    points = prepared[0].face.points[48:60]
    cv2.fillConvexPoly(mouth, np.round(points).astype(np.int32), 1)
    assert change[mouth > 0].mean() > 3 * change[mask].mean()


def test_more_strength_changes_more(editor, portrait, prepared):
    pictures = render(editor, portrait, prepared, *({"Smiling": s} for s in (0.5, 1.0, 2.0)))
    changes = [float(np.abs(p.astype(int) - portrait.rgb).mean()) for p in pictures]
    assert changes == sorted(changes)
    assert changes[2] > 2 * changes[0]


def test_a_judge_that_took_no_part_calls_the_smile_a_smile(editor, portrait, prepared):
    instruments = Instruments()
    points = prepared[0].face.points
    pictures = render(editor, portrait, prepared, {"Smiling": 1.0}, {"Smiling": 2.0})
    scores = [instruments.look(p, points, "Smiling").score for p in (portrait.rgb, *pictures)]
    assert scores == sorted(scores)
    assert scores[0] < 0.2
    assert scores[2] > 0.8


def test_the_photos_detail_is_kept_and_a_paste_loses_it(portrait, editor, prepared):
    def sharpness(picture):
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        mask = cv2.erode(inside(prepared, gray.shape).astype(np.uint8), np.ones((61, 61)))
        return cv2.Laplacian(gray, cv2.CV_64F)[mask > 0].var()

    original = sharpness(portrait.rgb)
    (kept,) = render(editor, portrait, prepared, {"Smiling": 1.0})
    plain = faceflex.Editor(device="cpu", method="paste")
    (pasted,) = render(plain, portrait, prepared, {"Smiling": 1.0})
    assert 0.85 < sharpness(kept) / original < 1.2
    assert sharpness(pasted) / original < 0.3


def test_latents_and_decodes_do_not_depend_on_the_photos_turn(editor, portrait, prepared):
    turned = np.ascontiguousarray(np.rot90(portrait.rgb))
    (there,) = editor.prepare(turned, editor.find_faces(turned))
    here = prepared[0]
    difference = np.abs(there.decoded - here.decoded).mean()
    assert difference < 0.02


def test_four_lines_of_python_edit_and_save(portrait, tmp_path):
    path = tmp_path / "out.png"
    edited = faceflex.edit(portrait, {"Smiling": 1.5, "young": 0.5})
    faceflex.save_photo(portrait, edited, path)
    assert np.array_equal(faceflex.load_photo(path).rgb, edited)
    with pytest.raises(PhotoError, match="exists"):
        faceflex.save_photo(portrait, edited, path)
    faceflex.save_photo(portrait, portrait.rgb, path, overwrite=True, provenance=None)
    assert np.array_equal(faceflex.load_photo(path).rgb, portrait.rgb)


def test_api_errors_are_told(portrait):
    with pytest.raises(UsageError, match="did you mean Smiling"):
        faceflex.edit(portrait, {"Smillng": 1})
    with pytest.raises(NoFaceError, match="has no face 2"):
        faceflex.edit(portrait, {"Smiling": 1}, faces=["2"])


def test_only_chosen_faces_are_edited(editor, small_portrait):
    both = np.hstack([small_portrait, small_portrait])
    faces = editor.find_faces(both)
    assert len(faces) == 2
    prepared = editor.prepare(both, faces[1:])
    (edited,) = editor.render(both, prepared, [editor.edit_of({"Smiling": 2})])
    assert np.array_equal(edited[:, :450], both[:, :450])
    assert not np.array_equal(edited[:, 450:], both[:, 450:])


def test_public_names_exist():
    for name in faceflex.__all__:
        assert getattr(faceflex, name) is not None
    with pytest.raises(AttributeError):
        _ = faceflex.nothing


def test_a_mustache_is_hair_on_a_face_that_stays(editor, portrait, prepared):
    (edited,) = render(editor, portrait, prepared, {"Mustache": 2.0})
    (face,) = editor.find_faces(portrait.rgb)
    p = face.points
    lip = slice(int(p[33, 1]) + 12, int(p[51, 1]) - 6), slice(int(p[50, 0]), int(p[52, 0]))
    cheek = slice(int(p[30, 1]) - 20, int(p[30, 1]) + 20), slice(int(p[4, 0]) + 40, int(p[48, 0]))
    before, after = portrait.rgb.astype(float), edited.astype(float)
    darker = (before - after).mean(axis=2)
    assert darker[lip].mean() > 12
    assert abs(darker[cheek].mean()) < 0.35 * darker[lip].mean()
    # The corner of the mouth is where it was: the photo's own edges lie on the edit's.
    corner = slice(int(p[48, 1]) - 25, int(p[48, 1]) + 25), slice(int(p[48, 0]) - 40, int(p[48, 0]))
    old, new = (cv2.Laplacian(x[corner].mean(axis=2), cv2.CV_64F).ravel() for x in (before, after))
    assert np.corrcoef(old, new)[0, 1] > 0.98


def test_what_is_worn_and_what_moves_are_both_made(editor, portrait, prepared):
    both, smile = render(
        editor, portrait, prepared, {"Smiling": 1.5, "Mustache": 2.0}, {"Smiling": 1.5}
    )
    edit = editor.edit_of({"smiling": 1.5, "Mustache": 2.0})
    assert np.allclose(edit.shift, 1.5 * editor.vectors.mean("Smiling"))
    assert np.allclose(edit.content, 2.0 * editor.vectors.mean("Mustache"))
    assert len(edit.parts()) == 2
    assert editor.edit_of({}).parts() == []
    (face,) = editor.find_faces(portrait.rgb)
    p = face.points
    lip = slice(int(p[33, 1]) + 6, int(p[51, 1]) - 10), slice(int(p[50, 0]), int(p[52, 0]))
    assert (smile[lip].astype(float) - both[lip]).mean() > 8
