"""Face Flex's own network (leon-schi/face-flex, 2019), for people who have its weights.

A plain convolutional VAE: five halvings to 4x4, 500 numbers, five doublings back. It was never put
into evaluation mode, so its batch normalisation always used the statistics of the batch at hand,
which at edit time is one face. Here each face is normalised by its own statistics, which is the
same and does not depend on how many are encoded together. Posterior means take the place of draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.models.model_id import FACE_FLEX_KIND
from faceflex.models.vae import VAE

_SLOPE = 0.2


@dataclass(frozen=True)
class FaceFlexConfig:
    """Shape of a :class:`FaceFlex`; saved with its weights.

    Attributes
    ----------
    width
        Channels of the first convolution; 128 in the published weights.
    latent
        Numbers a face becomes; 500 there.
    """

    width: int = 128
    latent: int = 500

    @property
    def size(self) -> int:
        """Side of the picture in pixels."""
        return 128


class _Norm(nn.BatchNorm2d):
    """Batch normalisation over one picture at a time."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class FaceFlex(VAE):
    """Its encoder and decoder, with its names for their parts.

    Parameters
    ----------
    config
        Its shape; the published weights' by default.
    """

    crop = "face-flex"
    kind, config_type = FACE_FLEX_KIND, FaceFlexConfig
    config: FaceFlexConfig  # type: ignore[assignment]

    def __init__(self, config: FaceFlexConfig | None = None) -> None:
        nn.Module.__init__(self)
        self.config = config or FaceFlexConfig()
        w, latent = self.config.width, self.config.latent
        encoder = [3, w, 2 * w, 4 * w, 8 * w, 8 * w]
        decoder = [16 * w, 8 * w, 4 * w, 2 * w, w]
        for i in range(5):
            setattr(self, f"e{i + 1}", nn.Conv2d(encoder[i], encoder[i + 1], 4, 2, 1))
            setattr(self, f"bn{i + 1}", _Norm(encoder[i + 1]))
        self.fc1 = nn.Linear(8 * w * 16, latent)
        self.fc2 = nn.Linear(8 * w * 16, latent)
        self.d1 = nn.Linear(latent, 16 * w * 16)
        for i in range(4):
            setattr(self, f"d{i + 2}", nn.Conv2d(decoder[i], decoder[i + 1], 3))
            setattr(self, f"bn{i + 6}", _Norm(decoder[i + 1], eps=1e-3))
        self.d6 = nn.Conv2d(w, 3, 3)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, (B, latent) each, of pictures (B, 3, 128, 128)."""
        h = x
        for i in range(1, 6):
            h = F.leaky_relu(getattr(self, f"bn{i}")(getattr(self, f"e{i}")(h)), _SLOPE)
        flat = h.flatten(1)
        return self.fc1(flat), self.fc2(flat)

    def decode(self, z: Tensor) -> Tensor:
        """Return pictures (B, 3, 128, 128) in [0, 1] of latents (B, latent)."""
        h = F.relu(self.d1(z)).unflatten(1, (-1, 4, 4))
        for i in range(2, 6):
            h = getattr(self, f"d{i}")(_grown(h))
            h = F.leaky_relu(getattr(self, f"bn{i + 4}")(h), _SLOPE)
        return torch.sigmoid(self.d6(_grown(h)))


def _grown(h: Tensor) -> Tensor:
    """Double a map, and repeat its edge once on every side."""
    return F.pad(F.interpolate(h, scale_factor=2, mode="nearest"), (1, 1, 1, 1), "replicate")
