"""Model, vector and landmark files from anywhere: refused in one line before they do harm."""

from __future__ import annotations

import json
import pickle
import struct
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from faceflex import make_editor
from faceflex.assets import resolve
from faceflex.errors import AssetError
from faceflex.faces import Face
from faceflex.faces.dlib_format import read_predictor
from faceflex.faces.landmarks import LandmarkModel
from faceflex.methods.face_flex_import import import_weights
from faceflex.methods.vectors import AttributeVectors
from faceflex.models.attribute_classifier import (
    AttributeClassifier,
    ClassifierConfig,
    load_classifier,
)
from faceflex.models.checkpoint import Unmade, load_vae, save_network
from faceflex.models.pickles import read_pickled_arrays
from faceflex.models.vae import VAE, VAEConfig
from faceflex.tensors import read_arrays, read_metadata

SMALL = VAEConfig(128, 6, (16, 16, 16), 4, (16, 16, 16, 16))


def refuses(read, path, reason):
    """Check that reading is refused, in one line that names the file, with little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(AssetError) as caught:
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    assert text.startswith(f"{path}: ")
    assert reason in text
    assert peak < 100_000_000


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A whole model file with few numbers."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    torch.manual_seed(0)
    save_network(VAE(SMALL), path)
    return path


def changed(source, target, *, metadata=None, arrays=None):
    """Copy a file of arrays with other metadata or other arrays."""
    kept = read_metadata(source, KINDS, "file")
    save_file(load_file(source) | (arrays or {}), target, kept | (metadata or {}))
    return target


KINDS = ("faceflex-vae-1", "faceflex-vectors-1", "faceflex-trees-1", AttributeClassifier.kind)


@pytest.mark.parametrize(
    "config",
    [
        {"latent": 10**9},
        {"size": 10**6},
        {"size": 64},
        {"encoder": [16 * 10**7] * 3},
        {"encoder": [10**30] * 3},
        {"decoder": [1]},
        {"encoder": "wide"},
        {"bottleneck": -4},
        {"latent": 1e400},
        {"colour": 3},
    ],
)
def test_a_shape_that_the_file_does_not_have_is_refused_before_memory_is_taken(
    small, tmp_path, config
):
    shape = json.dumps({**vars(SMALL), **config})
    path = changed(small, tmp_path / "m.safetensors", metadata={"config": shape})
    refuses(load_vae, path, "damaged or foreign face model")


@pytest.mark.parametrize(
    "config", ["[1]", "3", "null", "", "{", "[" * 100_000, '{"latent": ' + "9" * 5000 + "}"]
)
def test_metadata_that_is_no_configuration_is_refused(small, tmp_path, config):
    path = changed(small, tmp_path / "m.safetensors", metadata={"config": config})
    refuses(load_vae, path, "damaged or foreign face model")


def test_networks_made_for_a_file_are_filled_by_it_alone(small):
    with Unmade():
        made = VAE(VAEConfig(latent=10**9))
    assert made.linear.basis.shape == (10**9, 12288)
    assert made.linear.basis.untyped_storage().nbytes() == 4
    model, _ = load_vae(small)
    torch.manual_seed(0)
    for (name, ours), theirs in zip(
        model.state_dict().items(), VAE(SMALL).state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs.half().float()), name
        assert ours.untyped_storage().nbytes() == 4 * ours.numel()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused(small, tmp_path, kind, value):
    with np.errstate(over="ignore"):
        mean = np.full(12288, 0.5).astype(kind)
        mean[77] = value
    path = changed(small, tmp_path / "m.safetensors", arrays={"linear.mean": mean})
    refuses(load_vae, path, "linear.mean is not finite")


def test_weights_that_lead_beyond_all_numbers_are_told(tmp_path, small, smile):
    large = {"decoder.inlet.bias": np.full(512, 6e4, np.float16),
             "decoder.mix16.weight": np.full((16, 200, 1, 1), 3e38, np.float32)}  # fmt: skip
    path = changed(small, tmp_path / "m.safetensors", arrays=large)
    made = AttributeVectors.load(resolve("vectors"))
    info = {"Smiling": made.info["Smiling"]}
    identity = read_metadata(path, KINDS, "file")["id"]
    for width, reason in ((6, "its faces are not finite"), (7, "7 numbers a vector")):
        vectors = tmp_path / f"{width}.safetensors"
        AttributeVectors({"Smiling": np.ones((2, width))}, info, identity).save(vectors)
        editor = make_editor(model=str(path), vectors=str(vectors), device="cpu")
        points = np.float32(np.random.default_rng(0).uniform(300, 600, (68, 2)))
        with pytest.raises(AssetError, match=reason):
            editor.open(smile, faces=[Face(1, (300, 300, 600, 600), 1.0, points)])


def lying(tensors, body, length=None):
    """Return a safetensors file with this header."""
    head = json.dumps({"__metadata__": {"kind": "faceflex-vae-1"}, **tensors}).encode()
    return struct.pack("<Q", len(head) if length is None else length) + head + body


def tensor(shape, start, end, kind="F16"):
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\xff" * 100,
        lying({}, b"", 2**63),
        lying({}, b"", 3),
        lying({"a": tensor([2], 0, 4)}, b""),
        lying({"a": tensor([2], 4, 8)}, bytes(8)),
        lying({"a": tensor([2], 0, 4), "b": tensor([2], 2, 6)}, bytes(6)),
        lying({"a": tensor([10**12, 10**12], 0, 4)}, bytes(4)),
        lying({"a": tensor([2**62, 4], 0, 0)}, b""),
        lying({"a": tensor([2], 0, 4, "X9")}, bytes(4)),
        lying({"a": tensor([4], 0, 4, "F32")}, bytes(4)),
        lying({"a": tensor([-2], 0, 4)}, bytes(4)),
        lying({"a": tensor([2], 4, 0)}, bytes(4)),
        lying({"a": tensor([2], 0, 4, "BF16")}, bytes(4)),
        lying({"a": 3}, bytes(4)),
        lying({f"{n}": tensor([0], 0, 0) for n in range(10_001)}, b""),
        struct.pack("<Q", 100_000) + b'{"a":' * 20_000,
    ],
)
def test_headers_that_lie_are_refused(tmp_path, data):
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    refuses(load_vae, path, "damaged or foreign face model")


def test_files_too_large_are_refused_unread(tmp_path):
    path = tmp_path / "m.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 34)
    refuses(load_vae, path, "17,179,869,184 bytes")


def test_pickles_under_a_models_name_point_to_the_importer(tmp_path):
    path = tmp_path / "m.safetensors"
    torch.save({"e1.weight": torch.zeros(3)}, path)
    refuses(load_vae, path, "a pickle, which could run anything; for Face Flex's files see")
    path.write_bytes(pickle.dumps([1]))
    refuses(AttributeVectors.load, path, "not a vector file but a pickle")


def test_files_of_another_kind_say_what_they_are():
    judge, vectors = resolve("judge"), resolve("vectors")
    refuses(load_vae, judge, "not a face model (its kind is 'faceflex-judge-1')")
    refuses(load_classifier, vectors, "its kind is 'faceflex-vectors-1'")
    refuses(LandmarkModel, vectors, "its kind is 'faceflex-vectors-1'")
    refuses(lambda p: AttributeVectors.load(p, "0" * 16), vectors, "belong to model")


@pytest.mark.parametrize(
    "config", [{"size": 10**9}, {"size": 0}, {"names": ["a/b"] * 40}, {"names": ["a"] * 40}]
)
def test_a_judge_of_absurd_size_or_names_is_refused(tmp_path, config):
    source = resolve("judge")
    shape = json.loads(read_metadata(source, KINDS, "judge")["config"]) | config
    assert set(shape) == set(ClassifierConfig.__dataclass_fields__)
    path = changed(source, tmp_path / "j.safetensors", metadata={"config": json.dumps(shape)})
    refuses(load_classifier, path, "damaged or foreign attribute judge")


@pytest.fixture(scope="module")
def one_vector(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "v.safetensors"
    info = replace(AttributeVectors.load(resolve("vectors")).info["Smiling"], success=None)
    AttributeVectors({"Smiling": np.ones((2, 5))}, {"Smiling": info}, "m").save(path)
    return path


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Smiling", {"gap": "wide"}),
        ("Smiling", {"gap": 1e400}),
        ("Smiling", {"auc": [1]}),
        ("Smiling", {"positive": -1}),
        ("Smiling", {"positive": True}),
        ("Smiling", {"agreement": None}),
        ("Smiling", {"estimator": "\x1b[2J"}),
        ("Smiling", {"more": 1}),
        ("../../Smiling", {}),
        ("Smi\x1b[31mling", {}),
        ("S" * 101, {}),
    ],
)
def test_vectors_that_say_nonsense_of_themselves_are_refused(one_vector, tmp_path, name, fields):
    metadata = read_metadata(one_vector, KINDS, "vectors")
    info = json.loads(metadata["info"])["Smiling"]
    text = json.dumps({name: info | fields})
    path = tmp_path / "v.safetensors"
    save_file({name: np.ones((2, 5), np.float16)}, path, metadata | {"info": text})
    refuses(AttributeVectors.load, path, "damaged or foreign vector file")


@pytest.mark.parametrize(
    "array", [np.ones((2, 4)), np.ones(5), np.ones((1, 5)), np.ones((1, 1, 5))]
)
def test_vectors_of_other_shapes_are_refused(one_vector, tmp_path, array):
    path = tmp_path / "v.safetensors"
    changed(one_vector, path, arrays={"readers of the latent": array.astype(np.float16)})
    refuses(AttributeVectors.load, path, "damaged or foreign vector file")


def trees(path, **changes):
    """Write a small landmark predictor with other parts; return its path."""
    rng = np.random.default_rng(0)
    parts = {
        "initial": rng.uniform(0, 1, (68, 2)).astype(np.float16),
        "anchors": np.zeros((2, 3), np.uint8),
        "deltas": np.zeros((2, 3, 2), np.float16),
        "features": np.zeros((2, 4, 3, 2), np.uint16),
        "thresholds": np.zeros((2, 4, 3), np.float16),
        "leaves": np.zeros((2, 4, 4, 136), np.int8),
        "scales": np.zeros((2, 136), np.float32),
    }
    found = {k: changes.get(k, lambda v: v)(v) for k, v in parts.items()}
    save_file({k: v for k, v in found.items() if v is not None}, path,
              {"kind": "faceflex-trees-1"})  # fmt: skip
    return path


def filled(value, kind=None):
    return lambda v: np.full(v.shape, value, kind or v.dtype)


def test_a_small_landmark_predictor_works(tmp_path):
    path = trees(tmp_path / "l.safetensors")
    assert LandmarkModel(path).predict_frame(np.zeros((192, 192, 3), np.uint8)).shape == (68, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": filled(3)},
        {"features": filled(-1, np.int16)},
        {"features": filled(0, np.float32)},
        {"anchors": filled(68)},
        {"anchors": filled(-5, np.int8)},
        {"anchors": lambda v: np.zeros((3, 3), np.uint8)},
        {"deltas": filled(6e4)},
        {"initial": filled(0.5)},
        {"initial": lambda v: v[:5].copy()},
        {"scales": filled(1e30)},
        {"scales": lambda v: v[:1].copy()},
        {"thresholds": filled(1, np.int32)},
        {"leaves": filled(0, np.uint8)},
        {"leaves": lambda v: v[:, :, :3].copy()},
        {"leaves": lambda _: None},
        {"features": lambda v: v[:, :0].copy()},
    ],
)
def test_landmark_trees_that_lead_outside_are_refused(tmp_path, changes):
    path = trees(tmp_path / "l.safetensors", **changes)
    refuses(LandmarkModel, path, "damaged or foreign landmark predictor")


@pytest.mark.parametrize("data", [b"", b"\1\1", bytes(5000), b"\1\1" + b"\x87" + b"\xff" * 3000])
def test_dlib_files_that_lie_are_refused(tmp_path, data):
    path = tmp_path / "l.dat"
    path.write_bytes(data)
    refuses(LandmarkModel, path, "landmark")
    with pytest.raises(ValueError, match=r"shape predictor|dlib object|array"):
        read_predictor(data)


def dlib_file(anchor=67, pixel=1, leaves=2, deltas=2, cut=None):
    """Return a predictor of 68 points with one tree, as dlib writes it."""

    def n(value):
        size = max(1, (abs(value).bit_length() + 7) // 8)
        return bytes([size | 0x80 * (value < 0)]) + abs(value).to_bytes(size, "little")

    matrix = n(-136) + n(-1) + b"".join(n(k % 9) + n(0) for k in range(136))
    tree = n(1) + n(0) + n(pixel) + n(1) + n(0) + n(leaves) + matrix * leaves
    pool = n(1) + n(2) + n(anchor) + n(0) + n(1) + n(deltas) + (n(0) + n(0)) * 4
    return (n(1) + matrix + n(1) + n(1) + tree + pool)[:cut]


@pytest.mark.parametrize(
    "changes",
    [{"anchor": 68}, {"anchor": 10**9}, {"anchor": -1}, {"pixel": 2}, {"pixel": 10**9},
     {"pixel": -3}, {"leaves": 1}, {"leaves": 3}, {"deltas": 1}, {"deltas": 10**6}, {"cut": -3}],
)  # fmt: skip
def test_dlib_trees_that_lead_outside_never_reach_dlib(tmp_path, changes):
    path = tmp_path / "l.dat"
    path.write_bytes(dlib_file(**changes))
    refuses(LandmarkModel, path, "not a landmark predictor of dlib's")
    path.with_name("good.dat").write_bytes(dlib_file())
    good = LandmarkModel(path.with_name("good.dat"))
    assert good.predict_frame(np.zeros((192, 192, 3), np.uint8)).shape == (68, 2)


def test_dlib_points_that_cannot_be_are_refused():
    # Two points, one tree with one split, one anchor: point -4.
    data = bytes.fromhex(
        "0101" "8104" "8101" + "010100" * 4 + "0101" "0101"
        "0101" "00" "0101" "010100" "0102" + ("8104" "8101" + "010100" * 4) * 2
        + "0101" "0101" "8104" "0101" "0101" "010100" "010100"
    )  # fmt: skip
    with pytest.raises(ValueError, match="out of range"):
        read_predictor(data)


@pytest.mark.parametrize("exponent", [b"\4\xff\xff\xff\x7f", b"\2\x00\x40"])
def test_dlib_numbers_beyond_all_bounds_are_refused(exponent):
    with pytest.raises(ValueError, match="out of range"):
        read_predictor(b"\1\1\1\1\1\1\1\1" + exponent)


def test_tensors_that_repeat_without_end_are_refused_at_import(tmp_path):
    path = tmp_path / "weights.pth"
    huge = torch.zeros(1).expand(10**9, 3)
    torch.save({"e1.weight": huge, "fc1.weight": torch.zeros(5, 5)}, path)
    refuses(lambda p: import_weights(p, tmp_path / "out"), path, "not Face Flex's weights")


class Call:
    """Pickles as a call."""

    def __init__(self, function, *words, state=None):
        self.parts = (function, words) if state is None else (function, words, state)

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize(
    "value",
    [
        Call(np.ndarray, (10**12,)),
        Call(np._core.multiarray._reconstruct, np.ndarray, (10**12,), b"b"),
        Call(np._core.multiarray._reconstruct, np.ndarray, (0,), b"b", state=(1, (9,), 3, 0, b"")),
        Call(np.dtype, "O"),
        Call(np.dtype, [("a", "i4")]),
        Call(np.dtype, "V99999999"),
        Call(np.dtype, "i4", state=(3, "<", None, ("a",), {"a": 3}, 9999, 1, 0)),
        Call(np._core.multiarray.scalar, np.dtype("f8"), b"12"),
    ],
)
def test_pickles_that_ask_numpy_for_what_it_would_not_write_are_refused(tmp_path, value):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"pos": [value]}))
    refuses(read_pickled_arrays, path, "not a pickle of arrays alone")


def test_a_bytearray_of_any_length_is_refused_unmade(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x96" + struct.pack("<Q", 1 << 33) + b".")
    refuses(read_pickled_arrays, path, "asks for a bytearray")


def test_arrays_of_either_byte_order_are_read_from_pickles(tmp_path):
    path = tmp_path / "a.pkl"
    values = {"a": np.arange(6, dtype=">f4").reshape(2, 3), "b": np.float64(2), "c": np.array([3])}
    path.write_bytes(pickle.dumps(values))
    found = read_pickled_arrays(path)
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in values.items()}


def test_other_files_of_arrays_are_read_once_and_whole(small):
    arrays, metadata = read_arrays(small, "faceflex-vae-1", "face model")
    assert metadata["kind"] == "faceflex-vae-1"
    for name, array in load_file(small).items():
        np.testing.assert_array_equal(arrays[name], array)
