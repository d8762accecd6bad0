"""Attribute vectors as a way to edit: each model cuts its own input, in the template's geometry."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from faceflex.compose.composer import Composer
from faceflex.data.latents import encode_records
from faceflex.data.records import Record
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE
from faceflex.faces.aligned_face import align_faces
from faceflex.faces.find import FaceFinder, find_faces
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.methods.base import Shot
from faceflex.methods.controls import MethodOptions
from faceflex.methods.registry import make_method
from faceflex.methods.vectors import AttributeInfo, AttributeVectors
from faceflex.models.checkpoint import save_network
from faceflex.models.face_flex import FaceFlex, FaceFlexConfig


class Lossless:
    """A perfect autoencoder: a face's latent is its pixels."""

    encode = staticmethod(lambda crops: crops.reshape(len(crops), -1).astype(np.float32) / 255)
    decode = staticmethod(lambda latents: latents.reshape(-1, SIZE, SIZE, 3))


def perfect(crop):
    """Return a method whose autoencoder loses nothing and cuts faces in a way."""
    method = AttributeVectorMethod()
    width = SIZE * SIZE * 3
    bright = np.full((1, width), 0.1, np.float32)
    info = AttributeInfo(9, 9, 1.0, None, 1.0, "mean")
    readout = np.zeros((width, 136), np.float32)
    readout[:, 2 * 48 + 1] = -30 / width  # The brighter, the higher a corner of the mouth.
    vectors = AttributeVectors({"Bright": bright}, {"Bright": info}, "m", readout)
    method.__dict__ |= {
        "model": SimpleNamespace(crop=crop),
        "codec": Lossless,
        "vectors": vectors,
        "fingerprints": {"model": "m"},
    }
    return method


@pytest.mark.parametrize("crop", ["template", "face-flex"])
def test_pictures_lips_and_landmarks_are_in_the_templates_frame_for_any_model(smile, crop):
    faces = align_faces(smile, find_faces(smile))
    method = perfect(crop)
    (code,) = method.encode(faces, smile)
    aligned = faces[0].crop.astype(np.float32) / 255
    inside = slice(24, 118)
    apart = np.abs(code.decoded - aligned)[inside, inside]
    # A crop of its own is cut out of the photo at another scale: a little is lost.
    assert apart.mean() < (1e-6 if crop == "template" else 0.012)
    (((change,),),) = method.changes([code], [Shot((("Bright", 1.0),))])
    shift = change.landmarks - faces[0].landmarks
    assert -4 < shift[48, 1] < -1
    middle = (change.lips.x[0] + change.lips.x[-1]) / 2
    assert middle == pytest.approx(faces[0].landmarks[[48, 54], 0].mean(), abs=2)


def test_vectors_are_built_from_faces_cut_as_they_are_edited(tmp_path, smile):
    from PIL import Image

    torch.manual_seed(3)
    model = tmp_path / "face-flex.safetensors"
    identity = save_network(FaceFlex(FaceFlexConfig(8, 20)).eval(), model)
    photo = tmp_path / "photo.png"
    Image.fromarray(smile).save(photo)
    (face,) = find_faces(smile)
    records = [Record(photo, "folder", points=face.points)]
    built = encode_records(records, str(model), tmp_path / "cache", jobs=1)
    method = AttributeVectorMethod(model)
    info = AttributeInfo(9, 9, 1.0, None, 1.0, "mean")
    rows = np.ones((1, 20), np.float32)
    method.__dict__["vectors"] = AttributeVectors({"A": rows}, {"A": info}, identity)
    faces = align_faces(smile, [face])
    (code,) = method.encode(faces, smile)
    assert np.allclose(built.plain[0], code.latent, atol=1e-5)
    assert np.allclose(built.points[0], faces[0].landmarks, atol=1e-3)


def test_an_editors_parts_travel_to_other_processes_without_their_models():
    method = make_method(options=MethodOptions(seed=4))
    again = pickle.loads(pickle.dumps(method))
    assert again is pickle.loads(pickle.dumps(method))
    assert again.fingerprints == method.fingerprints
    finder = FaceFinder(min_score=0.3)
    assert pickle.loads(pickle.dumps(finder)).min_score == 0.3
    assert len(pickle.dumps((method, finder, Composer()))) < 2000


def test_variants_are_drawn_for_the_swept_control_alone():
    method = make_method()
    usual = {n: method.vectors.mean(n) for n in ("Smiling", "Young")}
    shot = Shot((("Smiling", 1.0), ("Young", 1.0)), variant=2, varied=("Smiling",))
    assert np.array_equal(method._steps._vector("Young", shot), usual["Young"])
    assert not np.array_equal(method._steps._vector("Smiling", shot), usual["Smiling"])
    everything = Shot(shot.settings, variant=2)
    assert not np.array_equal(method._steps._vector("Young", everything), usual["Young"])
    with pytest.raises(UsageError, match="variants 1 to 25"):
        method._steps._vector("Smiling", Shot(shot.settings, variant=26))


def test_settings_are_resolved_once_and_twice_is_refused():
    method = make_method()
    assert method.resolve({"smiling": 1, "high-cheekbones": 0.5}) == (
        ("Smiling", 1.0),
        ("High_Cheekbones", 0.5),
    )
    with pytest.raises(UsageError, match="set twice"):
        method.resolve({"smiling": 1, "Smiling": 2})
