"""A network to compare pictures by: what it sees at each scale, beside their pixels.

Perceptual losses compare a network's inner maps instead of pixels (Johnson et al. 2016; Hou et
al., "Deep feature consistent VAE", 2017), here those of a small network that learned faces'
labels. Channels are brought to unit length at each place first, as Zhang et al. (LPIPS, 2018) do.
It is not the judge: another architecture, with full resolution at its first maps, other faces,
another seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.models.attribute_classifier import conv
from faceflex.models.checkpoint import load_network, save_network

KIND, WHAT = "faceflex-features-1", "feature network"


@dataclass(frozen=True)
class ExtractorConfig:
    """Shape of a :class:`FeatureExtractor`; saved with its weights.

    Attributes
    ----------
    names
        What its outputs tell.
    size
        Side in pixels of the picture that it looks at.
    widths
        Channels at the full size, and at 1/2, 1/4, 1/8 and 1/16 of it.
    """

    names: tuple[str, ...]
    size: int = 128
    widths: tuple[int, int, int, int, int] = (16, 32, 64, 96, 128)


class FeatureExtractor(nn.Module):
    """Picture -> maps at five scales, and a logit for each label.

    Parameters
    ----------
    config
        Its shape.
    """

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
        found, h = [], x * 4 - 2
        for stage in self.stages:
            h = stage(h)
            found.append(h)
        return found

    def read(self, last: Tensor) -> Tensor:
        """Last of the maps -> logits (B, labels)."""
        logits: Tensor = self.head(last.mean(dim=(2, 3)))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [0, 1] -> logits (B, labels)."""
        return self.read(self.maps(x)[-1])


def map_distance(ours: list[Tensor], theirs: list[Tensor], weight: Tensor) -> Tensor:
    """Compare two pictures' maps.

    Parameters
    ----------
    ours, theirs
        From :meth:`FeatureExtractor.maps`.
    weight
        (B, 1, S, S) how much each pixel counts, at least 0.

    Returns
    -------
    (B,) weighted mean over places of the squared distance of unit vectors, summed over scales.
    """
    total = weight.new_zeros(len(weight))
    for a, b in zip(ours, theirs, strict=True):
        w = F.avg_pool2d(weight, weight.shape[-1] // a.shape[-1])
        unit_a, unit_b = F.normalize(a, dim=1, eps=1e-3), F.normalize(b, dim=1, eps=1e-3)
        apart = (unit_a - unit_b).square().sum(dim=1, keepdim=True)
        total = total + (apart * w).sum(dim=(1, 2, 3)) / (w.sum(dim=(1, 2, 3)) + 1e-6)
    return total


def save_extractor(
    network: FeatureExtractor, path: Path, extra: dict[str, Any] | None = None
) -> None:
    """Write a feature network; see :func:`faceflex.models.checkpoint.save_network`."""
    save_network(network, network.config, path, KIND, extra)


def load_extractor(path: Path) -> FeatureExtractor:
    """Read a feature network, frozen; see :func:`faceflex.models.checkpoint.load_network`."""
    return load_network(path, KIND, WHAT, FeatureExtractor, ExtractorConfig).requires_grad_(False)
