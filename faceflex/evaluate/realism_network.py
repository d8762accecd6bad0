"""The small network that is trained anew to tell edited faces from real ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.evaluate.realism_faces import MARGIN, Pictures
from faceflex.parallel.process_pool import default_jobs
from faceflex.parallel.threads import run_in_threads

Flags = NDArray[np.bool_]
Advance = Callable[[], None]

_WIDTHS = (16, 32, 48, 64)  # Channels at 1/2, 1/4, 1/8 and 1/16 of the window.


@dataclass(frozen=True)
class RealismTraining:
    """How the networks are trained.

    Attributes
    ----------
    epochs
        Passes over the training faces.
    batch
        Faces a step.
    rate
        Highest learning rate.
    networks
        Networks for each fold, whose logits are averaged.
    """

    epochs: int = 40
    batch: int = 24
    rate: float = 3e-3
    networks: int = 1


def held_out_logits(
    windows: Pictures,
    is_edited: Flags,
    fold: NDArray[np.intp],
    *,
    seed: int = 0,
    training: RealismTraining | None = None,
    advance: Advance | None = None,
) -> NDArray[np.float64]:
    """Score each face by networks that have not learned from its fold.

    Parameters
    ----------
    windows
        (N, H, W, 3) uint8, with their margins.
    is_edited
        (N,), what is to be told.
    fold
        (N,), from 0.
    seed
        Of first weights, order and augmentation.
    training
        How to train.
    advance
        Called after each training.

    Returns
    -------
    (N,) logits. Those of different folds are not on one scale.
    """
    training = training or RealismTraining()
    numbers = list(itertools.product(range(int(fold.max()) + 1), range(training.networks)))

    def jobs() -> Any:
        for k, number in numbers:
            rng = np.random.default_rng((seed, 2, number, k))
            network = make_network(1000 * seed + 100 * number + k)
            yield partial(_train_and_score, windows, is_edited, fold == k, network, rng, training)

    logits = np.zeros(len(windows))
    threads = torch.get_num_threads()
    try:
        for (k, _), scores in zip(numbers, run_in_threads(jobs(), default_jobs()), strict=True):
            logits[fold == k] += scores / training.networks
            if advance:
                advance()
    finally:
        torch.set_num_threads(threads)
    return logits


def make_network(seed: int) -> nn.Sequential:
    """Make a small convolutional network: (B, 3, H, W) -> (B, 1) logits, for even H and W."""
    layers: list[nn.Module] = [nn.PixelUnshuffle(2)]  # All pixels, at a quarter of the work.
    inputs = 12
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for width in _WIDTHS:
            convolution = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if width != _WIDTHS[-1] else []
            inputs = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1)]
    return nn.Sequential(*layers)


def _train_and_score(
    windows: Pictures,
    is_edited: Flags,
    held_out: Flags,
    network: nn.Sequential,
    rng: np.random.Generator,
    training: RealismTraining,
) -> NDArray[np.float64]:
    """Train a network on the other faces, and return the logits (M,) of the held-out ones."""
    torch.set_num_threads(1)  # The order of sums, and so the result, depends on it.
    index = np.flatnonzero(~held_out)
    batch = min(training.batch, len(index))
    in_epoch = len(index) // batch
    optimizer = torch.optim.AdamW(network.parameters(), training.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.rate, total_steps=training.epochs * in_epoch
    )
    network.train()
    for _ in range(training.epochs):
        order = rng.permutation(index)
        for start in range(0, in_epoch * batch, batch):
            chosen = order[start : start + batch]
            target = torch.from_numpy(is_edited[chosen].astype(np.float32))
            logits = network(_augmented(windows[chosen], rng))[:, 0]
            loss = F.binary_cross_entropy_with_logits(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.inference_mode():
        x = _as_input(windows[held_out][:, MARGIN:-MARGIN, MARGIN:-MARGIN])
        scores = (network(x) + network(x.flip(3)))[:, 0] / 2
    return scores.numpy().astype(np.float64)


def _as_input(windows: NDArray[Any]) -> Tensor:
    """(B, H, W, 3) from 0 to 255 -> (B, 3, H, W), about -2 to 2."""
    return torch.from_numpy(np.ascontiguousarray(windows.transpose(0, 3, 1, 2))).float() / 64 - 2


def _augmented(windows: Pictures, rng: np.random.Generator) -> Tensor:
    """Shift windows (B, H, W, 3) by whole pixels, mirror some, vary light and color."""
    height, width = (n - 2 * MARGIN for n in windows.shape[1:3])
    corners = rng.integers(0, 2 * MARGIN + 1, (len(windows), 2))
    shifted = np.stack(
        [w[y : y + height, x : x + width] for w, (y, x) in zip(windows, corners, strict=True)]
    )
    mirrored = rng.random(len(windows)) < 0.5
    shifted[mirrored] = shifted[mirrored][:, :, ::-1]
    light = rng.uniform(0.8, 1.2, (len(windows), 1, 1, 1)).astype(np.float32)
    color = rng.uniform(0.95, 1.05, (len(windows), 1, 1, 3)).astype(np.float32)
    return _as_input(shifted * light * color)
