"""Objective of the face model: a VAE's evidence bound, in Laplacian bands and perceptual maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError
from faceflex.models.feature_extractor import FeatureExtractor
from faceflex.models.vae import VAE, VAEConfig, kl_divergence
from faceflex.train.autoencoder import AutoencoderConfig, AutoencoderObjective, Reconstruction
from faceflex.train.batches import FaceBatch
from faceflex.train.objective import Term
from faceflex.train.weighted_pca import fit_weighted_pca, start_from
from faceflex.train.workers import Workers


@dataclass(frozen=True)
class VAETraining(AutoencoderConfig):
    """How to train a VAE.

    Attributes
    ----------
    linear_rate
        Peak learning rate of the linear path, which starts at its optimum.
    beta
        Weight of the KL term, per pixel value: 1 is the plain evidence bound for unit noise.
    probes
        Weight of linear probes, which predict the feature extractor's labels from the latent.
    """

    linear_rate: float = 3e-5
    beta: float = 1.0
    probes: float = 0.0


class ProbedVAE(nn.Module):
    """A VAE and linear probes of its latent, as one network.

    Parameters
    ----------
    vae
        The VAE.
    labels
        How many labels the probes predict; 0 for no probes.
    """

    def __init__(self, vae: VAE, labels: int) -> None:
        super().__init__()
        self.vae = vae
        self.probes = nn.Linear(vae.config.latent, labels) if labels else None

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return the VAE's outputs, and the probes' logits (B, labels)."""
        output, mean, logvar = self.vae(x, noise)
        return output, mean, logvar, None if self.probes is None else self.probes(mean)


class VAEObjective(AutoencoderObjective[ProbedVAE, VAETraining]):
    """A VAE's training, from the closed-form optimum of its linear path.

    Parameters
    ----------
    cache
        Aligned faces; the held-out ones are never trained on.
    config
        How to train.
    shape
        Shape of the network.
    start
        Model to begin with, instead of a linear one that is fitted to the faces.
    features
        Feature extractor of the perceptual loss and the probes.
    workers
        The processes that train together.

    Raises
    ------
    UsageError
        If there are no more faces than latent numbers, or a term needs the feature extractor.
    """

    def __init__(
        self,
        cache: AlignedCache,
        config: VAETraining | None = None,
        shape: VAEConfig | None = None,
        *,
        start: VAE | None = None,
        features: FeatureExtractor | None = None,
        workers: Workers | None = None,
    ) -> None:
        super().__init__(cache, config or VAETraining(), features, workers or Workers())
        if features is None and self.config.probes:
            raise UsageError("`probes`: linear probes need a feature extractor (`features`)")
        torch.manual_seed(self.config.seed)
        vae = VAE(shape if start is None else start.config)
        if len(self.train_index) <= vae.config.latent:
            raise UsageError(
                f"{len(self.train_index)} faces to train on; "
                f"a model of {vae.config.latent} numbers needs more faces than that"
            )
        if start is not None:
            vae.load_state_dict(start.state_dict())
        self._fit = start is None
        probed = features is not None and self.config.probes
        self.network = ProbedVAE(vae, len(features.config.names) if features and probed else 0)

    def initialize(self) -> None:
        """Fit the linear path to the faces, unless a model was given to begin with."""
        if self._fit:
            vae, seed = self.network.vae, self.config.seed
            start_from(vae, fit_weighted_pca(self.cache, self.train_index, vae.config.latent, seed))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the convolutional networks' parameters, and the linear path's."""
        linear = list(self.network.vae.linear.parameters())
        linear_ids = {id(p) for p in linear}
        others = [p for p in self.network.parameters() if id(p) not in linear_ids]
        return [
            {"params": others, "lr": self.config.rate},
            {"params": linear, "lr": self.config.linear_rate},
        ]

    def forward(self, network: nn.Module, batch: FaceBatch, step: int) -> Reconstruction:
        """Encode, sample and decode."""
        noise = self.noise(step, self.network.vae.config.latent)
        output, mean, logvar, probes = network(batch.pictures, noise)
        return Reconstruction(output.float(), mean, logvar, probes)

    def loss_terms(self, batch: FaceBatch, outputs: Reconstruction, step: int) -> dict[str, Term]:
        """Return reconstruction, KL divergence, perceptual distance, and the probes' loss."""
        terms = self.reconstruction_term(batch, outputs.pictures)
        kl = kl_divergence(outputs.mean, outputs.logvar).mean()
        terms["kl"] = (self.config.beta / batch.pictures[0].numel(), kl)
        if self.features is None or outputs.probes is None:
            return terms | self.perceptual_term(batch, outputs.pictures)
        maps = self.feature_maps(self.features, batch)
        terms |= self.perceptual_term(batch, outputs.pictures, maps)
        target = torch.sigmoid(self.features.logits(maps[-1]))
        loss = F.binary_cross_entropy_with_logits(outputs.probes.float(), target)
        return terms | {"probes": (self.config.probes, loss)}

    def autoencoder(self, averaged: ProbedVAE) -> VAE:
        """Return the VAE without its probes."""
        return averaged.vae
