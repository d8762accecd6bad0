"""How smiles go over time: a conditional LSTM that turns a code into action unit curves.

A sequence autoencoder (Bowman et al. 2016; Ha and Eck 2018): an LSTM reads the curves of a real
smile into a code, another one, which is told the style at every step as in CMM-Net (Wang et al.,
CVPR 2018), makes curves of the code. Codes of the training's smiles are kept; a new smile is drawn
near one of them (a smoothed bootstrap, Silverman 1986), so that amplitudes and speeds are spread as
real ones are. What a code does not tell of a smile, its small ups and downs, is drawn from real
ones too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.models.network import Network

CHANNELS = 3
"""AU12, AU6 and AU25."""
SCALE = 3.0
"""Intensity that is 1 to the network."""
BLINK_SAMPLES = 21
STYLES = 2

_LARGEST = 4096


@dataclass(frozen=True)
class DynamicsConfig:
    """Shape of :class:`SmileDynamics`; saved with its weights.

    Attributes
    ----------
    hidden
        Units of each LSTM.
    latent
        Numbers of a code.
    length
        Samples of a sequence, 25 a second.
    codes
        How many codes of real smiles are kept.
    blinks
        How many shapes of real blinks are kept.
    details
        For how many real smiles what a code does not tell of them is kept.
    """

    hidden: int = 128
    latent: int = 12
    length: int = 128
    codes: int = 0
    blinks: int = 0
    details: int = 0

    def __post_init__(self) -> None:
        sizes = (self.hidden, self.latent, self.length)
        if not all(isinstance(n, int) and 1 <= n <= _LARGEST for n in sizes):
            raise ValueError(f"sizes of {sizes}")
        kept = (self.codes, self.blinks, self.details)
        if not all(isinstance(n, int) and 0 <= n <= _LARGEST for n in kept):
            raise ValueError(f"counts of {kept}")


class SmileDynamics(Network):
    """Curves (B, T, 3) -> codes -> curves.

    Parameters
    ----------
    config
        Its shape.
    """

    kind, label, config_type = "faceflex-smile-dynamics-1", "smile dynamics", DynamicsConfig
    config: DynamicsConfig
    codes: Tensor
    styles: Tensor
    spread: Tensor
    blink_rates: Tensor
    blink_shapes: Tensor
    details: Tensor
    detail_styles: Tensor

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.config = config
        n = config.hidden
        self.reader = nn.LSTM(CHANNELS + 1, n, batch_first=True, bidirectional=True)
        self.mean = nn.Linear(2 * n, config.latent)
        self.log_variance = nn.Linear(2 * n, config.latent)
        self.start = nn.Linear(config.latent + 1, 2 * n)
        self.writer = nn.LSTM(config.latent + 3, n, batch_first=True)
        self.curves = nn.Linear(n, CHANNELS)
        # What was fitted to the training's smiles.
        self.register_buffer("codes", torch.zeros(config.codes, config.latent))
        self.register_buffer("styles", torch.zeros(config.codes))
        self.register_buffer("spread", torch.zeros(STYLES, config.latent))
        self.register_buffer("blink_rates", torch.zeros(STYLES, 12))
        self.register_buffer("blink_shapes", torch.zeros(config.blinks, BLINK_SAMPLES))
        self.register_buffer("details", torch.zeros(config.details, config.length, CHANNELS))
        self.register_buffer("detail_styles", torch.zeros(config.details))

    def encode(self, curves: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Curves (B, T, 3) in units of ``SCALE``, styles (B,) -> code means and log-variances."""
        told = style[:, None, None].expand(-1, curves.shape[1], 1)
        states, _ = self.reader(torch.cat([curves, told], dim=2))
        pooled = states.mean(dim=1)
        return self.mean(pooled), self.log_variance(pooled).clamp(-8, 4)

    def decode(self, codes: Tensor, style: Tensor, length: int | None = None) -> Tensor:
        """Codes (B, latent), styles (B,) -> curves (B, T, 3) in units of ``SCALE``."""
        steps = length or self.config.length
        first = torch.tanh(self.start(torch.cat([codes, style[:, None]], dim=1)))
        h, c = first.chunk(2, dim=1)
        time = torch.arange(steps, device=codes.device, dtype=codes.dtype) / 25.0
        told = torch.cat([codes, style[:, None]], dim=1)[:, None].expand(-1, steps, -1)
        clock = torch.stack([time, torch.exp(-time)], dim=1)[None].expand(len(codes), -1, -1)
        states, _ = self.writer(
            torch.cat([told, clock], dim=2), (h[None].contiguous(), c[None].contiguous())
        )
        return self.curves(states)

    def forward(self, curves: Tensor, style: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return curves made of noisy codes, and the Kullback-Leibler divergence (B,)."""
        mean, log_variance = self.encode(curves, style)
        code = mean + noise * torch.exp(0.5 * log_variance)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
        return self.decode(code, style, curves.shape[1]), kl


def curve_losses(made: Tensor, real: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean distances of curves (B, T, 3), and of their changes, where they are real."""
    place = weight[:, :, None]
    total = place.sum() * CHANNELS + 1e-6
    values = F.smooth_l1_loss(made * place, real * place, reduction="sum", beta=0.2) / total
    slope = (made.diff(dim=1) - real.diff(dim=1)) * place[:, 1:]
    return values, slope.abs().sum() / total
