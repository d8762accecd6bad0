"""Face Flex's files: hostile pickles, odd state dicts, and an edit with the imported model."""

from __future__ import annotations

import io
import os
import pickle

import joblib
import numpy as np
import pytest
import torch

from faceflex.errors import AssetError
from faceflex.faces.align import SIZE, face_flex_matrix, scale_of, template, transform_points
from faceflex.methods.face_flex_import import import_weights, read_versions
from faceflex.models.face_flex import FaceFlex, FaceFlexConfig
from faceflex.models.pickles import read_pickled_arrays


@pytest.fixture(scope="module")
def means():
    """Group means as Face Flex keeps them."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(0, 0.3, (2, 25, 500)).astype(np.float32)
    return {"pos": list(drawn[0]), "neg": list(drawn[1])}


def published(width=128):
    """Return a random state dict with the names and shapes of Face Flex's published one."""
    w = width
    encoder, decoder = [3, w, 2 * w, 4 * w, 8 * w, 8 * w], [16 * w, 8 * w, 4 * w, 2 * w, w]
    shapes = {
        "fc1": (500, 128 * w),
        "fc2": (500, 128 * w),
        "d1": (256 * w, 500),
        "d6": (3, w, 3, 3),
    }
    shapes |= {f"e{i + 1}": (encoder[i + 1], encoder[i], 4, 4) for i in range(5)}
    shapes |= {f"d{i + 2}": (decoder[i + 1], decoder[i], 3, 3) for i in range(4)}
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = torch.randn(shape) / np.prod(shape[1:]) ** 0.5
        state[f"{name}.bias"] = torch.zeros(shape[0])
    for i, channels in enumerate(encoder[1:] + decoder[1:], start=1):
        state[f"bn{i}.weight"], state[f"bn{i}.bias"] = torch.ones(channels), torch.zeros(channels)
        state[f"bn{i}.running_mean"] = torch.zeros(channels)
        state[f"bn{i}.running_var"] = torch.ones(channels)
        state[f"bn{i}.num_batches_tracked"] = torch.tensor(7)
    return state


def test_face_flexs_files_become_ours_and_edit_a_photo(tmp_path, run, means, smile):
    from PIL import Image

    torch.manual_seed(0)
    torch.save(published(32), tmp_path / "weights.pth")
    joblib.dump(means, tmp_path / "Smiling.pkl")
    done = run("import", "face-flex", "weights.pth", "Smiling.pkl")
    assert done.returncode == 0, done.stderr
    Image.fromarray(smile).save(tmp_path / "photo.png")
    files = ("--model", "face-flex.safetensors", "--vectors", "face-flex-vectors.safetensors")
    done = run("edit", "photo.png", "--attr", "Smiling", "--range", 0, 6, 5, *files, "--out", "o")
    assert done.returncode == 0, done.stderr
    zero, five = (
        np.asarray(Image.open(tmp_path / "o" / "sample-1" / f"{p}-Smiling.png")) for p in (0, 5)
    )
    assert np.array_equal(zero, smile)
    assert (five != smile).any()
    again = run("import", "face-flex", "weights.pth", "Smiling.pkl")
    assert again.returncode == 2
    assert "exists" in again.stderr


def test_its_parts_have_the_published_names_and_shapes():
    with torch.device("meta"):
        ours = {k: v.shape for k, v in FaceFlex().state_dict().items()}
        theirs = {k: v.shape for k, v in published().items()}
    assert ours == {k: v for k, v in theirs.items() if "running" not in k and "tracked" not in k}
    assert sum(v.numel() for v in theirs.values()) == pytest.approx(86e6, rel=0.02)


def test_batch_statistics_are_those_of_one_face():
    torch.manual_seed(1)
    ours, theirs = FaceFlex(FaceFlexConfig(8, 20)), torch.nn.BatchNorm2d(8).train()
    x = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        h = ours.e1(x)
        assert torch.allclose(ours.bn1(h), theirs(h), atol=1e-5)
        two = torch.cat([x, torch.rand(1, 3, 128, 128)])
        assert torch.allclose(ours.encode(two)[:1], ours.encode(x), atol=1e-4)
        assert ours.decode(ours.encode(x)).shape == (1, 3, 128, 128)


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "nan", "text"])
def test_other_state_dicts_are_refused(tmp_path, change):
    state = published(8)
    if change == "missing":
        del state["d3.bias"]
    elif change == "extra":
        state["d9.weight"] = torch.zeros(3)
    elif change == "shape":
        state["e2.weight"] = torch.zeros(3, 3)
    elif change == "nan":
        state["fc1.bias"][3] = float("nan")
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    if change == "text":
        path.write_text("no weights")
    with pytest.raises(AssetError, match=r"weights\.pth: (not Face Flex's|has numbers)") as caught:
        import_weights(path, tmp_path / "out.safetensors")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists()


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_hostile_pickles_run_nothing(tmp_path, protocol):
    path, proof = tmp_path / "Smiling.pkl", tmp_path / "proof"
    path.write_bytes(pickle.dumps({"pos": [Hostile(f"touch {proof}")]}, protocol))
    with pytest.raises(AssetError, match=r"asks for \w+\.system"):
        read_pickled_arrays(path)
    assert not proof.exists()


def test_weights_that_are_hostile_run_nothing(tmp_path):
    path, proof = tmp_path / "weights.pth", tmp_path / "proof"
    torch.save({"e1.weight": Hostile(f"touch {proof}")}, path)
    with pytest.raises(AssetError, match="not Face Flex's weights"):
        import_weights(path, tmp_path / "out")
    assert not proof.exists()


def test_pickles_by_numpy_and_by_joblib_are_read(tmp_path, means):
    joblib.dump(means, tmp_path / "a.pkl")
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(means))
    one, two = (read_versions(tmp_path / f"{n}.pkl") for n in "ab")
    assert one.shape == (25, 500)
    assert np.array_equal(one, two)
    assert np.array_equal(one[3], means["pos"][3] - means["neg"][3])


@pytest.mark.parametrize("cut", [0, 1, 50, 900, -3])
def test_damaged_pickles_are_refused_in_one_line(tmp_path, means, cut):
    path = tmp_path / "a.pkl"
    joblib.dump(means, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(AssetError, match=r"a\.pkl") as caught:
        read_versions(path)
    assert "\n" not in str(caught.value)


def test_arrays_of_objects_and_other_shapes_are_refused(tmp_path):
    objects = np.array([Hostile("true"), 1], dtype=object)
    buffer = io.BytesIO()
    pickle.dump({"pos": objects}, buffer)
    for number, data in enumerate(
        (buffer.getvalue(), pickle.dumps([1, 2]), pickle.dumps({"pos": 3}))
    ):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(data)
        with pytest.raises(AssetError):
            read_versions(path)


def test_its_crop_is_level_and_holds_the_face():
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    points = template() @ turn.T * 3 + [400, 300]
    matrix = face_flex_matrix(points)
    inside = transform_points(matrix, points)
    eyes = [inside[36:42].mean(axis=0), inside[42:48].mean(axis=0)]
    assert abs(eyes[0][1] - eyes[1][1]) < 0.01
    assert inside.min() > 5
    assert inside.max() < SIZE - 5
    across, down = inside[16, 0] - inside[0, 0], inside[8, 1] - inside[24, 1]
    assert max(across, down) == pytest.approx(SIZE / 1.6, rel=1e-4)
    assert scale_of(matrix) < 1
