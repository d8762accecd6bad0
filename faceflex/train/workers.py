"""Data-parallel training by several processes (PyTorch's DistributedDataParallel).

``torchrun --nproc-per-node N -m faceflex train vae ...`` starts N processes, on one machine or
many; each takes its part of every batch, and gradients are averaged. Without it, there is one.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from faceflex.errors import UsageError

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Workers:
    """The processes that train together, and which of them this is.

    Attributes
    ----------
    rank, count
        Its number, from 0, and how many there are.
    device
        Where this one computes.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def wrap(self, network: Network) -> Network:
        """Return ``network`` wrapped so that its gradients are averaged over the processes."""
        if self.count == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        wrapped: Network = DistributedDataParallel(network, broadcast_buffers=False)  # type: ignore[assignment]
        return wrapped

    def mean(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Return scalars by name, averaged over the processes."""
        stacked = torch.stack([v.detach().float() for v in values.values()])
        if self.count > 1:
            torch.distributed.all_reduce(stacked)
            stacked = stacked / self.count
        return dict(zip(values, stacked.tolist(), strict=True))

    def part(self, batch: int) -> slice:
        """Return this process's part of a batch.

        Raises
        ------
        UsageError
            If the batch cannot be divided evenly.

        Examples
        --------
        >>> Workers(rank=1, count=2).part(8)
        slice(4, 8, None)
        """
        if batch % self.count:
            raise UsageError(f"a batch of {batch} cannot be divided among {self.count} processes")
        size = batch // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def wait(self) -> None:
        """Return when every process has reached this barrier."""
        if self.count > 1:
            torch.distributed.barrier()


def join_workers(device: str) -> Workers:
    """Join the process group that ``torchrun`` started, if it did.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda``; on CUDA each process takes the GPU of its local rank.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Workers(device=device)
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not torch.distributed.is_initialized():
        backend = "nccl" if device.startswith("cuda") else "gloo"
        torch.distributed.init_process_group(backend)
        atexit.register(torch.distributed.destroy_process_group)
    return Workers(torch.distributed.get_rank(), count, device)
