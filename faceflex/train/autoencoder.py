"""What the objectives of autoencoders share: batches of faces, perceptual loss, samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError
from faceflex.models.checkpoint import save_network
from faceflex.models.codec import decode_faces, encode_faces
from faceflex.models.feature_extractor import FeatureExtractor, map_distance
from faceflex.models.vae import VAE
from faceflex.train.batches import FaceBatch, FaceBatches
from faceflex.train.losses import laplacian_l1
from faceflex.train.objective import Net, Objective, Term, TrainConfig
from faceflex.train.workers import Workers

_SAMPLES = 12


@dataclass(frozen=True)
class AutoencoderConfig(TrainConfig):
    """What every autoencoder's training sets.

    Attributes
    ----------
    perceptual
        Weight of the feature extractor's distance between picture and reconstruction.
    noise
        Standard deviation of the latent's sampling noise, as a fraction of the posterior's.
    """

    perceptual: float = 0.0
    noise: float = 1.0


Config = TypeVar("Config", bound=AutoencoderConfig)


class Reconstruction(NamedTuple):
    """Decoded pictures (B, 3, S, S), posterior (B, latent), logits (B, K) of linear probes."""

    pictures: Tensor
    mean: Tensor
    logvar: Tensor
    probes: Tensor | None = None


class AutoencoderObjective(Objective[Net, FaceBatch, Reconstruction], Generic[Net, Config]):
    """Reconstruction of aligned faces by a VAE.

    Parameters
    ----------
    cache
        Aligned faces; the held-out ones are never trained on.
    config
        How to train.
    features
        Feature extractor of the perceptual loss.
    workers
        The processes that train together.
    """

    config: Config

    def __init__(
        self,
        cache: AlignedCache,
        config: Config,
        features: FeatureExtractor | None,
        workers: Workers,
    ) -> None:
        if features is None and config.perceptual:
            raise UsageError("`perceptual`: this loss needs a feature extractor (`features`)")
        self.cache, self.config, self.workers = cache, config, workers
        self.features = None if features is None else features.to(workers.device)
        self.train_index = np.flatnonzero(~cache.held_out)
        self.held_out_index = np.flatnonzero(cache.held_out)
        self._batches = FaceBatches(cache, self.train_index, config.batch, config.seed, workers)

    @abstractmethod
    def autoencoder(self, averaged: Net) -> VAE:
        """Return the VAE to keep, given :attr:`network` with averaged weights."""

    def batch(self, step: int) -> FaceBatch:
        """Return this process's part of a step's faces."""
        return self._batches(step)

    def noise(self, step: int, latent: int) -> Tensor:
        """Return this process's part (B, latent) of a step's noise, the same for any division."""
        generator = torch.Generator(self.workers.device)
        generator.manual_seed(self.config.seed * 1_000_003 + step)
        shape = (self._batches.batch, latent)
        noise = torch.randn(shape, generator=generator, device=self.workers.device)
        return self.config.noise * noise[self._batches.part]

    def reconstruction_term(self, batch: FaceBatch, output: Tensor) -> dict[str, Term]:
        """Return the Laplacian L1 of pictures and ``output``."""
        return {"reconstruction": (1.0, laplacian_l1(output, *batch).mean())}

    def perceptual_term(
        self, batch: FaceBatch, output: Tensor, target: list[Tensor] | None = None
    ) -> dict[str, Term]:
        """Return the perceptual distance of pictures and ``output``, if it has a weight.

        ``target`` are the feature maps of the pictures, where they are known already.
        """
        if self.features is None or not self.config.perceptual:
            return {}
        target = target or self.feature_maps(self.features, batch)
        distance = map_distance(self.features.maps(output), target, batch.weights)
        return {"perceptual": (self.config.perceptual, distance.mean())}

    @staticmethod
    @torch.no_grad()
    def feature_maps(features: FeatureExtractor, batch: FaceBatch) -> list[Tensor]:
        """Return the feature maps of a batch's pictures."""
        return features.maps(batch.pictures)

    def samples(self, averaged: Net) -> Sequence[NDArray[np.uint8]]:
        """Return held-out faces, and their reconstructions."""
        index = self.held_out_index if len(self.held_out_index) else self.train_index
        places = np.unique(np.linspace(0, len(index) - 1, _SAMPLES).astype(int))
        faces = self.cache.crops(index[places])
        return faces, reconstruct(self.autoencoder(averaged), faces)

    def export(self, averaged: Net, path: Path, extra: dict[str, Any]) -> None:
        """Write the VAE."""
        faces = {"faces": len(self.train_index)}
        training = extra["training"] | faces
        save_network(self.autoencoder(averaged), path, extra | {"training": training})


def reconstruct(model: VAE, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the reconstructions of (N, S, S, 3) uint8 faces, of the same form."""
    return decode_faces(model, encode_faces(model, faces), 32)
