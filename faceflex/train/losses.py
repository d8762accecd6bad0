"""Losses on pictures and on a discriminator's logits."""

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
    """L1 distance of two pictures, band by band.

    The Laplacian pyramid (Burt and Adelson 1983) is linear, so that of the difference is enough.

    Parameters
    ----------
    output, target
        (B, 3, S, S) pictures in [0, 1].
    weight
        (B, 1, S, S) how much each pixel counts, at least 0.

    Returns
    -------
    (B,) weighted mean absolute difference, summed over the four levels.
    """
    residual, total = output - target, output.new_zeros(len(output))
    for level in range(LEVELS):
        if level < LEVELS - 1:
            low = F.avg_pool2d(_blur(residual), 2)
            band = residual - F.interpolate(low, scale_factor=2, mode="nearest")
        else:
            low, band = residual, residual
        norm = weight.sum(dim=(1, 2, 3)) * band.shape[1] + 1e-6
        total = total + (band.abs() * weight).sum(dim=(1, 2, 3)) / norm
        residual, weight = low, F.avg_pool2d(weight, 2)
    return total


def crop_and_flip(x: Tensor, corner: tuple[int, int], side: int, flip: bool) -> Tensor:
    """Return a window of (B, C, H, W) at ``corner`` (row, column), mirrored if asked.

    A discriminator sees faces so, or it would learn places of the aligned crop instead of faces.
    """
    window = x[:, :, corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    return window.flip(3) if flip else window


def hinge(real: Tensor, fake: Tensor, real_weight: Tensor, fake_weight: Tensor) -> Tensor:
    """Return the hinge loss of a discriminator (Lim and Ye 2017), weighted by place: a scalar."""
    return (
        weighted_mean(F.relu(1 - real), real_weight) + weighted_mean(F.relu(1 + fake), fake_weight)
    ).mean() / 2


def generator_hinge(fake: Tensor, weight: Tensor) -> Tensor:
    """Return the generator's side of the hinge loss: a scalar."""
    return -weighted_mean(fake, weight).mean()


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the (B,) means of (B, 1, h, w) values, weighted by (B, 1, S, S) at their places."""
    small = F.avg_pool2d(weight, weight.shape[-1] // values.shape[-1])
    return (values * small).sum(dim=(1, 2, 3)) / (small.sum(dim=(1, 2, 3)) + 1e-6)


def pooled_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of (B, C, h, w) values over a batch, weighted by (B, 1, H, W): a scalar.

    Unlike :func:`weighted_mean`, pictures of more weight count more.
    """
    size = (values.shape[-2], values.shape[-1])
    small = F.adaptive_avg_pool2d(weight, size)
    return (values * small).sum() / (small.sum() * values.shape[1]).clamp_min(1e-6)


def pyramid_l1(output: Tensor, target: Tensor, weight: Tensor, scales: tuple[int, ...]) -> Tensor:
    """Return the L1 distance of pictures averaged over squares of each of ``scales``, summed."""
    total = output.new_zeros(())
    for k in scales:
        a, b, w = (F.avg_pool2d(v, k) if k > 1 else v for v in (output, target, weight))
        total = total + pooled_mean((a - b).abs(), w)
    return total


def gradient_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the L1 distance of differences between neighbours, along rows and columns."""
    residual = output - target
    across = residual[..., 1:] - residual[..., :-1]
    down = residual[..., 1:, :] - residual[..., :-1, :]
    return pooled_mean(across.abs(), weight[..., 1:]) + pooled_mean(down.abs(), weight[..., 1:, :])
