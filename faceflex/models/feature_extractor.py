"""Feature extractor of the perceptual loss: a small network that learned labels of faces.

Perceptual losses compare a network's feature maps instead of pixels (Johnson et al. 2016; Hou et
al., "Deep feature consistent VAE", 2017). Channels are brought to unit length at each place first,
as in LPIPS (Zhang et al. 2018). It is not the attribute classifier that measures edits: another
architecture, with full resolution at its first maps, other faces, another seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.models.attribute_classifier import conv
from faceflex.models.checkpoint import load_network
from faceflex.models.network import Network


@dataclass(frozen=True)
class ExtractorConfig:
    """Shape of a :class:`FeatureExtractor`; saved with its weights.

    Attributes
    ----------
    names
        The labels, in the order of its outputs.
    size
        Side in pixels of the picture that it looks at.
    widths
        Channels at the full size, and at 1/2, 1/4, 1/8 and 1/16 of it.
    """

    names: tuple[str, ...]
    size: int = 128
    widths: tuple[int, int, int, int, int] = (16, 32, 64, 96, 128)


class FeatureExtractor(Network):
    """Picture -> feature maps at five scales, and a logit for each label.

    Parameters
    ----------
    config
        Its shape.
    """

    kind, label, config_type = "faceflex-features-1", "feature network", ExtractorConfig
    config: ExtractorConfig

    def __init__(self, config: ExtractorConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d, e = config.widths
        self.stages = nn.ModuleList(
            [
                conv(3, a),
                nn.Sequential(conv(a, b, 2), conv(b, b)),
                nn.Sequential(conv(b, c, 2), conv(c, c)),
                nn.Sequential(conv(c, d, 2), conv(d, d)),
                nn.Sequential(conv(d, e, 2), conv(e, e)),
            ]
        )
        self.head = nn.Linear(e, len(config.names))

    def maps(self, x: Tensor) -> list[Tensor]:
        """Pictures (B, 3, S, S) in [0, 1] -> maps (B, C, S/k, S/k) for k = 1, 2, 4, 8, 16."""
        maps, h = [], x * 4 - 2
        for stage in self.stages:
            h = stage(h)
            maps.append(h)
        return maps

    def logits(self, last: Tensor) -> Tensor:
        """Last of the maps -> logits (B, labels)."""
        scores: Tensor = self.head(last.mean(dim=(2, 3)))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [0, 1] -> logits (B, labels)."""
        return self.logits(self.maps(x)[-1])


def map_distance(output: list[Tensor], target: list[Tensor], weight: Tensor) -> Tensor:
    """Perceptual distance of two pictures, from their feature maps.

    Parameters
    ----------
    output, target
        From :meth:`FeatureExtractor.maps`.
    weight
        (B, 1, S, S) how much each pixel counts, at least 0.

    Returns
    -------
    (B,) weighted mean over places of the squared distance of unit vectors, summed over scales.
    """
    total = weight.new_zeros(len(weight))
    for a, b in zip(output, target, strict=True):
        w = F.avg_pool2d(weight, weight.shape[-1] // a.shape[-1])
        unit_a, unit_b = F.normalize(a, dim=1, eps=1e-3), F.normalize(b, dim=1, eps=1e-3)
        distance = (unit_a - unit_b).square().sum(dim=1, keepdim=True)
        total = total + (distance * w).sum(dim=(1, 2, 3)) / (w.sum(dim=(1, 2, 3)) + 1e-6)
    return total


def load_extractor(path: Path) -> FeatureExtractor:
    """Read a feature extractor, frozen; see :func:`faceflex.models.checkpoint.load_network`."""
    return load_network(path, FeatureExtractor).requires_grad_(False)
