"""Patch discriminators (PatchGAN: Isola et al., pix2pix, 2017) of made pictures and photos.

Only training needs them.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Picture -> a logit for each patch of about 30 pixels.

    Convolutions of stride 2 with spectral normalisation (Miyato et al. 2018), and no batch
    normalisation, so that several processes compute what one would.

    Parameters
    ----------
    widths
        Channels at 1/2, 1/4 and 1/8 of the size.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__()
        inside, layers = 3, []
        for width in widths:
            layers.append(spectral_norm(nn.Conv2d(inside, width, 4, stride=2, padding=1)))
            inside = width
        self.layers = nn.ModuleList(layers)
        self.outlet = spectral_norm(nn.Conv2d(inside, 1, 3, padding=1))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures (B, 3, S, S) in [0, 1] -> logits (B, 1, S/8, S/8), and the maps before them."""
        maps, h = [], x * 4 - 2
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            maps.append(h)
        return self.outlet(h), maps


class ContentDiscriminator(nn.Module):
    """Window of a face, and where content was made -> a logit for each patch of about 40 pixels.

    Batch normalisation and inputs of about +-3 let it learn within a hundred steps. Several
    processes each normalise by their own part of a batch.

    Parameters
    ----------
    widths
        Channels at 1/2, 1/4 and 1/8 of the size.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__()
        first, _, last = widths
        layers: list[nn.Module] = [nn.Conv2d(5, first, 4, stride=2, padding=1)]
        for inside, outside in pairwise(widths):
            conv = nn.Conv2d(inside, outside, 4, stride=2, padding=1, bias=False)
            layers.append(nn.Sequential(conv, nn.BatchNorm2d(outside)))
        conv = nn.Conv2d(last, last, 3, padding=1, bias=False)
        layers.append(nn.Sequential(conv, nn.BatchNorm2d(last)))
        self.layers = nn.ModuleList(layers)
        self.outlet = nn.Conv2d(last, 1, 3, padding=1)

    def forward(self, pictures: Tensor, maps: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures (B, 3, H, W) and maps (B, 2, H, W) -> logits (B, 1, H/8, W/8), inner maps.

        Pictures are in [0, 1]; the maps are the hole and the mouth's interior, 0 to 1.
        """
        inner, h = [], torch.cat([pictures * 6 - 3, maps * 2 - 1], 1)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            inner.append(h)
        return self.outlet(h), inner
