"""Training: readers, the aligned cache, the face model and the landmark predictor, made small."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from faceflex.assets import resolve
from faceflex.data.cache import MARGIN, open_cache
from faceflex.data.readers import read_any, read_celeba, read_utkface
from faceflex.data.records import is_held_out
from faceflex.errors import UsageError
from faceflex.faces.align import estimate_similarity, template, warp
from faceflex.models.checkpoint import load_vae
from faceflex.models.codec import decode_faces, encode_faces
from faceflex.models.vae import VAE, VAEConfig, kl_divergence
from faceflex.train.autoencoder import reconstruct
from faceflex.train.loop import Trainer, learning_rate_factor, pick_precision
from faceflex.train.losses import laplacian_l1
from faceflex.train.objective import Objective, TrainConfig
from faceflex.train.vae import VAEObjective, VAETraining
from faceflex.train.weighted_pca import fit_weighted_pca, start_from
from faceflex.train.workers import Workers

SMALL = VAEConfig(latent=12, encoder=(16, 16, 16), bottleneck=4, decoder=(16, 16, 16, 16))
NAMES = ("Male", "Smiling")


def test_celeba_is_read_with_labels_and_landmarks(celeba):
    records = list(read_celeba(celeba))
    assert len(records) == 60
    assert records[0].labels == {"Male": -1.0, "Smiling": 1.0}
    assert records[0].points.shape == (68, 2)
    assert [r.path for r in read_any(celeba)] == [r.path for r in records]


def test_celebas_label_file_is_checked(celeba, tmp_path):
    shutil.copy(celeba / "list_attr_celeba.txt", tmp_path)
    table = tmp_path / "list_attr_celeba.txt"
    table.write_text(table.read_text().replace("000003.jpg  1", "000003.jpg  2"))
    with pytest.raises(UsageError, match="line 5 is not a name and 2 labels"):
        list(read_celeba(tmp_path))


def test_utkface_names_are_labels(tmp_path):
    for name in ("26_1_2_2017.jpg.chip.jpg", "61_3_2015.jpg.chip.jpg"):
        Image.new("RGB", (20, 20)).save(tmp_path / name)
    labelled, unlabelled = sorted(read_utkface(tmp_path), key=lambda r: r.path.name)
    assert labelled.labels == {"age": 26.0, "gender": 1.0, "race": 2.0}
    assert unlabelled.labels.get("race") != 2015.0 or unlabelled.labels == {}


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no pictures"):
        list(read_any(tmp_path))
    with pytest.raises(UsageError, match="not a folder"):
        list(read_any(tmp_path / "nowhere"))


def test_the_held_out_twentieth_depends_on_the_name_alone():
    share = np.mean([is_held_out(f"{n:06d}.jpg") for n in range(20_000)])
    assert share == pytest.approx(0.05, abs=0.006)
    assert is_held_out("000010.jpg") == is_held_out("000010.jpg")


def test_the_cache_aligns_and_weighs_faces(cache):
    assert len(cache) == 60
    middle = cache.points - MARGIN
    assert np.abs(middle.mean(axis=(0, 1)) - template().mean(axis=0)).max() < 0.5
    assert np.hypot(*(middle - template()).reshape(-1, 2).T).mean() < 6
    crop = cache.crops([0])[0]
    assert crop.shape == (128, 128, 3)
    assert crop[60:70, 60:70, 0].mean() > crop[60:70, 60:70, 2].mean()  # RGB, not BGR.
    weight = cache.weight[0]
    eye = np.round(cache.points[0][36:42].mean(axis=0)).astype(int)
    assert weight[eye[1], eye[0]] > 150
    assert 0 < weight[4, 4] < 60 or weight[4, 4] == 0


def test_the_cache_is_made_once_and_leaves_nothing_else(celeba, cache, tmp_path):
    first = open_cache([celeba], tmp_path)
    (folder,) = tmp_path.iterdir()
    stamp = (folder / "table.json").stat().st_mtime_ns
    again = open_cache([celeba], tmp_path)
    assert (folder / "table.json").stat().st_mtime_ns == stamp
    assert first.names == again.names == cache.names
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_unreadable_and_faceless_pictures_are_counted(tmp_path, small_portrait):
    root = tmp_path / "set"
    root.mkdir()
    Image.fromarray(small_portrait).save(root / "good.png")
    Image.new("RGB", (90, 90)).save(root / "empty.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    cache = open_cache([root], tmp_path / "cache")
    assert cache.names == ["good.png"]
    (folder,) = (tmp_path / "cache").iterdir()
    left_out = json.loads((folder / "table.json").read_text())["left_out"]
    assert left_out == {"no face found": 1, "unreadable": 1}


def test_the_linear_start_reconstructs_better_than_the_mean(cache):
    torch.manual_seed(0)
    model = VAE(SMALL)
    index = np.arange(len(cache))
    start_from(model, fit_weighted_pca(cache, index, SMALL.latent, 0))
    faces = cache.crops(index)
    error = np.abs(reconstruct(model.eval(), faces).astype(float) - faces).mean()
    spread = np.abs(faces - faces.mean(axis=0)).mean()
    assert error < 0.45 * spread


def train(cache, out, steps, stop=None):
    config = VAETraining(steps=steps, batch=4, rate=3e-3, warmup=2)
    trainer = Trainer(VAEObjective(cache, config, SMALL), out)
    if stop is None:
        trainer.run()
        return trainer

    class StoppedError(Exception):
        pass

    def stopping(step, _steps, _terms):
        if step == stop:
            trainer.save()
        if step == stop + 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        trainer.run(stopping)
    return trainer


def test_training_lowers_the_loss_and_writes_its_files(cache, tmp_path):
    train(cache, tmp_path, 30)
    rows = (tmp_path / "losses.csv").read_text().splitlines()
    assert rows[0].startswith("step,loss,reconstruction,kl")
    losses = np.array([float(r.split(",")[1]) for r in rows[1:]])
    assert len(losses) == 30
    assert losses[-8:].mean() < losses[:8].mean()
    with Image.open(tmp_path / "samples.png") as sheet:
        assert sheet.height == 2 * 128 + 2
    model, identity = load_vae(tmp_path / "model.safetensors")
    assert model.config == SMALL
    assert len(identity) == 16


def test_a_stopped_training_goes_on_to_the_same_result(cache, tmp_path):
    unbroken = train(cache, tmp_path / "unbroken", 8)
    train(cache, tmp_path / "stopped", 8, stop=3)
    resumed = train(cache, tmp_path / "stopped", 8)
    for name, value in unbroken.ema.items():
        assert torch.equal(value, resumed.ema[name]), name
    tables = [(tmp_path / f / "losses.csv").read_bytes() for f in ("unbroken", "stopped")]
    assert tables[0] == tables[1]


def test_a_training_with_other_settings_is_not_resumed(cache, tmp_path):
    train(cache, tmp_path, 2)
    config = VAETraining(steps=2, batch=8, rate=3e-3, warmup=2)
    with pytest.raises(UsageError, match=r"other settings \(batch 4 -> 8\)"):
        Trainer(VAEObjective(cache, config, SMALL), tmp_path)


def test_a_training_keeps_the_precision_that_it_was_begun_with(cache, tmp_path, monkeypatch):
    """The folder may come from a machine whose hardware is faster with bfloat16."""
    for fast in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda fast=fast: fast)
        assert pick_precision(torch.device("cpu")) == ("bfloat16" if fast else "float32")
        assert train(cache, tmp_path, 2).precision == "bfloat16"


def test_a_diverging_training_says_so(cache, tmp_path):
    config = VAETraining(steps=9, batch=4, beta=float("nan"))
    with pytest.raises(UsageError, match="diverged at step 0; lower the learning rate"):
        Trainer(VAEObjective(cache, config, SMALL), tmp_path).run()
    assert not (tmp_path / "state.pt").exists()


class Regression(Objective):
    """The least that can be trained: a line through points."""

    def __init__(self, config):
        self.config, self.workers = config, Workers()
        torch.manual_seed(config.seed)
        self.network = torch.nn.Linear(1, 1)

    def batch(self, step):
        x = torch.randn(self.config.batch, 1, generator=torch.Generator().manual_seed(step))
        return x, 3 * x - 1

    def forward(self, network, batch, step):
        return network(batch[0])

    def loss_terms(self, batch, outputs, step):
        return {"squares": (1.0, (outputs.float() - batch[1]).square().mean())}

    def metrics(self, averaged):
        return {"slope": float(averaged.weight.detach())}

    def export(self, averaged, path, extra):
        path.write_text(json.dumps(extra))


def test_the_loop_trains_whatever_the_objective_is(tmp_path):
    config = TrainConfig(steps=200, rate=0.1, warmup=5, ema=0.9, precision="float32")
    metrics = Trainer(Regression(config), tmp_path).run()
    assert metrics["slope"] == pytest.approx(3, abs=0.05)
    kept = json.loads((tmp_path / "model.safetensors").read_text())
    assert kept["slope"] == metrics["slope"]
    assert kept["training"]["step"] == 200
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "losses.csv",
        "losses.png",
        "model.safetensors",
        "state.pt",
    ]


def test_too_few_faces_are_refused(cache):
    with pytest.raises(UsageError, match="needs more faces"):
        VAEObjective(cache, shape=VAEConfig(latent=500))


def test_the_rate_rises_stays_and_falls():
    config = TrainConfig(steps=1000, warmup=100)
    factors = [learning_rate_factor(s, config) for s in (0, 49, 200, 499, 750, 999)]
    assert factors[0] == pytest.approx(0.01)
    assert factors[1] == pytest.approx(0.5)
    assert factors[2] == factors[3] == 1.0
    assert factors[4] == pytest.approx(0.5)
    assert factors[5] < 0.01


def test_losses_are_what_their_names_say():
    mean, logvar = torch.zeros(2, 5), torch.zeros(2, 5)
    assert torch.equal(kl_divergence(mean, logvar), torch.zeros(2))
    assert kl_divergence(mean + 2, logvar)[0] == pytest.approx(10.0)
    a = torch.rand(2, 3, 128, 128)
    ones = torch.ones(2, 1, 128, 128)
    assert torch.equal(laplacian_l1(a, a, ones), torch.zeros(2))
    b = a.clone()
    b[:, :, :64] += 0.5
    masked = ones.clone()
    masked[:, :, :72] = 0
    assert (laplacian_l1(b, a, ones) > 10 * laplacian_l1(b, a, masked)).all()
    # A face's loss does not depend on the others in its batch.
    alone = laplacian_l1(b[:1], a[:1], masked[:1])
    assert laplacian_l1(b, a, masked)[0] == pytest.approx(float(alone[0]))


def test_encoding_is_deterministic_and_batches_do_not_matter(cache):
    faces, model = cache.crops(range(5)), load_vae(resolve("vae"))[0]
    together = encode_faces(model, faces)
    alone = np.concatenate([encode_faces(model, faces[i : i + 1]) for i in range(5)])
    assert together.shape == (5, 500)
    assert np.allclose(together, alone, atol=1e-4)
    decoded = decode_faces(model, together)
    assert decoded.shape == faces.shape
    assert np.abs(decoded.astype(float) - faces).mean() < 12


def test_landmarks_train_pack_and_predict(celeba, tmp_path):
    from faceflex.faces.landmarks import LandmarkModel, frame_template
    from faceflex.train.landmarks import (
        LandmarkConfig,
        landmark_error,
        machine_labelled,
        train_landmarks,
    )

    faces = machine_labelled([celeba], 50, 0)
    assert len(faces) == 50
    config = LandmarkConfig(
        cascades=3, trees=20, depth=3, copies=2, extra=0, oversampling=2, pool=80, splits=10
    )
    for name in ("small.safetensors", "plain.dat"):
        train_landmarks(faces, [], tmp_path / name, config)
    small, plain = (LandmarkModel(tmp_path / n) for n in ("small.safetensors", "plain.dat"))
    assert (tmp_path / "small.safetensors").stat().st_size < 0.4 * (
        tmp_path / "plain.dat"
    ).stat().st_size
    # Packing and evaluating without dlib gives dlib's points, which are whole pixels.
    from faceflex.photo import load_rgb

    for path, points in faces[:5]:
        frame, _ = warp(load_rgb(path), estimate_similarity(points, frame_template()), 192)
        apart = np.hypot(*(small.predict_frame(frame) - plain.predict_frame(frame)).T)
        assert apart.mean() < 1.0
    assert landmark_error(small, faces[:20])["mean"] < 0.06


def test_damaged_dlib_files_are_refused(tmp_path):
    from faceflex.faces.dlib_format import read_predictor

    for data in (b"", b"\x01\x02", b"\x01\x01\x81", b"nonsense"):
        with pytest.raises(ValueError, match=r"shape predictor|dlib object"):
            read_predictor(data)
