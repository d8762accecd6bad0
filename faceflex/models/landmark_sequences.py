"""CMM-Net's recurrent networks: one smile of a style, and many of it.

Wang et al., CVPR 2018, sections 3.2 and 3.3. A conditional LSTM starts from the code of a face's
landmark picture and is told the style at every step; its codes are decoded to landmark pictures.
K more LSTMs read its codes and write K sequences: *pulled*, their mean at each step stays at the
conditional sequence; *pushed*, a linear classifier tells their means over time apart. The paper
does not say how wide the LSTMs are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.models.landmark_vae import LandmarkVAE, LandmarkVAEConfig
from faceflex.models.network import Network

FRAMES = 32
"""Length of a sequence, neutral to smile."""
STYLES = 2
_LARGEST = 4096


@dataclass(frozen=True)
class SequenceConfig:
    """Shape of :class:`LandmarkSequences`.

    Attributes
    ----------
    latent, widths
        As of the landmark VAE.
    hidden
        Units of each LSTM.
    modes
        K.
    """

    latent: int = 100
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    hidden: int = 256
    modes: int = 3

    def __post_init__(self) -> None:
        if not (isinstance(self.hidden, int) and 1 <= self.hidden <= _LARGEST):
            raise ValueError(f"{self.hidden!r} units")
        if not (isinstance(self.modes, int) and 1 <= self.modes <= 64):
            raise ValueError(f"{self.modes!r} modes")
        LandmarkVAEConfig(self.latent, self.widths)


class LandmarkSequences(Network):
    """Neutral landmark picture and style -> codes of one sequence, and of K more.

    Parameters
    ----------
    config
        Its shape.
    """

    kind, label = "faceflex-landmark-sequences-1", "landmark sequence generator"
    config_type = SequenceConfig
    config: SequenceConfig

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.vae = LandmarkVAE(LandmarkVAEConfig(config.latent, config.widths))
        self.conditional = nn.LSTMCell(config.latent + STYLES, config.hidden)
        self.code = nn.Linear(config.hidden, config.latent)
        self.modes = nn.ModuleList(
            nn.LSTM(config.latent, config.hidden, batch_first=True) for _ in range(config.modes)
        )
        self.mode_codes = nn.ModuleList(
            nn.Linear(config.hidden, config.latent) for _ in range(config.modes)
        )
        self.classifier = nn.Linear(config.latent, config.modes)

    def sequence(self, first: Tensor, style: Tensor, frames: int = FRAMES) -> Tensor:
        """Codes (B, latent) of neutral pictures, styles (B,) -> codes (B, T, latent).

        Each step adds to the code before it.
        """
        told = F.one_hot(style.long(), STYLES).to(first.dtype)
        h = first.new_zeros(len(first), self.config.hidden)
        state, code, codes = (h, h), first, []
        for _ in range(frames):
            state = self.conditional(torch.cat([code, told], dim=1), state)
            code = code + self.code(state[0])
            codes.append(code)
        return torch.stack(codes, dim=1)

    def mode_sequences(self, codes: Tensor) -> Tensor:
        """Codes (B, T, latent) of conditional sequences -> (B, K, T, latent)."""
        made = [
            codes + head(lstm(codes)[0])
            for lstm, head in zip(self.modes, self.mode_codes, strict=True)
        ]
        return torch.stack(made, dim=1)

    def pictures(self, codes: Tensor) -> Tensor:
        """Codes (..., latent) -> logits of landmark pictures (..., 64, 64)."""
        logits = self.vae.decode(codes.flatten(0, -2))
        return logits.reshape(*codes.shape[:-1], *logits.shape[-2:])

    def forward(self, first: Tensor, style: Tensor, frames: int = FRAMES) -> Tensor:
        """Neutral pictures (B, 1, 64, 64), styles (B,) -> codes (B, T, latent)."""
        return self.sequence(self.vae.encode(first)[0], style, frames)


def pull_loss(made: Tensor, codes: Tensor) -> Tensor:
    """Return how far the mean of K sequences (B, K, T, n) is from codes (B, T, n), squared."""
    return (made.mean(dim=1) - codes).square().sum(dim=-1).mean()


def push_loss(logits: Tensor) -> Tensor:
    """Return the cross-entropy of which of K sequences is which; logits (B, K, K)."""
    count, modes = logits.shape[:2]
    truth = torch.arange(modes, device=logits.device).repeat(count)
    return F.cross_entropy(logits.flatten(0, 1), truth)
