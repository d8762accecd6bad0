"""Named loss terms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 4


def _blur(x: Tensor) -> Tensor:
    """Blur (B, C, H, W) with the 5-tap binomial kernel, reflecting at the edge."""
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=x.device, dtype=x.dtype) / 16
    kernel = (taps[:, None] * taps[None, :]).expand(x.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, groups=x.shape[1])


def laplacian_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compare two pictures band by band.

    The Laplacian pyramid (Burt and Adelson 1983) is linear, so that of the difference is enough.

    Parameters
    ----------
    output, target
        (B, 3, S, S) pictures in [0, 1].
    weight
        (B, 1, S, S) how much each pixel counts, at least 0.

    Returns
    -------
    Weighted mean absolute difference, summed over the four levels: a scalar.
    """
    rest, total = output - target, output.new_zeros(())
    for level in range(LEVELS):
        if level < LEVELS - 1:
            low = F.avg_pool2d(_blur(rest), 2)
            band = rest - F.interpolate(low, scale_factor=2, mode="nearest")
        else:
            low, band = rest, rest
        norm = weight.sum() * band.shape[1] + 1e-6
        total = total + (band.abs() * weight).sum() / norm
        rest, weight = low, F.avg_pool2d(weight, 2)
    return total
