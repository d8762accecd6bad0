"""Objective of the small convolutional AE, VAE and CVAE, SmileCVAE's among them.

SmileCVAE's own loss is the mean squared error plus beta times the KL divergence, the one averaged
over pixels and the other over the numbers of the code; its KL term had the exponential of the
variance where the variance belongs. Here it is the divergence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError
from faceflex.models.checkpoint import save_network
from faceflex.models.conv_autoencoder import ConvAutoencoder, ConvAutoencoderConfig, shrink
from faceflex.models.vae import kl_divergence
from faceflex.train.batches import FaceBatches
from faceflex.train.latent_usage import LatentUsage
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.workers import Workers

_SAMPLES = 12


@dataclass(frozen=True)
class ConvTraining(TrainConfig):
    """How to train one of the family.

    Attributes
    ----------
    beta
        Weight of the KL term, summed over the code and divided by the numbers of a picture: 1 is
        the evidence bound for a unit Gaussian of half the squared error. None: SmileCVAE's own
        weighting, a half of the mean over the code.
    """

    steps: int = 20000
    batch: int = 8
    rate: float = 2e-4
    warmup: int = 100
    decay: float = 0.5
    ema: float = 0.0
    clip: float = 10.0
    seed: int = 80
    beta: float | None = None


class DegreeFaces(NamedTuple):
    """Pictures (B, 3, S, S) in [0, 1], and degrees (B,)."""

    pictures: Tensor
    degrees: Tensor


class Decoded(NamedTuple):
    """Reconstructed pictures (B, 3, S, S), means and log-variances of codes."""

    pictures: Tensor
    mean: Tensor
    logvar: Tensor


class ConvAutoencoderObjective(Objective[ConvAutoencoder, DegreeFaces, Decoded]):
    """Training of an AE, a VAE or a CVAE.

    Parameters
    ----------
    cache
        Aligned faces.
    degrees
        Degrees by file name; only faces that have one are learned from.
    shape
        The network.
    config
        How to train.
    workers
        The processes that train together; batch normalisation sees each one's part.

    Raises
    ------
    UsageError
        If fewer than two faces have a degree.
    """

    config: ConvTraining

    def __init__(
        self,
        cache: AlignedCache,
        degrees: Mapping[str, float],
        shape: ConvAutoencoderConfig,
        config: ConvTraining | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.cache, self.workers = cache, workers or Workers()
        self.config = config or ConvTraining()
        self.degrees = np.array([degrees.get(n, np.nan) for n in cache.names], np.float32)
        known = np.isfinite(self.degrees)
        self.learned = np.flatnonzero(known & ~np.asarray(cache.held_out, bool))
        self.held_out_index = np.flatnonzero(known & np.asarray(cache.held_out, bool))
        if len(self.learned) < 2:
            raise UsageError(f"{len(self.learned)} faces with a degree to train on; 2 are needed")
        self._batches = FaceBatches(
            cache, self.learned, self.config.batch, self.config.seed, self.workers
        )
        torch.manual_seed(self.config.seed)
        self.network = ConvAutoencoder(shape)
        steps = len(self.learned) // self._batches.batch
        self.usage = LatentUsage(shape.latent, steps)

    def batch(self, step: int) -> DegreeFaces:
        """Return this process's part of a step's faces, mirrored half the time."""
        pictures = shrink(self._batches(step).pictures, self.network.config.size)
        rows = self._batches.sampler(step)[self._batches.part]
        return DegreeFaces(pictures, torch.from_numpy(self.degrees[rows]).to(pictures.device))

    def forward(self, network: nn.Module, batch: DegreeFaces, step: int) -> Decoded:
        """Encode, sample and decode."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        shape = (self._batches.batch, self.network.config.latent)
        noise = torch.randn(shape, generator=generator)[self._batches.part]
        pictures, mean, logvar = network(
            batch.pictures, noise.to(batch.pictures.device), batch.degrees
        )
        self.usage.add(mean.detach().float().cpu().numpy(), step)
        return Decoded(pictures.float(), mean.float(), logvar.float())

    def loss_terms(self, batch: DegreeFaces, outputs: Decoded, step: int) -> dict[str, Term]:
        """Return the mean squared error, and the KL divergence of all but a plain autoencoder."""
        terms = {"squares": (1.0, (outputs.pictures - batch.pictures).square().mean())}
        if self.network.config.family == "ae":
            return terms
        kl = kl_divergence(outputs.mean, outputs.logvar).mean()
        beta, latent = self.config.beta, self.network.config.latent
        weight = 1.0 / latent if beta is None else 2 * beta / batch.pictures[0].numel()
        return terms | {"kl": (weight, kl)}

    def state_dict(self) -> dict[str, Any]:
        """Return the variances of codes so far."""
        return {"usage": self.usage.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.usage.load_state_dict(state["usage"])

    def _reconstruct(self, averaged: ConvAutoencoder, index: NDArray[np.integer]) -> Tensor:
        """Return faces and their reconstructions, (2, n, 3, S, S) in [0, 1]."""
        faces = torch.from_numpy(self.cache.crops(index)).permute(0, 3, 1, 2).float() / 255
        small = shrink(faces, averaged.config.size)
        with torch.inference_mode():
            mean, _ = averaged.posterior(small)
            again = averaged.decode(mean, torch.from_numpy(self.degrees[index]))
        return torch.stack([small, again])

    def samples(self, averaged: ConvAutoencoder) -> Sequence[NDArray[np.uint8]]:
        """Return faces of the training, and their reconstructions."""
        places = np.unique(np.linspace(0, len(self.learned) - 1, _SAMPLES).astype(int))
        rows = self._reconstruct(averaged, self.learned[places]).permute(0, 1, 3, 4, 2)
        return list(np.round(rows.numpy() * 255).astype(np.uint8))

    def metrics(self, averaged: ConvAutoencoder) -> dict[str, Any]:
        """Return PSNR in dB of reconstructions: of training faces, and of held-out ones."""
        found = {}
        for name, index in (("psnr", self.learned), ("held_out_psnr", self.held_out_index)):
            if len(index):
                faces, again = self._reconstruct(averaged, index)
                squares = (faces - again).square().mean(dim=(1, 2, 3))
                found[name] = round(float((-10 * torch.log10(squares)).mean()), 2)
        return found

    def export(self, averaged: ConvAutoencoder, path: Path, extra: dict[str, Any]) -> None:
        """Write the network, and the variances of its codes beside it."""
        save_network(averaged, path, extra)
        self.usage.save(path.parent)
