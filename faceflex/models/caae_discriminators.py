"""Discriminators of a conditional adversarial autoencoder; only training needs them."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from faceflex.models.caae import CAAEConfig

_COPIES = 16


class PriorDiscriminator(nn.Module):
    """Code -> logit that it comes from the uniform prior; as published."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise((latent, 64, 32, 16)):
            layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Linear(16, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Codes (B, latent) -> logits (B, 1)."""
        logits: Tensor = self.body(z)
        return logits


class ImageDiscriminator2019(nn.Module):
    """Picture and place -> logit that they are real, and belong together; as published."""

    def __init__(self, config: CAAEConfig) -> None:
        super().__init__()
        widths = (16, 32, 64, 128)
        self.first = nn.Conv2d(3, widths[0], 5, stride=2, padding=2)
        self.first_norm = nn.BatchNorm2d(widths[0])
        layers: list[nn.Module] = []
        for a, b in pairwise((widths[0] + 2 * _COPIES, *widths[1:])):
            layers += [nn.Conv2d(a, b, 5, stride=2, padding=2), nn.BatchNorm2d(b), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        side = config.size // 16
        self.linear = nn.Linear(widths[-1] * side * side, 1024)
        self.outlet = nn.Linear(1024, 1)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1], places (B, 2) -> logits (B, 1)."""
        h = F.relu(self.first_norm(self.first(x)))
        labels = places.repeat_interleave(_COPIES, dim=1)[:, :, None, None]
        h = self.body(torch.cat([h, labels.expand(-1, -1, *h.shape[2:])], 1))
        return self.outlet(F.leaky_relu(self.linear(h.flatten(1)), 0.2))


class ImageDiscriminator(nn.Module):
    """Picture and place -> a logit for each patch, with spectral normalisation.

    The place takes part by a projection
    (Miyato and Koyama, "cGANs with projection discriminator", 2018).
    """

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 128)) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1))
            for a, b in pairwise((3, *widths))
        )
        self.outlet = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))
        self.projection = spectral_norm(nn.Linear(5, widths[-1]))

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1], places (B, 2) -> logits (B, S/16 * S/16)."""
        h = x
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
        v, a = places[:, :1], places[:, 1:]
        told = self.projection(torch.cat([v, a, v * v, v * a, a * a], 1))
        agreement = (h.mean(dim=(2, 3)) * told).sum(dim=1, keepdim=True)
        logits: Tensor = self.outlet(h).flatten(1) + agreement
        return logits
