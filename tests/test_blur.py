"""How blurred a photo is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceflex.faces.sharpness import estimate_blur


def edges(blur):
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(40, 220, (6, 6)), np.ones((40, 40))).astype(np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture
    return np.repeat(picture.astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("blur", [0.5, 1.0, 1.5, 2.5])
def test_the_blur_of_edges_is_found(blur):
    assert estimate_blur(edges(blur)) == pytest.approx(blur, rel=0.15)


def test_a_sharp_picture_has_none_and_a_flat_one_is_no_error():
    assert estimate_blur(edges(0)) < 0.3
    assert 0 <= estimate_blur(np.full((50, 50, 3), 90, np.uint8)) <= 6


def test_what_is_added_to_a_blurred_photo_is_not_sharper(editor, portrait):
    """The same face, blurred: teeth that are painted into it are blurred as well."""
    from faceflex.evaluate import measures

    faces = editor.finder.find(portrait.rgb)
    gained = []
    for photo in (portrait.rgb, cv2.GaussianBlur(portrait.rgb, (0, 0), 1.5)):
        opened = editor.open(photo, faces=faces)
        (picture,) = opened.render([opened.shot(Smiling=1.5)])
        inside = measures.area(photo.shape, faces[0].points[48:60])
        gained.append(measures.sharpness(picture, inside))
    assert gained[1] < 0.25 * gained[0]
