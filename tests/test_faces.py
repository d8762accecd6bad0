"""Detection and landmarks on a real photo, turned, shrunk and moved."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceflex.errors import AssetError
from faceflex.faces import find_faces
from faceflex.faces.align import transform_points
from faceflex.faces.landmarks import LandmarkModel


@pytest.fixture(scope="module")
def points(small_portrait):
    (face,) = find_faces(small_portrait)
    return face.points


def eye_distance(points):
    return float(np.hypot(*(points[45] - points[36])))


def test_a_portrait_has_one_face_with_eyes_above_mouth_above_chin(small_portrait, points):
    (face,) = find_faces(small_portrait)
    assert face.index == 1
    assert face.score > 0.5
    left, top, right, bottom = face.box
    assert left < points[:, 0].mean() < right
    assert top < points[:, 1].mean() < bottom
    assert points[36:48, 1].max() < points[48:68, 1].min() < points[8, 1]
    # dlib's order: 36 is the eye on the picture's left.
    assert points[36, 0] < points[45, 0]


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40, 90, 180, 270])
def test_a_turned_face_is_found_with_the_same_landmarks(small_portrait, points, degrees):
    centre = (224.5, 224.5)
    matrix = cv2.getRotationMatrix2D(centre, -degrees, 1.0)
    turned = cv2.warpAffine(
        small_portrait, matrix, (450, 450), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    faces = find_faces(turned)
    assert len(faces) == 1
    wanted = transform_points(matrix, points)
    error = np.hypot(*(faces[0].points - wanted).T).mean() / eye_distance(points)
    assert error < 0.06


@pytest.mark.parametrize("side", [90, 200, 1350, 2600])
def test_a_small_or_large_face_is_found_with_the_same_landmarks(portrait, points, side):
    method = cv2.INTER_AREA if side < 1350 else cv2.INTER_CUBIC
    photo = cv2.resize(portrait.rgb, (side, side), interpolation=method)
    (face,) = find_faces(photo)
    scaled = (face.points + 0.5) * (450 / side) - 0.5
    limit = 0.08 if side < 100 else 0.04
    assert np.hypot(*(scaled - points).T).mean() / eye_distance(points) < limit


def test_faces_are_numbered_left_to_right(small_portrait):
    small = cv2.resize(small_portrait, (300, 300), interpolation=cv2.INTER_AREA)
    photo = np.full((520, 1200, 3), 215, np.uint8)
    for left, top in ((860, 10), (20, 200), (430, 100)):
        photo[top : top + 300, left : left + 300] = small
    faces = find_faces(photo)
    assert [f.index for f in faces] == [1, 2, 3]
    centres = [(f.box[0] + f.box[2]) / 2 for f in faces]
    assert centres == sorted(centres)


def test_a_picture_without_a_face_has_none():
    noise = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    assert find_faces(noise) == []
    assert find_faces(np.zeros((10, 10, 3), np.uint8)) == []
    assert find_faces(np.zeros((1, 900, 3), np.uint8)) == []


def test_a_badge_is_not_a_face():
    from skimage import data

    # dlib's detector alone also sees one on the mission patch.
    (face,) = find_faces(np.ascontiguousarray(data.astronaut()))
    assert face.box[1] < 130 < face.box[3] + 1


def test_the_other_detectors_boxes_lead_to_the_same_landmarks(small_portrait, points, monkeypatch):
    from faceflex.faces import detect

    # The convolutional detector draws its boxes higher and smaller; the file may not be here.
    left, top, right, bottom = points[:, 0].min(), points[:, 1].min(), points[:, 0].max(), 0
    bottom = top + 0.8 * (right - left)

    def made():
        return lambda image, _: [
            tuple(v * image.shape[0] / 450 for v in (left, top, right, bottom)) + (1.0,)
        ]

    monkeypatch.setitem(detect.DETECTORS, "cnn", made)
    (face,) = find_faces(small_portrait, detector="cnn")
    assert np.hypot(*(face.points - points).T).mean() / eye_distance(points) < 0.03


def test_threads_do_not_mix_up_their_photos(small_portrait):
    from concurrent.futures import ThreadPoolExecutor

    empty = np.zeros((200, 200, 3), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda p: len(find_faces(p)), [small_portrait, empty] * 12))
    assert counts == [1, 0] * 12


def test_another_file_is_not_a_landmark_predictor(tmp_path):
    for name in ("x.safetensors", "x.dat"):
        path = tmp_path / name
        path.write_bytes(b"\x10\0\0\0\0\0\0\0 not a predictor")
        with pytest.raises(AssetError, match=name):
            LandmarkModel(path)
    from faceflex.assets import resolve

    with pytest.raises(AssetError, match="not a landmark predictor"):
        LandmarkModel(resolve("vectors"))
