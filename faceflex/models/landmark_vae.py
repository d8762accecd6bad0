"""Variational autoencoder of landmark pictures, as in CMM-Net (Wang et al., CVPR 2018, section 4).

Five convolutions a side: 4x4 kernels, 64-128-256-512 channels at strides of 2, and two heads of 100
numbers over what is left. Batch normalization everywhere but in the first and the last layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.models.network import Network

SIZE = 64
"""Side of a landmark picture in pixels."""
_SLOPE = 0.2
_LARGEST = 4096


@dataclass(frozen=True)
class LandmarkVAEConfig:
    """Shape of a :class:`LandmarkVAE`; the published one by default.

    Attributes
    ----------
    latent
        Numbers of a code.
    widths
        Channels at 1/2, 1/4, 1/8 and 1/16 of the size.
    """

    latent: int = 100
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)

    def __post_init__(self) -> None:
        sizes = (self.latent, *self.widths)
        if len(sizes) != 5 or not all(isinstance(n, int) and 1 <= n <= _LARGEST for n in sizes):
            raise ValueError(f"sizes of {sizes}")


class LandmarkVAE(Network):
    """Binary pictures (B, 1, 64, 64) -> codes (B, 100) -> logits (B, 1, 64, 64).

    Parameters
    ----------
    config
        Its shape.

    Examples
    --------
    >>> import torch
    >>> network = LandmarkVAE(LandmarkVAEConfig())
    >>> mean, log_variance = network.encode(torch.zeros(2, 1, 64, 64))
    >>> tuple(mean.shape), tuple(network.decode(mean).shape)
    ((2, 100), (2, 1, 64, 64))
    """

    kind, label, config_type = "faceflex-landmark-vae-1", "landmark VAE", LandmarkVAEConfig
    config: LandmarkVAEConfig

    def __init__(self, config: LandmarkVAEConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        down: list[nn.Module] = [nn.Conv2d(1, widths[0], 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        for inside, outside in pairwise(widths):
            down += [nn.Conv2d(inside, outside, 4, 2, 1, bias=False), nn.BatchNorm2d(outside)]
            down.append(nn.LeakyReLU(_SLOPE))
        self.encoder = nn.Sequential(*down)
        self.mean = nn.Conv2d(widths[-1], config.latent, 4, 1, 0)
        self.log_variance = nn.Conv2d(widths[-1], config.latent, 4, 1, 0)
        up: list[nn.Module] = [nn.ConvTranspose2d(config.latent, widths[-1], 4, 1, 0, bias=False)]
        for inside, outside in pairwise(widths[::-1]):
            up += [nn.BatchNorm2d(inside), nn.LeakyReLU(_SLOPE)]
            up.append(nn.ConvTranspose2d(inside, outside, 4, 2, 1, bias=False))
        up += [nn.BatchNorm2d(widths[0]), nn.LeakyReLU(_SLOPE)]
        up.append(nn.ConvTranspose2d(widths[0], 1, 4, 2, 1))
        self.decoder = nn.Sequential(*up)

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-variances (B, latent) of the posterior."""
        h = self.encoder(pictures)
        mean, log_variance = self.mean(h).flatten(1), self.log_variance(h).flatten(1)
        return mean.float(), log_variance.float().clamp(-10, 10)

    def decode(self, codes: Tensor) -> Tensor:
        """Return logits (B, 1, 64, 64) of pictures; the published last layer is their sigmoid."""
        logits: Tensor = self.decoder(codes[:, :, None, None])
        return logits

    def forward(self, pictures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of pictures made of noisy codes, and the divergence of the codes (B,)."""
        mean, log_variance = self.encode(pictures)
        code = mean + noise * torch.exp(0.5 * log_variance)
        return self.decode(code), divergence(mean, log_variance)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence (B,) from the standard normal distribution."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


def picture_loss(logits: Tensor, pictures: Tensor) -> Tensor:
    """Return the binary cross-entropy of pictures: summed over pixels, mean over pictures."""
    total = F.binary_cross_entropy_with_logits(logits.float(), pictures, reduction="sum")
    return total / len(pictures)
