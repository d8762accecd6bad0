"""Patch discriminator (PatchGAN: Isola et al., pix2pix, 2017) of decoded faces and photos.

Convolutions of stride 2 with spectral normalisation (Miyato et al. 2018), and no batch
normalisation, so that several processes compute what one would. Only training needs it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Picture -> a logit for each patch of about 30 pixels.

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
