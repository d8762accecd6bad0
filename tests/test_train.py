"""Training: readers, the aligned cache, the face model and the landmark predictor, made small."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from faceflex.data.cache import MARGIN, open_cache
from faceflex.data.readers import read_any, read_celeba, read_utkface
from faceflex.data.records import is_held_out
from faceflex.errors import UsageError
from faceflex.faces.align import estimate_similarity, template, warp
from faceflex.models.checkpoint import load_vae
from faceflex.models.codec import decode_faces, encode_faces
from faceflex.models.vae import VAE, VAEConfig, kl_divergence
from faceflex.train.linear import fit_linear, start_from
from faceflex.train.losses import laplacian_l1
from faceflex.train.vae import TrainConfig, Trainer, learning_rate_share, reconstruct

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
    start_from(model, fit_linear(cache, index, SMALL.latent, 0))
    faces = cache.crops(index)
    error = np.abs(reconstruct(model.eval(), faces).astype(float) - faces).mean()
    spread = np.abs(faces - faces.mean(axis=0)).mean()
    assert error < 0.45 * spread


def train(cache, out, steps, stop=None):
    config = TrainConfig(steps=steps, batch=4, rate=3e-3, warmup=2)
    trainer = Trainer(cache, out, config, SMALL)
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
    whole = train(cache, tmp_path / "whole", 8)
    train(cache, tmp_path / "parts", 8, stop=3)
    resumed = train(cache, tmp_path / "parts", 8)
    for name, value in whole.ema.items():
        assert torch.equal(value, resumed.ema[name]), name
    tables = [(tmp_path / n / "losses.csv").read_text() for n in ("whole", "parts")]
    assert tables[0] == tables[1]


def test_a_training_begun_otherwise_is_not_mixed(cache, tmp_path):
    train(cache, tmp_path, 2)
    with pytest.raises(UsageError, match=r"batch 4 -> 8"):
        Trainer(cache, tmp_path, TrainConfig(steps=2, batch=8, rate=3e-3, warmup=2), SMALL)


def test_too_few_faces_are_refused(cache, tmp_path):
    with pytest.raises(UsageError, match="needs more faces"):
        Trainer(cache, tmp_path, TrainConfig(), VAEConfig(latent=500))


def test_the_rate_rises_stays_and_falls():
    config = TrainConfig(steps=1000, warmup=100)
    shares = [learning_rate_share(s, config) for s in (0, 49, 200, 499, 750, 999)]
    assert shares[0] == pytest.approx(0.01)
    assert shares[1] == pytest.approx(0.5)
    assert shares[2] == shares[3] == 1.0
    assert shares[4] == pytest.approx(0.5)
    assert shares[5] < 0.01


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


def test_encoding_is_deterministic_and_batches_do_not_matter(cache, editor):
    faces = cache.crops(range(5))
    together = encode_faces(editor.model, faces)
    alone = np.concatenate([encode_faces(editor.model, faces[i : i + 1]) for i in range(5)])
    assert together.shape == (5, 500)
    assert np.allclose(together, alone, atol=1e-4)
    decoded = decode_faces(editor.model, together)
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
        apart = np.hypot(*(small.in_frame(frame) - plain.in_frame(frame)).T)
        assert apart.mean() < 1.0
    assert landmark_error(small, faces[:20])["mean"] < 0.06


def test_damaged_dlib_files_are_refused(tmp_path):
    from faceflex.train.dlib_format import read_predictor

    for data in (b"", b"\x01\x02", b"\x01\x01\x81", b"nonsense"):
        with pytest.raises(ValueError, match=r"shape predictor|dlib object"):
            read_predictor(data)
