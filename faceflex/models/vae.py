"""The face model: a variational autoencoder for aligned 128x128 faces.

A face becomes 500 numbers and back. Aligned faces lie close to a linear subspace, and a linear
VAE's optimum is known in closed form: probabilistic PCA (Tipping and Bishop 1999; Lucas et al.,
"Don't blame the ELBO", 2019). So both halves are a linear map at half resolution, tied and
initialised from PCA, plus a convolutional network that starts at zero and learns what a linear
map cannot do: where the mouth is, which way the head turns, how sharp an edge should be.

Residual blocks use GroupNorm (Wu and He 2018), which works the same for one face as for a batch;
pictures leave through a 2x pixel shuffle (Shi et al. 2016). The evidence lower bound is Kingma
and Welling's (2013). The posterior's log-variance is needed in training alone: its head is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.models.model_id import LABEL, VAE_KIND
from faceflex.models.network import Network


@dataclass(frozen=True)
class VAEConfig:
    """Shape of a :class:`VAE`; saved with its weights.

    Attributes
    ----------
    size
        Side of the picture in pixels; a multiple of 16.
    latent
        Numbers a face becomes.
    encoder
        Channels at 1/4, 1/8 and 1/16 of the size.
    bottleneck
        Channels that the encoder's last map is reduced to before it is flattened.
    decoder
        Channels at 1/16, 1/8, 1/4 and 1/2 of the size.
    """

    size: int = 128
    latent: int = 500
    encoder: tuple[int, int, int] = (48, 96, 160)
    bottleneck: int = 40
    decoder: tuple[int, int, int, int] = (160, 112, 80, 48)


class ResBlock(nn.Module):
    """Two 3x3 convolutions around an identity; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(16, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(16, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        _zero(self.conv2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


def _zero(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class LinearPath(nn.Module):
    """The linear half of both encoder and decoder: weighted PCA of half-size faces.

    ``weight`` says how much each pixel counts (the face more than what is behind it).
    """

    weight: Tensor

    def __init__(self, c: VAEConfig) -> None:
        super().__init__()
        self.side = c.size // 2
        n = 3 * self.side**2
        self.basis = nn.Parameter(torch.randn(c.latent, n).div_(n**0.5))
        self.mean = nn.Parameter(torch.full((n,), 0.5))
        self.spread_in = nn.Parameter(torch.ones(c.latent))
        self.spread_out = nn.Parameter(torch.ones(c.latent))
        self.register_buffer("weight", torch.ones(n))

    def encode(self, half: Tensor) -> Tensor:
        """Half-size pictures (B, 3, S/2, S/2) -> latents (B, latent)."""
        centred = (half.flatten(1) - self.mean) * self.weight
        return F.linear(centred, self.basis) * self.spread_in

    def decode(self, z: Tensor) -> Tensor:
        """Latents (B, latent) -> half-size pictures (B, 3, S/2, S/2)."""
        flat = (z * self.spread_out) @ self.basis / self.weight + self.mean
        return flat.unflatten(1, (3, self.side, self.side))


class Encoder(nn.Module):
    """Picture -> residual of the linear path's latent, and the posterior's log-variance."""

    def __init__(self, c: VAEConfig) -> None:
        super().__init__()
        a, b, d = c.encoder
        self.body = nn.Sequential(
            nn.Conv2d(3, a, 4, stride=4),  # (B, a, S/4, S/4)
            ResBlock(a),
            nn.Conv2d(a, b, 3, stride=2, padding=1),  # (B, b, S/8, S/8)
            ResBlock(b),
            nn.Conv2d(b, d, 3, stride=2, padding=1),  # (B, d, S/16, S/16)
            ResBlock(d),
            nn.GroupNorm(16, d),
            nn.SiLU(),
        )
        self.squeeze = nn.Conv2d(d, c.bottleneck, 1)
        self.mean = nn.Linear(c.bottleneck * (c.size // 16) ** 2, c.latent)
        self.logvar = nn.Linear(d, c.latent)
        _zero(self.mean)
        _zero(self.logvar)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x * 2 - 1)
        mean = self.mean(self.squeeze(h).flatten(1))
        return mean, self.logvar(h.mean(dim=(2, 3))).clamp(-12, 4)


class Decoder(nn.Module):
    """Latent and its linear decode -> picture: the linear decode, enlarged, plus a residual."""

    def __init__(self, c: VAEConfig) -> None:
        super().__init__()
        a, b, d, e = c.decoder
        self.grid = c.size // 16
        self.inlet = nn.Linear(c.latent, a // 2 * self.grid**2)
        self.mix16 = nn.Conv2d(a // 2 + 3 * 64, a, 1)
        self.block16 = ResBlock(a)
        self.mix8 = nn.Conv2d(a + 3 * 16, b, 1)
        self.block8 = ResBlock(b)
        self.mix4 = nn.Conv2d(b + 3 * 4, d, 1)
        self.block4 = ResBlock(d)
        self.mix2 = nn.Conv2d(d + 3, e, 1)
        self.block2 = ResBlock(e)
        self.norm = nn.GroupNorm(16, e)
        self.outlet = nn.Conv2d(e, 12, 3, padding=1)
        _zero(self.outlet)

    def forward(self, z: Tensor, linear: Tensor) -> Tensor:
        seen = linear * 2 - 1  # (B, 3, S/2, S/2)
        h = self.inlet(z).unflatten(1, (-1, self.grid, self.grid))  # (B, a/2, S/16, S/16)
        h = self.block16(self.mix16(torch.cat([h, F.pixel_unshuffle(seen, 8)], 1)))
        h = self.block8(_mix_up(self.mix8, h, F.pixel_unshuffle(seen, 4)))
        h = self.block4(_mix_up(self.mix4, h, F.pixel_unshuffle(seen, 2)))
        h = self.block2(_mix_up(self.mix2, h, seen))  # (B, e, S/2, S/2)
        residual = F.pixel_shuffle(self.outlet(F.silu(self.norm(h))), 2)
        upsampled = F.interpolate(linear, scale_factor=2, mode="bicubic", align_corners=False)
        return upsampled + residual  # (B, 3, S, S)


def _mix_up(mix: nn.Conv2d, low: Tensor, high: Tensor) -> Tensor:
    """Double ``low`` and join it with ``high`` through a 1x1 convolution."""
    up = F.interpolate(low, scale_factor=2, mode="nearest")
    mixed: Tensor = mix(torch.cat([up, high], 1))
    return mixed


class VAE(Network):
    """Variational autoencoder of faces.

    Parameters
    ----------
    config
        Shape of the network; the bundled model's by default.
    """

    crop = "template"
    """How faces are cut for it; see :func:`faceflex.faces.align.align`."""

    kind, label = VAE_KIND, LABEL
    config_type: ClassVar[type[Any]] = VAEConfig
    config: VAEConfig

    def __init__(self, config: VAEConfig | None = None) -> None:
        super().__init__()
        self.config = config or VAEConfig()
        self.linear = LinearPath(self.config)
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, (B, latent) each, of pictures (B, 3, S, S) in [0, 1]."""
        mean, logvar = self.encoder(x)
        return mean + self.linear.encode(F.avg_pool2d(x, 2)), logvar

    def encode(self, x: Tensor) -> Tensor:
        """Return the posterior mean (B, latent) of pictures (B, 3, S, S) in [0, 1]."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Return pictures (B, 3, S, S), about [0, 1] and not clipped, of latents (B, latent)."""
        picture: Tensor = self.decoder(z, self.linear.decode(z))
        return picture

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return reconstruction, mean and log-variance; ``noise`` (B, latent) is normal."""
        mean, logvar = self.posterior(x)
        return self.decode(mean + noise * torch.exp(0.5 * logvar)), mean, logvar


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(posterior || N(0, 1)) in nats, summed over the latent: (B,).

    Examples
    --------
    >>> kl_divergence(torch.full((1, 5), 2.0), torch.zeros(1, 5))
    tensor([10.])
    """
    mean, logvar = mean.float(), logvar.float()
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(dim=1)
