"""Conditional adversarial autoencoder: a face, and valence and arousal, to the face that feels so.

Lindt, Barros, Siqueira and Wermter, "Facial expression editing with continuous emotion labels",
FG 2019. ``caae-2019`` is the published network; ``caae`` is ours: 128 pixels, resize convolutions
in place of transposed ones (Odena et al., "Deconvolution and checkerboard artifacts", 2016), and
the label at every scale (FiLM: Perez et al. 2018) in place of copies of it beside the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.models.checkpoint import load_network
from faceflex.models.network import Network

DESIGNS = ("2019", "film")
_LARGEST, _WIDEST = 512, 2048


@dataclass(frozen=True)
class CAAEConfig:
    """Shape of a :class:`CAAE`; saved with its weights.

    Attributes
    ----------
    design
        ``2019``: as published; ``film``: ours.
    size
        Side of the pictures in pixels.
    latent
        Numbers of the code.
    widths
        Channels of the encoder at 1/2, 1/4, ... of the size.
    """

    design: str = "film"
    size: int = 128
    latent: int = 128
    widths: tuple[int, ...] = (32, 64, 128, 192, 256)

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise ValueError(f"a design {self.design!r}")
        count = len(self.widths)
        sizes = (self.size, self.latent, *self.widths)
        if not (2 <= count <= 6 and all(isinstance(n, int) and n > 0 for n in sizes)):
            raise ValueError("sizes that are no positive integers")
        if self.size > _LARGEST or self.size % 2**count or max(sizes[1:]) > _WIDEST:
            raise ValueError(f"a size of {self.size}, or layers that are too wide")


CONFIGURATIONS = {
    "caae": CAAEConfig(),
    "caae-2019": CAAEConfig("2019", 96, 50, (64, 128, 256, 512)),
}
"""Named configurations."""


class _Encoder2019(nn.Module):
    """Four 5x5 convolutions of stride 2, ReLU, a linear layer, tanh."""

    def __init__(self, config: CAAEConfig) -> None:
        super().__init__()
        channels = (3, *config.widths)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 5, stride=2, padding=2) for a, b in pairwise(channels)
        )
        side = config.size // 2 ** len(config.widths)
        self.linear = nn.Linear(config.widths[-1] * side * side, config.latent)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] -> codes (B, latent) in [-1, 1]."""
        for conv in self.convs:
            x = F.relu(conv(x))
        return torch.tanh(self.linear(x.flatten(1)))


class _Generator2019(nn.Module):
    """A linear layer, four transposed convolutions of stride 2 and two of stride 1, tanh."""

    def __init__(self, config: CAAEConfig) -> None:
        super().__init__()
        self.side = config.size // 2 ** len(config.widths)
        channels = (2 * config.widths[-1], *reversed(config.widths))
        self.latent, self.first = config.latent, channels[0]
        self.linear = nn.Linear(3 * config.latent, self.first * self.side**2)
        self.convs = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 5, stride=2, padding=2, output_padding=1)
            for a, b in pairwise(channels)
        )
        last = config.widths[0]
        self.fine = nn.ConvTranspose2d(last, last // 2, 5, padding=2)
        self.outlet = nn.ConvTranspose2d(last // 2, 3, 5, padding=2)

    def forward(self, z: Tensor, places: Tensor) -> Tensor:
        """Codes (B, latent), places (B, 2) -> pictures (B, 3, S, S) in [-1, 1]."""
        labels = places.repeat_interleave(self.latent, dim=1)
        h = F.relu(self.linear(torch.cat([z, labels], 1)))
        h = h.view(-1, self.first, self.side, self.side)
        for conv in self.convs:
            h = F.relu(conv(h))
        return torch.tanh(self.outlet(F.relu(self.fine(h))))


class _EncoderFilm(nn.Module):
    """3x3 convolutions of stride 2 with group normalisation, a linear layer, tanh."""

    def __init__(self, config: CAAEConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise((3, *config.widths)):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.GroupNorm(_groups(b), b)]
            layers += [nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        side = config.size // 2 ** len(config.widths)
        self.linear = nn.Linear(config.widths[-1] * side * side, config.latent)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] -> codes (B, latent) in [-1, 1]."""
        return torch.tanh(self.linear(self.body(x).flatten(1)))


class _FilmBlock(nn.Module):
    """Twice as large by nearest neighbours, a 3x3 convolution, scaled and shifted by the place."""

    def __init__(self, inside: int, outside: int, told: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm = nn.GroupNorm(_groups(outside), outside)
        self.film = nn.Linear(told, 2 * outside)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Maps (B, C, S, S), what they are told (B, T) -> maps (B, C', 2S, 2S)."""
        h = self.norm(self.conv(F.interpolate(x, scale_factor=2.0)))
        scale, shift = self.film(told)[:, :, None, None].chunk(2, dim=1)
        return F.leaky_relu(h * (1 + scale) + shift, 0.2)


class _GeneratorFilm(nn.Module):
    """Resize convolutions that are told the place at every scale."""

    _TOLD = 64

    def __init__(self, config: CAAEConfig) -> None:
        super().__init__()
        self.side = config.size // 2 ** len(config.widths)
        channels = (config.widths[-1], *reversed(config.widths))
        self.first = channels[0]
        self.linear = nn.Linear(config.latent, self.first * self.side**2)
        self.told = nn.Sequential(
            nn.Linear(config.latent + 5, self._TOLD),
            nn.LeakyReLU(0.2),
            nn.Linear(self._TOLD, self._TOLD),
            nn.LeakyReLU(0.2),
        )
        self.blocks = nn.ModuleList(_FilmBlock(a, b, self._TOLD) for a, b in pairwise(channels))
        self.outlet = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, z: Tensor, places: Tensor) -> Tensor:
        """Codes (B, latent), places (B, 2) -> pictures (B, 3, S, S) in [-1, 1]."""
        v, a = places[:, :1], places[:, 1:]
        told = self.told(torch.cat([z, v, a, v * v, v * a, a * a], 1))
        h = F.leaky_relu(self.linear(z), 0.2).view(-1, self.first, self.side, self.side)
        for block in self.blocks:
            h = block(h, told)
        return torch.tanh(self.outlet(h))


def _groups(channels: int) -> int:
    return 8 if channels % 8 == 0 else 1


class CAAE(Network):
    """Encoder and generator; the discriminators are only needed to train them.

    Parameters
    ----------
    config
        Its shape.
    """

    kind, label, config_type = "faceflex-caae-1", "conditional adversarial autoencoder", CAAEConfig
    config: CAAEConfig

    def __init__(self, config: CAAEConfig) -> None:
        super().__init__()
        self.config = config
        published = config.design == "2019"
        self.encoder = (_Encoder2019 if published else _EncoderFilm)(config)
        self.generator = (_Generator2019 if published else _GeneratorFilm)(config)
        for module in self.modules():
            if published and isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, S, S) in [-1, 1], places (B, 2) -> pictures, and codes (B, latent)."""
        z = self.encoder(x)
        return self.generator(z, places), z

    @torch.inference_mode()
    def encode(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return codes (N, latent) of aligned crops (N, 128, 128, 3) uint8."""
        x = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1
        size = (self.config.size,) * 2
        if x.shape[2:] != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        codes: NDArray[np.float32] = self.encoder(x.to(self.device)).float().cpu().numpy()
        return codes

    @torch.inference_mode()
    def generate(
        self, codes: NDArray[np.floating], places: NDArray[np.floating], side: int
    ) -> NDArray[np.float32]:
        """Return pictures (N, side, side, 3) float32 in [0, 1] of codes at places (N, 2).

        One after the other: a face comes out the same, whatever is made with it.
        """
        rows = []
        for code, place in zip(codes, places, strict=True):
            z, p = (torch.from_numpy(np.float32(x))[None].to(self.device) for x in (code, place))
            y = self.generator(z, p).float() / 2 + 0.5
            if y.shape[2] != side:
                y = F.interpolate(y, (side, side), mode="bicubic", align_corners=False)
            rows.append(y.clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy())
        return np.array(rows, np.float32).reshape(-1, side, side, 3)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device


def load_caae(path: Path, device: str = "cpu") -> CAAE:
    """Read an autoencoder; see :func:`faceflex.models.checkpoint.load_network`."""
    return load_network(path, CAAE, device=device)
