"""The perceptual loss, the decoder's polish, and training by several processes."""

from __future__ import annotations

import csv
import runpy
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from faceflex.errors import AssetError, UsageError
from faceflex.models.discriminator import Discriminator
from faceflex.models.feature_extractor import load_extractor, map_distance
from faceflex.models.vae import VAE, VAEConfig
from faceflex.train.classifier import ClassifierObjective, ClassifierTraining
from faceflex.train.loop import Trainer
from faceflex.train.losses import crop_and_flip, generator_hinge, hinge
from faceflex.train.polish import PolishObjective, PolishTraining
from faceflex.train.vae import VAEObjective, VAETraining
from faceflex.train.workers import Workers

SMALL = VAEConfig(latent=12, encoder=(16, 16, 16), bottleneck=4, decoder=(16, 16, 16, 16))
BASE = VAETraining(steps=4, batch=4, rate=2e-3, warmup=2)
POLISH = PolishTraining(steps=4, batch=4, rate=2e-3, warmup=2, adversary=0.01, matching=0.05)


@pytest.fixture(scope="module")
def features(cache, tmp_path_factory):
    """A feature extractor of four training steps."""
    folder = tmp_path_factory.mktemp("features")
    Trainer(ClassifierObjective(cache, "features", ClassifierTraining(4, 8)), folder).run()
    return folder / "model.safetensors"


def test_feature_networks_are_kept_and_compare_pictures(features, cache):
    network = load_extractor(features)
    assert network.config.names == ("Male", "Smiling")
    assert not any(p.requires_grad for p in network.parameters())
    x = torch.from_numpy(cache.crops([0, 1])).permute(0, 3, 1, 2).float() / 255
    maps = network.maps(x)
    assert [m.shape[-1] for m in maps] == [128, 64, 32, 16, 8]
    assert network(x).shape == (2, 2)
    ones = torch.ones(2, 1, 128, 128)
    assert torch.equal(map_distance(maps, maps, ones), torch.zeros(2))
    soft = torch.nn.functional.avg_pool2d(x, 5, stride=1, padding=2)
    near = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    far, less = (map_distance(network.maps(p), maps, ones) for p in (soft, near))
    assert (far > less).all()
    assert (less > 0).all()


def test_a_foreign_feature_file_is_refused(tmp_path, features):
    other = tmp_path / "x.safetensors"
    other.write_bytes(features.read_bytes()[:500])
    with pytest.raises(AssetError, match="damaged or foreign feature network"):
        load_extractor(other)


def test_perceptual_terms_need_a_feature_extractor(cache):
    for name in ("perceptual", "probes"):
        with pytest.raises(UsageError, match="a feature extractor"):
            VAEObjective(cache, replace(BASE, **{name: 0.1}), SMALL)


def test_perceptual_terms_are_trained_and_reported(cache, tmp_path, features):
    config = replace(BASE, steps=12, perceptual=0.1, probes=0.1)
    objective = VAEObjective(cache, config, SMALL, features=load_extractor(features))
    Trainer(objective, tmp_path).run()
    with (tmp_path / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"perceptual", "probes", "kl"} <= set(rows[0])
    losses = np.array([float(r["probes"]) for r in rows])
    assert losses[-3:].mean() < losses[:3].mean()
    for name in ("samples.png", "losses.png", "training.gif"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100


def test_polish_changes_the_decoder_alone_and_goes_on_where_it_stopped(cache, tmp_path):
    torch.manual_seed(3)
    start = VAE(SMALL)

    def trainer(folder):
        return Trainer(PolishObjective(cache, start, POLISH), tmp_path / folder)

    unbroken = trainer("unbroken")
    unbroken.run()
    before, after = start.state_dict(), unbroken.network.state_dict()
    changed = {name.split(".")[0] for name in before if (before[name] != after[name]).any()}
    assert changed == {"decoder"}
    stopped = trainer("stopped")

    def stop(step, _steps, _terms):
        if step == 2:
            stopped.save()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.run(stop)
    resumed = trainer("stopped")
    assert resumed.step == 2
    resumed.run()
    for name, value in unbroken.ema.items():
        assert torch.equal(value, resumed.ema[name]), name
    nets = (t.objective.adversary.network for t in (unbroken, resumed))
    for one, other in zip(*(n.state_dict().values() for n in nets), strict=True):
        assert torch.equal(one, other)


def test_first_and_polished_weights_are_blended(cache, tmp_path):
    torch.manual_seed(3)
    start, config = VAE(SMALL), replace(POLISH, steps=3, blend=0.25)
    trainer = Trainer(PolishObjective(cache, start, config), tmp_path)
    trainer.run()
    other = VAE(SMALL)  # The state knows the first weights; what is given now does not count.
    resumed = Trainer(PolishObjective(cache, other, config), tmp_path)
    kept = resumed.objective.autoencoder(resumed.averaged()).state_dict()
    before, after = start.state_dict(), trainer.ema
    name = "decoder.inlet.weight"
    assert not torch.equal(before[name], after[name])
    assert torch.allclose(kept[name], 0.75 * before[name] + 0.25 * after[name], atol=1e-6)


def test_the_discriminator_learns_to_tell_and_to_be_fooled():
    torch.manual_seed(0)
    network = Discriminator()
    logits, maps = network(torch.rand(2, 3, 112, 112))
    assert logits.shape == (2, 1, 14, 14)
    assert len(maps) == 3
    ones = torch.ones(2, 1, 112, 112)
    real = torch.full((2, 1, 14, 14), 2.0)
    assert hinge(real, -real, ones, ones) == 0
    assert hinge(-real, real, ones, ones) == pytest.approx(3.0)
    assert generator_hinge(real, ones) == pytest.approx(-2.0)


def test_windows_are_crop_and_fliped():
    x = torch.arange(2 * 3 * 8 * 8).view(2, 3, 8, 8)
    assert torch.equal(crop_and_flip(x, (1, 2), 4, False), x[:, :, 1:5, 2:6])
    assert torch.equal(crop_and_flip(x, (1, 2), 4, True), x[:, :, 1:5, 2:6].flip(3))


def test_a_batch_is_divided_evenly_or_not_at_all():
    assert Workers(1, 2).part(8) == slice(4, 8)
    with pytest.raises(UsageError, match="cannot be divided among 3"):
        Workers(0, 3).part(8)


SCRIPT = """
import sys
from pathlib import Path
import torch
from faceflex.data.cache import open_cache
from faceflex.models.feature_extractor import load_extractor
from faceflex.models.vae import VAE, VAEConfig
from faceflex.train.loop import Trainer
from faceflex.train.polish import PolishObjective, PolishTraining
from faceflex.train.vae import VAEObjective, VAETraining
from faceflex.train.workers import join_workers

torch.set_num_threads(1)
root, folder, features, out = map(Path, sys.argv[1:])
shape = VAEConfig(latent=12, encoder=(16, 16, 16), bottleneck=4, decoder=(16, 16, 16, 16))
workers = join_workers("cpu")
# Gradients of bfloat16 are rounded in each process, before they are averaged; of float32 as well,
# but to 24 bits instead of 8.
settings = {"steps": 4, "batch": 4, "rate": 2e-3, "warmup": 2, "precision": "float32"}
parts = {"features": load_extractor(features), "workers": workers}
cache = open_cache([root], folder)
config = VAETraining(**settings, perceptual=0.1, probes=0.1)
Trainer(VAEObjective(cache, config, shape, **parts), out / "vae").run()
torch.manual_seed(7)
config = PolishTraining(**settings, perceptual=0.1)
Trainer(PolishObjective(cache, VAE(shape), config, **parts), out / "polish").run()
"""


def losses(path):
    """Return the loss table of a run as numbers."""
    with path.open() as file:
        head, *rows = csv.reader(file)
    return head, np.array(rows, float)


def test_two_processes_train_as_one_with_the_whole_batch(
    celeba, cache, features, tmp_path, monkeypatch
):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    rest = (str(celeba), str(tmp_path / "cache"), str(features))
    monkeypatch.setattr(sys, "argv", [str(script), *rest, str(tmp_path / "one")])
    threads = torch.get_num_threads()
    runpy.run_path(str(script))
    torch.set_num_threads(threads)
    engine = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*engine, str(script), *rest, str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    # Spectral normalisation leaves no gradient along a weight; Adam makes whole steps of what
    # rounding leaves there, so that the discriminators, and all after them, differ a little.
    for name, tolerance in (("vae", 1e-5), ("polish", 5e-3)):
        head, first = losses(tmp_path / "one" / name / "losses.csv")
        again, second = losses(tmp_path / "two" / name / "losses.csv")
        assert head == again
        assert len(first) == len(second) == 4
        assert np.allclose(first, second, rtol=tolerance, atol=tolerance / 5)
