"""CMM-Net's translation: a neutral face and a landmark picture to the face with those landmarks.

Wang et al., CVPR 2018, section 4: a U-Net of six convolutions a side (4x4, stride 2; 64, 128, 256,
512, 512, 512 channels), from 4 channels to 3, in [-1, 1]; and a discriminator of pairs of faces
with a verdict for each place (pix2pix, Isola et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.models.network import Network

_SLOPE = 0.2
_LARGEST = 4096


@dataclass(frozen=True)
class TranslationConfig:
    """Shape of a :class:`FaceTranslation`; the published one by default.

    Attributes
    ----------
    widths
        Channels at 1/2 to 1/64 of the size.
    """

    widths: tuple[int, int, int, int, int, int] = (64, 128, 256, 512, 512, 512)

    def __post_init__(self) -> None:
        known = all(isinstance(n, int) and 1 <= n <= _LARGEST for n in self.widths)
        if len(self.widths) != 6 or not known:
            raise ValueError(f"widths of {self.widths}")


class FaceTranslation(Network):
    """Faces (B, 3, 64, 64) in [-1, 1], landmark pictures (B, 1, 64, 64) -> faces.

    Parameters
    ----------
    config
        Its shape.

    Examples
    --------
    >>> import torch
    >>> network = FaceTranslation(TranslationConfig()).eval()
    >>> tuple(network(torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)).shape)
    (1, 3, 64, 64)
    """

    kind, label = "faceflex-face-translation-1", "face translation"
    config_type = TranslationConfig
    config: TranslationConfig

    def __init__(self, config: TranslationConfig) -> None:
        super().__init__()
        self.config = config
        widths, last = config.widths, len(config.widths) - 1
        inside = (4, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 4, 2, 1, bias=n in (0, last)),
                nn.Identity() if n in (0, last) else nn.BatchNorm2d(b),
                nn.ReLU() if n == last else nn.LeakyReLU(_SLOPE),
            )
            for n, (a, b) in enumerate(zip(inside, widths, strict=True))
        )
        outside = (*widths[-2::-1], 3)
        # Behind the deepest one, each is also given the encoder's maps of its size.
        given = (widths[-1], *(2 * w for w in outside[:-1]))
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(a, b, 4, 2, 1, bias=n == last),
                nn.Tanh() if n == last else nn.Sequential(nn.BatchNorm2d(b), nn.ReLU()),
            )
            for n, (a, b) in enumerate(zip(given, outside, strict=True))
        )

    def forward(self, faces: Tensor, landmarks: Tensor) -> Tensor:
        """Return the faces with those landmarks, (B, 3, 64, 64) in [-1, 1]."""
        h, kept = torch.cat([faces, landmarks], dim=1), []
        for layer in self.down:
            h = layer(h)
            kept.append(h)
        h = self.up[0](h)
        for layer, skip in zip(self.up[1:], kept[-2::-1], strict=True):
            h = layer(torch.cat([h, skip], dim=1))
        return h


class PairDiscriminator(nn.Module):
    """Neutral and other face (B, 3, 64, 64) each -> a logit for each of 6x6 places.

    Three 4x4 convolutions of stride 2 and two of stride 1: 64-128-256-512-1 channels, batch
    normalization in the middle three.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(6, 64, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        for a, b, stride in ((64, 128, 2), (128, 256, 2), (256, 512, 1)):
            layers += [nn.Conv2d(a, b, 4, stride, 1, bias=False), nn.BatchNorm2d(b)]
            layers.append(nn.LeakyReLU(_SLOPE))
        self.layers = nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 1))

    def forward(self, neutral: Tensor, other: Tensor) -> Tensor:
        """Return logits (B, 1, 6, 6): above 0 where the pair looks like two photos."""
        logits: Tensor = self.layers(torch.cat([neutral, other], dim=1))
        return logits


def adversarial_loss(logits: Tensor, *, real: bool) -> Tensor:
    """Return the mean cross-entropy of verdicts against what they should be."""
    truth = torch.full_like(logits, float(real))
    return F.binary_cross_entropy_with_logits(logits, truth)
