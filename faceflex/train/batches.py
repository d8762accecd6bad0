"""Batches of aligned faces; each follows from the seed and the step alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceflex.data.cache import MARGIN, AlignedCache
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE
from faceflex.train.workers import Workers

MAX_SHIFT = 2
"""Pixels that a training crop may move either way."""

Batch = TypeVar("Batch")


def prefetch(make: Callable[[int], Batch], start: int, stop: int) -> Iterator[tuple[int, Batch]]:
    """Yield (step, batch) from ``start`` to ``stop``, making the next while one is used."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(make, start)
        for step in range(start, stop):
            batch = future.result()
            if step + 1 < stop:
                future = pool.submit(make, step + 1)
            yield step, batch


class EpochSampler:
    """Random faces without replacement: shuffled anew in each epoch.

    Parameters
    ----------
    index
        (N,) faces to draw from.
    batch
        Faces in a batch, over all processes; N at most.
    seed
        Fixes the order.

    Raises
    ------
    UsageError
        If there are no faces.

    Examples
    --------
    >>> sampler = EpochSampler(np.arange(6), batch=3, seed=0)
    >>> sorted([*sampler(0).tolist(), *sampler(1).tolist()])
    [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, index: NDArray[np.integer], batch: int, seed: int) -> None:
        if not len(index):
            raise UsageError("no faces to train on")
        self.index, self.batch, self.seed = index, min(batch, len(index)), seed

    def __call__(self, step: int) -> NDArray[np.integer]:
        """Return the faces of a step's batch, ascending."""
        epoch, place = divmod(step, len(self.index) // self.batch)
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(self.index)
        return np.sort(order[place * self.batch : (place + 1) * self.batch])


class FaceBatch(NamedTuple):
    """Pictures (B, 3, 128, 128) in [0, 1], and weights (B, 1, 128, 128) of their pixels."""

    pictures: Tensor
    weights: Tensor


class FaceBatches:
    """Random batches of faces, mirrored half the time, shifted a little.

    Parameters
    ----------
    cache
        Aligned faces.
    index
        Which of them to use.
    batch
        Faces in a batch, over all processes.
    seed
        Fixes order, mirroring and shifts.
    workers
        Processes that divide each batch; this one gets its part, on its device. On an accelerator
        all faces are kept there as uint8.
    """

    def __init__(
        self,
        cache: AlignedCache,
        index: NDArray[np.integer],
        batch: int,
        seed: int,
        workers: Workers,
    ) -> None:
        self.sampler, self.seed = EpochSampler(index, batch, seed), seed
        self.batch, self.device = self.sampler.batch, torch.device(workers.device)
        self.part = workers.part(self.batch)
        self.faces, self.weight = cache.faces, cache.weight
        self._on_device: tuple[Tensor, Tensor] | None = None
        if self.device.type != "cpu":
            self._on_device = (
                torch.from_numpy(np.ascontiguousarray(cache.faces)).to(self.device),
                torch.from_numpy(np.ascontiguousarray(cache.weight)).to(self.device),
            )

    def __call__(self, step: int) -> FaceBatch:
        """Return this process's part of a step's batch."""
        chosen = self.sampler(step)
        rng = np.random.default_rng((self.seed, 2, step))
        shifts = rng.integers(MARGIN - MAX_SHIFT, MARGIN + MAX_SHIFT + 1, (len(chosen), 2))
        mirror = rng.random(len(chosen)) < 0.5
        chosen, shifts, mirror = chosen[self.part], shifts[self.part], mirror[self.part]
        if self._on_device is None:
            faces = torch.from_numpy(self.faces[chosen])
            weight = torch.from_numpy(self.weight[chosen])
        else:
            rows = torch.from_numpy(chosen).to(self.device)
            faces, weight = self._on_device[0][rows], self._on_device[1][rows]
        pictures, weights = [], []
        for i, ((y, x), flip) in enumerate(zip(shifts, mirror, strict=True)):
            face = faces[i, y : y + SIZE, x : x + SIZE]
            part = weight[i, y : y + SIZE, x : x + SIZE]
            pictures.append(face.flip(1) if flip else face)
            weights.append(part.flip(1) if flip else part)
        stacked = torch.stack(pictures).permute(0, 3, 1, 2).float().div_(255).contiguous()
        return FaceBatch(stacked, torch.stack(weights)[:, None].float().div_(100))
