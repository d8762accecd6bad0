"""Objective of the decoder's polish: sharper decodes, against a patch discriminator.

The encoder and the linear path are frozen, so latents and attribute vectors stay valid. What is
kept is a blend of the weights before and after (WiSE-FT: Wortsman et al., "Robust fine-tuning of
zero-shot models", 2022): halfway keeps most of what the polish wins, and little of what it spoils.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from faceflex.data.cache import AlignedCache
from faceflex.models.feature_extractor import FeatureExtractor
from faceflex.models.vae import VAE
from faceflex.train.adversary import Adversary
from faceflex.train.autoencoder import AutoencoderConfig, AutoencoderObjective, Reconstruction
from faceflex.train.batches import FaceBatch
from faceflex.train.objective import Term
from faceflex.train.workers import Workers


@dataclass(frozen=True)
class PolishTraining(AutoencoderConfig):
    """How to polish a decoder.

    Attributes
    ----------
    adversary
        Weight of the discriminator's verdict on decodes.
    matching
        Weight of the distance between the discriminator's maps of picture and decode.
    blend
        Weight of the polished weights in the blend with the first ones.
    """

    steps: int = 1100
    rate: float = 3e-4
    noise: float = 0.5
    adversary: float = 0.02
    matching: float = 0.1
    blend: float = 0.5


class PolishObjective(AutoencoderObjective[VAE, PolishTraining]):
    """A VAE's decoder, trained on against a discriminator.

    Parameters
    ----------
    cache
        Aligned faces; the held-out ones are never trained on.
    start
        The model to polish.
    config
        How to train.
    features
        Feature extractor of the perceptual loss.
    workers
        The processes that train together.
    """

    def __init__(
        self,
        cache: AlignedCache,
        start: VAE,
        config: PolishTraining | None = None,
        *,
        features: FeatureExtractor | None = None,
        workers: Workers | None = None,
    ) -> None:
        super().__init__(cache, config or PolishTraining(), features, workers or Workers())
        self.network = VAE(start.config)
        self.network.load_state_dict(start.state_dict())
        self.network.requires_grad_(False).decoder.requires_grad_(True)
        self.first_weights = {k: v.detach().clone() for k, v in start.state_dict().items()}
        self.adversary = Adversary(self.config.rate, self.config.seed, self.workers)

    def forward(self, network: nn.Module, batch: FaceBatch, step: int) -> Reconstruction:
        """Encode, sample and decode."""
        noise = self.noise(step, self.network.config.latent)
        output, mean, logvar = network(batch.pictures, noise)
        return Reconstruction(output.float(), mean, logvar)

    def adversary_step(
        self, batch: FaceBatch, outputs: Reconstruction, step: int, rate: float
    ) -> dict[str, Tensor]:
        """Train the discriminator by one step."""
        loss = self.adversary.train_step(*batch, outputs.pictures, step, rate)
        return {"discriminator": loss}

    def loss_terms(self, batch: FaceBatch, outputs: Reconstruction, step: int) -> dict[str, Term]:
        """Return reconstruction, adversarial loss, feature matching and perceptual distance."""
        hinge, matching = self.adversary.generator_losses(*batch, outputs.pictures, step)
        return {
            **self.reconstruction_term(batch, outputs.pictures),
            "adversary": (self.config.adversary, hinge),
            "matching": (self.config.matching, matching),
            **self.perceptual_term(batch, outputs.pictures),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the discriminator's state and the model's first weights."""
        return {"adversary": self.adversary.state_dict(), "first_weights": self.first_weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.adversary.load_state_dict(state["adversary"])
        self.first_weights = state["first_weights"]

    def autoencoder(self, averaged: VAE) -> VAE:
        """Return the blend of first and polished weights."""
        polished, model = averaged.state_dict(), VAE(self.network.config)
        blended = {
            name: torch.lerp(first.cpu(), polished[name], self.config.blend)
            for name, first in self.first_weights.items()
        }
        model.load_state_dict(blended)
        return model.eval()
