"""AE, VAE and CVAE as one small family of convolutional networks, for faces of any size.

Strided convolutions and linear layers make a code of a picture, their mirror image a picture of a
code. A VAE's code is a distribution (Kingma and Welling 2013); to a CVAE's a condition is joined
before it is decoded (Sohn et al. 2015). ``smilecvae-2021`` is the network of SmileCVAE in the sizes
in which it was published.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.models.network import Network

FAMILIES = ("ae", "vae", "cvae")
_LARGEST_SIDE, _LARGEST_WIDTH = 256, 8192


@dataclass(frozen=True)
class ConvAutoencoderConfig:
    """Shape of a :class:`ConvAutoencoder`; saved with its weights.

    Attributes
    ----------
    family
        ``ae``, ``vae`` or ``cvae``.
    size
        Side of the picture in pixels.
    latent
        Numbers of a code.
    channels, kernels
        Of the convolutions, each of which halves the side.
    hidden
        Widths of the linear layers between the last map and the code.
    """

    family: str = "cvae"
    size: int = 50
    latent: int = 20
    channels: tuple[int, ...] = (32, 64, 128, 256)
    kernels: tuple[int, ...] = (6, 5, 3, 3)
    hidden: tuple[int, ...] = (1024, 256)

    def __post_init__(self) -> None:
        widths = (self.latent, *self.channels, *self.hidden)
        whole = all(isinstance(v, int) and 0 < v <= _LARGEST_WIDTH for v in widths)
        kernels = all(isinstance(k, int) and 0 < k < 16 for k in self.kernels)
        if self.family not in FAMILIES or not whole or not kernels:
            raise ValueError("a shape that makes no sense")
        if not self.channels or len(self.channels) != len(self.kernels):
            raise ValueError("as many kernels as channels are needed")
        if not (isinstance(self.size, int) and 16 <= self.size <= _LARGEST_SIDE):
            raise ValueError(f"a size of {self.size!r}")
        if self.sides[-1] < 1:
            raise ValueError(f"too many convolutions for {self.size} pixels")

    @property
    def sides(self) -> list[int]:
        """Side of the picture, and of the map after each convolution.

        Examples
        --------
        >>> ConvAutoencoderConfig().sides
        [50, 25, 13, 7, 4]
        """
        sides = [self.size]
        for kernel in self.kernels:
            sides.append((sides[-1] + 2 * ((kernel - 1) // 2) - kernel) // 2 + 1)
        return sides

    @property
    def conditional(self) -> bool:
        """Whether a condition is joined to the code."""
        return self.family == "cvae"


CONFIGS = {
    "smilecvae-2021": ConvAutoencoderConfig(),
    "smilevae-2021": ConvAutoencoderConfig("vae"),
    "smileae-2021": ConvAutoencoderConfig("ae"),
}
"""Named shapes."""


def named_config(name: str, size: int | None = None) -> ConvAutoencoderConfig:
    """Return a named shape, for pictures of another size if asked."""
    config = CONFIGS[name]
    return config if size is None else replace(config, size=size)


class ConvAutoencoder(Network):
    """An autoencoder of the family.

    Parameters
    ----------
    config
        Its shape; SmileCVAE's by default.
    """

    kind, label = "faceflex-conv-autoencoder-1", "convolutional autoencoder"
    config_type = ConvAutoencoderConfig
    config: ConvAutoencoderConfig

    def __init__(self, config: ConvAutoencoderConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or ConvAutoencoderConfig()
        sides, maps = c.sides, (3, *c.channels)
        down: list[nn.Module] = []
        for i, kernel in enumerate(c.kernels):
            convolution = nn.Conv2d(maps[i], maps[i + 1], kernel, 2, (kernel - 1) // 2)
            down += [convolution, nn.BatchNorm2d(maps[i + 1]), nn.LeakyReLU()]
        self.down = nn.Sequential(*down)
        flat = maps[-1] * sides[-1] ** 2
        outputs = c.latent if c.family == "ae" else 2 * c.latent
        self.inward = _linear_layers((flat, *c.hidden, outputs))
        self.outward = _linear_layers((c.latent + int(c.conditional), *c.hidden[::-1], flat))
        up: list[nn.Module] = [nn.LeakyReLU()]
        for i in reversed(range(len(c.kernels))):
            kernel, pad = c.kernels[i], (c.kernels[i] - 1) // 2
            more = sides[i] - ((sides[i + 1] - 1) * 2 - 2 * pad + kernel)
            up.append(nn.ConvTranspose2d(maps[i + 1], maps[i], kernel, 2, pad, more))
            up += [nn.BatchNorm2d(maps[i]), nn.LeakyReLU()] if i else [nn.Sigmoid()]
        self.up = nn.Sequential(*up)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, S, S) in [0, 1] -> means and log-variances (B, latent) of their codes.

        A plain autoencoder's variances are 0: their logarithm is as low as float16 tells.
        """
        h = self.inward(self.down(x).flatten(1))
        if self.config.family == "ae":
            return h, torch.full_like(h, -30.0)
        mean, logvar = h.chunk(2, dim=1)
        return mean, logvar.clamp(-12, 6)

    def decode(self, codes: Tensor, degrees: Tensor | None = None) -> Tensor:
        """Codes (B, latent), and degrees (B,) of a CVAE -> pictures (B, 3, S, S) in [0, 1]."""
        if self.config.conditional:
            if degrees is None:
                raise ValueError("a CVAE decodes codes with degrees")
            codes = torch.cat([codes, degrees[:, None]], 1)
        side = self.config.sides[-1]
        pictures: Tensor = self.up(self.outward(codes).unflatten(1, (-1, side, side)))
        return pictures

    def forward(
        self, x: Tensor, noise: Tensor, degrees: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return reconstruction, mean and log-variance; ``noise`` (B, latent) is normal."""
        mean, logvar = self.posterior(x)
        codes = mean if self.config.family == "ae" else mean + noise * torch.exp(0.5 * logvar)
        return self.decode(codes, degrees), mean, logvar


def _linear_layers(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these widths with a leaky ReLU between two."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.LeakyReLU()]
    return nn.Sequential(*layers[:-1])


def shrink(x: Tensor, size: int) -> Tensor:
    """Return pictures (B, 3, S, S) at ``size`` pixels, each pixel the mean of its area."""
    return F.interpolate(x, size=(size, size), mode="area") if x.shape[-1] != size else x
