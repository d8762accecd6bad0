"""Batches of aligned faces, the same for a given seed and step whatever happened before."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceflex.data.cache import MARGIN, AlignedCache
from faceflex.faces.align import SIZE
from faceflex.train.workers import Workers

MAX_SHIFT = 2
"""Pixels that a training crop may move either way."""


class FaceBatches:
    """Random batches: shuffled by epoch, mirrored half the time, shifted a little.

    Parameters
    ----------
    cache
        Aligned faces.
    index
        Which of them to use.
    batch
        Faces in a batch.
    seed
        Fixes order, mirroring and shifts.
    device
        Where batches go. On an accelerator all faces are kept there as uint8.
    workers
        Processes that share each batch; this one gets its part of it.
    """

    def __init__(
        self,
        cache: AlignedCache,
        index: NDArray[np.integer],
        batch: int,
        seed: int,
        device: torch.device,
        workers: Workers | None = None,
    ) -> None:
        self.index, self.batch, self.seed, self.device = index, min(batch, len(index)), seed, device
        self.part = (workers or Workers()).part(self.batch)
        self.per_epoch = len(index) // self.batch
        self.faces, self.weight = cache.faces, cache.weight
        self._resident: tuple[Tensor, Tensor] | None = None
        if device.type != "cpu":
            self._resident = (
                torch.from_numpy(np.ascontiguousarray(cache.faces)).to(device),
                torch.from_numpy(np.ascontiguousarray(cache.weight)).to(device),
            )

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return pictures (B, 3, 128, 128) in [0, 1] and weights (B, 1, 128, 128) of a step."""
        epoch, place = divmod(step, self.per_epoch)
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(self.index)
        chosen = np.sort(order[place * self.batch : (place + 1) * self.batch])
        rng = np.random.default_rng((self.seed, 2, step))
        shifts = rng.integers(MARGIN - MAX_SHIFT, MARGIN + MAX_SHIFT + 1, (len(chosen), 2))
        mirror = rng.random(len(chosen)) < 0.5
        chosen, shifts, mirror = chosen[self.part], shifts[self.part], mirror[self.part]
        if self._resident is None:
            faces = torch.from_numpy(self.faces[chosen])
            weight = torch.from_numpy(self.weight[chosen])
        else:
            where = torch.from_numpy(chosen).to(self.device)
            faces, weight = self._resident[0][where], self._resident[1][where]
        pictures, weights = [], []
        for i, ((y, x), flip) in enumerate(zip(shifts, mirror, strict=True)):
            face = faces[i, y : y + SIZE, x : x + SIZE]
            part = weight[i, y : y + SIZE, x : x + SIZE]
            pictures.append(face.flip(1) if flip else face)
            weights.append(part.flip(1) if flip else part)
        stacked = torch.stack(pictures).permute(0, 3, 1, 2).float().div_(255).contiguous()
        return stacked, torch.stack(weights)[:, None].float().div_(100)

    def stream(self, start: int, stop: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield (step, pictures, weights), the next batch being made while one is used."""
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self, start)
            for step in range(start, stop):
                pictures, weights = coming.result()
                if step + 1 < stop:
                    coming = pool.submit(self, step + 1)
                yield step, pictures, weights
