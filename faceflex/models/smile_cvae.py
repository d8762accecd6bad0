"""SmileCVAE: a conditional VAE of faces whose condition is the degree of a smile.

It shares the face model's encoder and decoder, and works on what they agree on, the face model's
latent. The recognition network takes a latent and the face's degree to a code that says nothing of
the degree; the degree is joined to the code before decoding (Sohn et al., "Learning structured
output representation using deep conditional generative models", 2015).

Latents of a VAE are close to normal, and of a linear Gaussian model the optimum is known: the
degree's effect is a partial regression coefficient, and the code what is left, whitened. So both
halves are that linear map, plus a small network that starts at zero and learns what is not linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from faceflex.models.network import Network

_LARGEST = 4096


@dataclass(frozen=True)
class SmileCVAEConfig:
    """Shape of a :class:`SmileCVAE`; saved with its weights.

    Attributes
    ----------
    face_model
        Id of the face model that it shares encoder and decoder with.
    latent
        Numbers of a latent, and of a code.
    hidden
        Width of the two small networks.
    gain
        How much more the decode of an edited face should change than the degree, because a photo
        shows less of a change than the decode.
    """

    face_model: str
    latent: int = 500
    hidden: int = 128
    gain: float = 1.0

    def __post_init__(self) -> None:
        whole = all(isinstance(v, int) and 0 < v <= _LARGEST for v in (self.latent, self.hidden))
        gain = isinstance(self.gain, float | int) and 0 < self.gain < 10
        if not (whole and gain and isinstance(self.face_model, str)):
            raise ValueError("a shape that makes no sense")


def _residual(latent: int, hidden: int) -> nn.Sequential:
    """Code or latent, and degree -> correction; starts at zero."""
    last = nn.Linear(hidden, latent)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(latent + 1, hidden), nn.SiLU(), last)


class SmileCVAE(Network):
    """Conditional VAE over the latents of a face model.

    Parameters
    ----------
    config
        Its shape.
    """

    kind, label, config_type = "faceflex-smile-cvae-1", "smile CVAE", SmileCVAEConfig
    config: SmileCVAEConfig

    def __init__(self, config: SmileCVAEConfig) -> None:
        super().__init__()
        self.config = config
        n = config.latent
        self.mean = nn.Parameter(torch.zeros(n))
        self.effect = nn.Parameter(torch.zeros(n))
        self.mix = nn.Parameter(torch.zeros(n, n).fill_diagonal_(1.0))
        self.unmix = nn.Parameter(torch.zeros(n, n).fill_diagonal_(1.0))
        self.logvar = nn.Parameter(torch.full((n,), -4.0))
        self.recognition = _residual(n, config.hidden)
        self.generation = _residual(n, config.hidden)

    def encode(self, latents: Tensor, degrees: Tensor) -> Tensor:
        """Latents (B, D) and degrees (B,) -> posterior means of codes (B, D)."""
        told = degrees[:, None]
        linear = (latents - self.mean - told * self.effect) @ self.unmix.T
        codes: Tensor = linear + self.recognition(torch.cat([linear, told], 1))
        return codes

    def decode(self, codes: Tensor, degrees: Tensor) -> Tensor:
        """Codes (B, D) and degrees (B,) -> latents (B, D) of the face model."""
        told = degrees[:, None]
        joined = torch.cat([codes, told], 1)
        mixed = (codes + self.generation(joined)) @ self.mix.T
        return self.mean + told * self.effect + mixed

    def forward(
        self, latents: Tensor, degrees: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return decoded latents, means and log-variances; ``noise`` (B, D) is normal."""
        codes = self.encode(latents, degrees)
        logvar = self.logvar.expand_as(codes)
        return self.decode(codes + noise * torch.exp(0.5 * logvar), degrees), codes, logvar

    def offset(self, latents: Tensor, own: Tensor, degrees: Tensor) -> Tensor:
        """Return what to add to latents (B, D) of faces of degrees ``own`` (B,) for ``degrees``."""
        codes = self.encode(latents, own)
        return self.decode(codes, degrees) - self.decode(codes, own)
