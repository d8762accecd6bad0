"""The conditional adversarial autoencoder, VGG-Face, AffectNet's layouts and the regressors."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from scipy.io import savemat

from faceflex.assets import resolve
from faceflex.data.affectnet import read_affectnet, share_of
from faceflex.data.cache import WIDE, AlignedCache
from faceflex.data.readers import read_any
from faceflex.errors import AssetError, UsageError
from faceflex.faces import find_faces
from faceflex.faces.align import align
from faceflex.methods.affect_plane import KIND, AffectPlane
from faceflex.models.affect_regressor import AffectConfig, AffectRegressor, load_affect_regressor
from faceflex.models.caae import CAAE, CONFIGURATIONS, CAAEConfig
from faceflex.models.caae_discriminators import ImageDiscriminator2019, PriorDiscriminator
from faceflex.models.checkpoint import load_network, save_network
from faceflex.models.vgg_face import LAYERS, read_vgg_face
from faceflex.tensors import read_metadata
from faceflex.train.affect import AffectObjective, AffectTraining
from faceflex.train.caae import PUBLISHED, CAAEObjective, CAAETraining
from faceflex.train.loop import Trainer
from faceflex.train.plane import PARTS, labelled_faces


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_the_published_networks_have_the_published_sizes():
    config = CONFIGURATIONS["caae-2019"]
    network = CAAE(config)
    # Kernels of 5x5 and biases, layer by layer, as the paper and its code give them.
    encoder = [3 * 64, 64 * 128, 128 * 256, 256 * 512]
    assert count(network.encoder) == 25 * sum(encoder) + 960 + 512 * 6 * 6 * 50 + 50
    assert network.generator.linear.weight.shape == (1024 * 6 * 6, 150)
    generator = [1024 * 512, 512 * 256, 256 * 128, 128 * 64, 64 * 32, 32 * 3]
    biases = 1024 * 6 * 6 + 512 + 256 + 128 + 64 + 32 + 3
    assert count(network.generator) == 25 * sum(generator) + 150 * 1024 * 6 * 6 + biases
    image = ImageDiscriminator2019(config)
    assert image.body[0].weight.shape == (32, 16 + 16 + 16, 5, 5)
    assert image.linear.weight.shape == (1024, 128 * 6 * 6)
    assert [m.out_features for m in PriorDiscriminator(50).body if hasattr(m, "out_features")] == [
        64,
        32,
        16,
        1,
    ]
    pictures, codes = network(torch.zeros(2, 3, 96, 96), torch.zeros(2, 2))
    assert pictures.shape == (2, 3, 96, 96)
    assert codes.shape == (2, 50)
    assert image(pictures, torch.zeros(2, 2)).shape == (2, 1)


@pytest.fixture(scope="module")
def plane_cache(portrait, smile):
    """Two people, one of whom smiles, under names of all parts of AffectNet."""
    crops = [align(p, find_faces(p)[0].points, 4).crop for p in (portrait.rgb, smile)] * 20
    names = [f"{i}.jpg" for i in range(40)]
    labels = [
        {"valence": 0.7 if i % 2 else -0.4, "arousal": 0.3 if i % 4 else -0.2, "expression": i % 2}
        for i in range(40)
    ]
    return AlignedCache(
        np.stack(crops),
        np.zeros((40, WIDE, WIDE), np.uint8),
        np.zeros((40, 68, 2), np.float32),
        names,
        ["affectnet"] * 40,
        np.array([share_of(n) == 0 for n in names]),
        labels,
    )


def test_no_part_sees_another_parts_faces(plane_cache):
    parts = [set(labelled_faces(plane_cache, part).tolist()) for part in PARTS]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts)) == 40


def resumed_like_unbroken(make, folder):
    """Train four steps unbroken, and two and two; return the trainer whose weights agree."""
    unbroken, stopped = make(folder / "unbroken"), make(folder / "stopped")
    unbroken.run()

    def stop(step, _steps, _values):
        if step == 2:
            stopped.save()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.run(stop)
    resumed = make(folder / "stopped")
    resumed.run()
    for name, value in unbroken.ema.items():
        assert torch.equal(value, resumed.ema[name]), name
    return unbroken


@pytest.fixture(scope="module")
def regressor():
    torch.manual_seed(0)
    return AffectRegressor(AffectConfig("attributes", 32)).eval()


@pytest.mark.parametrize("design", ["2019", "film"])
def test_a_stopped_autoencoder_goes_on_to_the_same_result(
    plane_cache, regressor, tmp_path, monkeypatch, design
):
    monkeypatch.setitem(CONFIGURATIONS, "small", CAAEConfig(design, 32, 8, (8, 16)))
    published = design == "2019"
    config = replace(
        PUBLISHED if published else CAAETraining(),
        configuration="small",
        steps=4,
        batch=4,
        identity=0.0,
        precision="float32",
    )

    def make(out):
        return Trainer(CAAEObjective(plane_cache, config, regressor=regressor), out)

    resumed_like_unbroken(make, tmp_path)
    with (tmp_path / "unbroken" / "losses.csv").open() as file:
        terms = set(next(csv.DictReader(file)))
    assert {"reconstruction", "adversary", "prior", "discriminator"} <= terms
    assert ("place" in terms) is not published


def test_an_autoencoder_edits_photos(run, png, tmp_path):
    torch.manual_seed(0)
    save_network(CAAE(CAAEConfig("film", 64, 8, (8, 16))), tmp_path / "m.safetensors")
    done = run("edit", png, "--valence", "0.5", "--model", "m.safetensors", "-o", "o.png", "--json")
    assert done.returncode == 0, done.stderr
    assert '"autoencoder"' in done.stdout


def test_terms_without_their_network_are_refused(plane_cache):
    with pytest.raises(UsageError, match="`identity`: this loss needs VGG-Face"):
        CAAEObjective(plane_cache, CAAETraining())
    with pytest.raises(UsageError, match="`place`: this loss needs a regressor"):
        CAAEObjective(plane_cache, CAAETraining(identity=0.0))


def test_a_regressor_is_trained_measured_and_resumed(plane_cache, tmp_path):
    config = AffectTraining(steps=4, batch=8, precision="float32")

    def make(out):
        return Trainer(AffectObjective(plane_cache, "edits", config), out)

    trainer = resumed_like_unbroken(make, tmp_path)
    metrics = trainer.objective.metrics(trainer.averaged())["held_out"]
    assert -1 <= metrics["valence"]["ccc"] <= 1
    loaded = load_affect_regressor(tmp_path / "unbroken" / "model.safetensors")
    assert loaded.estimate(plane_cache.crops([0, 1])).shape == (2, 2)


def matconvnet(path, layers=LAYERS, inside=3):
    """Write a file in MatConvNet's form: delta kernels, that pass their input on."""
    cells = np.empty((1, 2 * len(layers)), object)
    for k, (name, outside) in enumerate(layers):
        kernel = np.zeros((3, 3, inside, outside), np.float32)
        kernel[1, 1, range(min(inside, outside)), range(min(inside, outside))] = 1
        weights = np.empty((1, 2), object)
        weights[0, 0], weights[0, 1] = kernel, np.zeros((1, outside), np.float32)
        cells[0, 2 * k] = {"name": name, "type": "conv", "weights": weights, "stride": [1, 1]}
        cells[0, 2 * k + 1] = {"name": f"relu{name[4:]}", "type": "relu"}
        inside = outside
    savemat(path, {"layers": cells, "meta": {"classes": 1}}, do_compression=True)
    return path


def test_vgg_face_is_read_from_matconvnets_file(tmp_path):
    network = read_vgg_face(matconvnet(tmp_path / "vgg-face.mat"))
    assert [c.weight.shape[0] for c in network.convs.values()] == [n for _, n in LAYERS]
    maps = network.maps(torch.ones(1, 3, 96, 96))
    assert [m.shape[1:] for m in maps] == [
        (64, 224, 224),
        (128, 112, 112),
        (256, 56, 56),
        (512, 28, 28),
        (512, 14, 14),
    ]
    # White less the mean face, passed on by delta kernels.
    assert torch.allclose(maps[0][0, :3, 9, 9], 255 - torch.tensor([129.1863, 104.7624, 93.594]))
    assert torch.allclose(maps[-1][0, :3, 5, 5], maps[0][0, :3, 9, 9])


def test_other_mat_files_are_told_in_one_line(tmp_path, run):
    path = tmp_path / "vgg-face.mat"
    savemat(path, {"x": [1]})
    with pytest.raises(AssetError, match="not VGG-Face as MatConvNet distributes it"):
        read_vgg_face(path)
    narrow = (("conv1_1", 32), *LAYERS[1:2])
    matconvnet(path, narrow)
    with pytest.raises(AssetError, match="not VGG-Face"):
        read_vgg_face(path)
    path.write_bytes(b"no matrix")
    done = run("train", "caae", "x", "--out", "o", "--vgg-face", "vgg-face.mat")
    assert done.returncode == 1
    assert "vgg-face.mat: not VGG-Face" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture
def picture(small_portrait, tmp_path):
    """Make AffectNet's pictures: (folder, name) -> a file."""
    small = cv2.resize(small_portrait, (160, 160), interpolation=cv2.INTER_AREA)

    def make(folder, name):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small).save(path)
        return path

    return make


POINTS = ";".join(f"{i}.5;{i}" for i in range(68))


def test_affectnet_is_read_as_first_released(picture, tmp_path):
    for name in ("1/a.jpg", "1/b.jpg", "2/c.jpg", "2/d.jpg"):
        picture("Manually_Annotated_Images", name)
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
    rows = [f"1/a.jpg,0,0,9,9,{POINTS},1,0.5,-0.25", f"1/b.jpg,0,0,9,9,{POINTS},8,-2,-2"]
    text = header + "expression,valence,arousal\n" + "\n".join(rows)
    (tmp_path / "training.csv").write_text(text)
    # The validation table came without a header.
    rows = [f"2/c.jpg,0,0,9,9,{POINTS},6,-0.5,0.5", f"2/d.jpg,0,0,9,9,{POINTS},9,-0.1,0.5"]
    (tmp_path / "validation.csv").write_text("\n".join(rows) + "\n")
    records = list(read_any(tmp_path))
    assert [r.path.name for r in records] == ["a.jpg", "c.jpg", "d.jpg"]
    assert [r.held_out for r in records] == [False, True, True]
    assert records[1].labels == {"valence": -0.5, "arousal": 0.5, "expression": 6.0}
    assert records[2].labels == {"valence": -0.1, "arousal": 0.5}
    assert records[0].points.shape == (68, 2)
    assert records[0].points[3].tolist() == [3.5, 3.0]


def test_affectnet_is_read_as_later_released(picture, tmp_path):
    for k, (valence, arousal) in enumerate([(0.5, -0.3), (-0.5, 0.3), (-2.0, -2.0)]):
        picture("images", f"{k}.jpg")
        folder = tmp_path / "annotations"
        folder.mkdir(exist_ok=True)
        for name, value in (("val", valence), ("aro", arousal), ("exp", k)):
            np.save(folder / f"{k}_{name}.npy", np.array(value))
    records = list(read_any(tmp_path))
    assert [r.labels["valence"] for r in records] == [0.5, -0.5]
    assert records[0].points is None


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["a.jpg,0,0.5,0.1", "b.jpg,0,0.2,-0.1"], "no face has a negative valence"),
        (["a.jpg,0,0.5,0.1", "c.jpg,0,-0.2,-0.1"], "labels.csv: line 3: .*c.jpg: no such picture"),
        (["a.jpg,0,0.5,high"], "line 2: valence and arousal are not numbers"),
        (["a.jpg,0,5,0.1"], "line 2: valence 5, arousal 0.1: not in"),
        (["a.jpg,0,-2,-2"], "no row is a face with valence and arousal"),
    ],
)
def test_labels_that_cannot_be_used_are_told(picture, tmp_path, rows, told):
    for name in ("a.jpg", "b.jpg"):
        picture("images", name)
    table = "\n".join(["image,expression,valence,arousal", *rows])
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(UsageError, match=told):
        list(read_affectnet(tmp_path))


@pytest.mark.parametrize(
    ("arrays", "metadata"),
    [
        ({"surface": np.zeros((4, 636), np.float16)}, {}),
        ({"neutral": np.zeros((67, 2), np.float16)}, {}),
        ({"places": np.full((6, 2), 3, np.float16)}, {}),
        ({}, {"width": "0"}),
        ({}, {"names": '["a/b"]'}),
        ({}, {"names": "3"}),
    ],
)
def test_planes_whose_parts_do_not_fit_are_refused(tmp_path, arrays, metadata):
    source = resolve("affect-plane")
    kept = read_metadata(source, KIND, "plane")
    save_file(load_file(source) | arrays, tmp_path / "p.safetensors", kept | metadata)
    with pytest.raises(AssetError, match="damaged or foreign plane of valence and arousal"):
        AffectPlane.load(tmp_path / "p.safetensors")


def test_a_plane_of_another_model_is_refused():
    with pytest.raises(AssetError, match=r"to model .* fit one for it with: faceflex train"):
        AffectPlane.load(resolve("affect-plane"), "0" * 16)


@pytest.mark.parametrize(
    ("network", "config"),
    [
        (AffectRegressor, {"size": 10**6}),
        (AffectRegressor, {"backbone": "brain"}),
        (AffectRegressor, {"expressions": -1}),
        (CAAE, {"widths": [10**9] * 5}),
        (CAAE, {"size": 100}),
        (CAAE, {"design": "x"}),
    ],
)
def test_networks_of_absurd_shapes_are_refused(tmp_path, network, config):
    shape = asdict(network.config_type()) | config
    metadata = {"kind": network.kind, "id": "0", "config": json.dumps(shape)}
    save_file({"x": np.zeros(1, np.float16)}, tmp_path / "m.safetensors", metadata)
    with pytest.raises(AssetError, match=f"damaged or foreign {network.label}"):
        load_network(tmp_path / "m.safetensors", network)
