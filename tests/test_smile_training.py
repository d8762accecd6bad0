"""The networks of the smile dial: sizes, the linear optimum, training that is resumed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from faceflex.data.smile_faces import SmileFaces
from faceflex.errors import AssetError, UsageError
from faceflex.models.checkpoint import load_network, save_network
from faceflex.models.conv_autoencoder import (
    ConvAutoencoder,
    ConvAutoencoderConfig,
    named_config,
)
from faceflex.models.degree_regressor import DegreeRegressor
from faceflex.models.smile_cvae import SmileCVAE, SmileCVAEConfig
from faceflex.tensors import read_metadata
from faceflex.train.conv_autoencoder import ConvAutoencoderObjective, ConvTraining
from faceflex.train.degree import DegreeObjective, DegreeTraining
from faceflex.train.latent_usage import FILE, RunningVariance, read_usage
from faceflex.train.loop import Trainer
from faceflex.train.smile_cvae import SmileCVAEObjective, SmileCVAETraining, fit_linear
from tests.resuming import run_unbroken_and_resumed

WIDTH = 12


def synthetic(count=600, seed=0):
    """Faces whose latents are known: a smile, a sex that goes with it, and noise."""
    rng = np.random.default_rng(seed)
    sex = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    degrees = np.clip(0.35 * sex + rng.normal(0, 0.5, count), -1, 1)
    smile, gender = np.eye(WIDTH)[0] * 2, np.eye(WIDTH)[1] * 3
    plain = degrees[:, None] * smile + sex[:, None] * gender + rng.normal(0, 0.7, (count, WIDTH))
    groups = np.zeros((count, 8), np.float32)
    groups[:, 0] = sex
    return SmileFaces(
        [f"{i}.jpg" for i in range(count)],
        np.float32(plain),
        np.float32(plain),
        np.float32(degrees),
        np.arange(count) < 30,
        groups,
        np.arange(count) % 20 == 0,
        np.full(WIDTH, 0.1, np.float32),
    )


def degrees_of(cache):
    """Return made-up degrees of the cache's faces, by its labels."""
    return {
        name: row["Smiling"] * (0.3 + 0.01 * i)
        for i, (name, row) in enumerate(zip(cache.names, cache.labels, strict=True))
    }


OBJECTIVES = {
    "degree": lambda cache: DegreeObjective(
        cache, degrees_of(cache), DegreeTraining(steps=4, batch=10, by_hand=4)
    ),
    "shared": lambda cache: SmileCVAEObjective(
        synthetic(), "some model", SmileCVAETraining(steps=4, batch=16)
    ),
    "smilecvae-2021": lambda cache: ConvAutoencoderObjective(
        cache,
        degrees_of(cache),
        replace(named_config("smilecvae-2021"), channels=(8, 8, 8, 8), hidden=(16,)),
        ConvTraining(steps=4, batch=4),
    ),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_stopped_training_goes_on_to_the_same_result(cache, tmp_path, name):
    def trainer(folder):
        return Trainer(OBJECTIVES[name](cache), tmp_path / folder)

    unbroken, metrics = run_unbroken_and_resumed(trainer)
    read = load_network(
        tmp_path / "unbroken" / "model.safetensors", DegreeRegressor, SmileCVAE, ConvAutoencoder
    )
    assert read.config == unbroken.objective.network.config
    assert all(np.isfinite(v) for v in metrics.values())
    if name != "degree":
        tables = [read_usage(tmp_path / f / FILE) for f in ("unbroken", "stopped")]
        np.testing.assert_array_equal(*tables)


def test_the_published_network_has_the_published_sizes():
    config = named_config("smilecvae-2021")
    network = ConvAutoencoder(config).eval()
    x = torch.rand(2, 3, 50, 50)
    shapes = []
    h = x
    for layer in network.down:
        h = layer(h)
        if isinstance(layer, torch.nn.Conv2d):
            shapes.append(tuple(h.shape[1:]))
    assert shapes == [(32, 25, 25), (64, 13, 13), (128, 7, 7), (256, 4, 4)]
    widths = [(m.in_features, m.out_features) for m in network.inward if hasattr(m, "in_features")]
    assert widths == [(4096, 1024), (1024, 256), (256, 40)]
    back = [(m.in_features, m.out_features) for m in network.outward if hasattr(m, "in_features")]
    assert back == [(21, 256), (256, 1024), (1024, 4096)]
    mean, logvar = network.posterior(x)
    assert mean.shape == logvar.shape == (2, 20)
    assert network.decode(mean, torch.zeros(2)).shape == x.shape
    with pytest.raises(ValueError, match="with degrees"):
        network.decode(mean)
    for family, codes in (("vae", 40), ("ae", 20)):
        other = ConvAutoencoder(named_config(f"smile{family}-2021"))
        assert other.inward[-1].out_features == codes
        assert other.outward[0].in_features == 20


@pytest.mark.parametrize("size", [32, 50, 64, 96, 128])
def test_pictures_of_every_size_come_back_in_their_size(size):
    config = replace(named_config("smilecvae-2021", size), channels=(8, 8, 8, 8), hidden=(16,))
    network = ConvAutoencoder(config).eval()
    assert network.decode(torch.zeros(1, 20), torch.zeros(1)).shape == (1, 3, size, size)


def test_the_linear_optimum_is_the_smile_and_not_the_sex_that_goes_with_it():
    faces = synthetic()
    network = SmileCVAE(SmileCVAEConfig("m", WIDTH))
    fit_linear(network, faces, np.arange(600))
    effect = network.effect.detach().numpy()
    assert effect[0] == pytest.approx(2.0, abs=0.15)
    assert abs(effect[1]) < 0.15
    blind = replace(faces, groups=np.zeros_like(faces.groups))
    fit_linear(network, blind, np.arange(600))
    assert network.effect[1] > 1.0  # What balancing is there for.


def test_codes_are_white_and_decode_to_what_they_come_from():
    faces = synthetic()
    network = SmileCVAE(SmileCVAEConfig("m", WIDTH))
    fit_linear(network, faces, np.arange(600))
    latents, own = torch.from_numpy(faces.plain), torch.from_numpy(faces.degrees)
    with torch.inference_mode():
        codes = network.encode(latents, own)
        again = network.decode(codes, own)
        moved = network.offset(latents, own, own + 0.5)
    torch.testing.assert_close(again, latents, rtol=1e-4, atol=1e-4)
    covariance = np.cov(codes.numpy().T)
    assert np.abs(covariance - np.eye(WIDTH)).max() < 0.05
    assert abs(np.corrcoef(codes[:, 0].numpy(), faces.degrees)[0, 1]) < 0.05
    torch.testing.assert_close(moved, (0.5 * network.effect).expand_as(moved), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(network.offset(latents, own, own), torch.zeros_like(latents))


def test_the_running_variance_is_the_variance():
    rng = np.random.default_rng(0)
    rows = rng.normal(1e4, 1, (1000, 3))
    running = RunningVariance(3)
    for part in np.split(rows, [1, 8, 500]):
        running.add(part)
    np.testing.assert_allclose(running.variance, rows.var(axis=0), rtol=1e-9)


def test_too_few_faces_are_told(cache):
    with pytest.raises(UsageError, match="more than 20 of different degrees"):
        SmileCVAEObjective(synthetic(20), "m")
    with pytest.raises(UsageError, match="0 faces with a degree"):
        ConvAutoencoderObjective(cache, {}, named_config("smilecvae-2021"))
    with pytest.raises(UsageError, match="at least 20 and 44 are needed"):
        DegreeObjective(cache, dict(list(degrees_of(cache).items())[:20]))


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        (SmileCVAE(SmileCVAEConfig("m", 4, 4)), {"latent": 10**9}),
        (SmileCVAE(SmileCVAEConfig("m", 4, 4)), {"latent": 5}),
        (SmileCVAE(SmileCVAEConfig("m", 4, 4)), {"gain": -1}),
        (DegreeRegressor(), {"size": 10**6}),
        (DegreeRegressor(), {"widths": [10**7] * 3}),
        (ConvAutoencoder(ConvAutoencoderConfig("ae", 16, 2, (2,), (3,), ())), {"size": 1}),
        (ConvAutoencoder(ConvAutoencoderConfig("ae", 16, 2, (2,), (3,), ())), {"family": "gan"}),
        (ConvAutoencoder(ConvAutoencoderConfig("ae", 16, 2, (2,), (3,), ())), {"latent": 8000}),
    ],
)
def test_files_that_claim_another_shape_are_refused(tmp_path, network, changes):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "m.safetensors"
    save_network(network, path)
    metadata = read_metadata(path, network.kind, "file")
    shape = json.dumps(json.loads(metadata["config"]) | changes)
    save_file(load_file(path), path, metadata | {"config": shape})
    with pytest.raises(AssetError, match=f"damaged or foreign {network.label}"):
        load_network(path, type(network))
