"""What a training optimises: one objective a paper, all given to the loop of ``train/loop.py``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.train.workers import Workers

Net = TypeVar("Net", bound=nn.Module)
Batch = TypeVar("Batch")
Outputs = TypeVar("Outputs")
Term = tuple[float, Tensor]
"""Weight of a loss term, and its value (a scalar)."""


@dataclass(frozen=True)
class TrainConfig:
    """What every training sets; saved with its state, and compared when it is resumed.

    Attributes
    ----------
    steps
        Batches in all.
    batch
        Faces in a batch, over all processes.
    rate
        Peak learning rate.
    warmup
        Steps over which the learning rate rises linearly; a tenth of all at most.
    decay
        Last fraction of the steps, over which it falls linearly to 0.
    ema
        Decay of the exponential moving average of the weights, which is what is kept; 0 keeps the
        last weights.
    clip
        Largest norm of the gradient.
    precision
        ``float32``, ``bfloat16`` (autocast) or ``auto``: bfloat16 where the hardware is faster
        with it. What a training was begun with is what it goes on with.
    seed
        Fixes the first weights, the batches and the noise.
    """

    steps: int = 5000
    batch: int = 16
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.5
    ema: float = 0.998
    clip: float = 1.0
    precision: str = "auto"
    seed: int = 0


class Objective(ABC, Generic[Net, Batch, Outputs]):
    """A network, its data and its loss.

    A step of the loop calls, in this order, :meth:`batch`, :meth:`forward`,
    :meth:`adversary_step` and :meth:`loss_terms`. All that is random in them must follow from the
    seed and the step alone; so a stopped training is resumed bit for bit.

    Attributes
    ----------
    config
        How to train.
    network
        What is trained; parameters that need no gradient stay as they are.
    workers
        The processes that train together, and this one's device.
    """

    config: TrainConfig
    network: Net
    workers: Workers

    def initialize(self) -> None:
        """Set the first weights, where this takes long; not called when resuming."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return AdamW's parameter groups; ``lr`` is each one's peak learning rate."""
        trained = [p for p in self.network.parameters() if p.requires_grad]
        return [{"params": trained, "lr": self.config.rate}]

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """Return this process's part of a step's batch; called ahead, in a thread."""

    @abstractmethod
    def forward(self, network: nn.Module, batch: Batch, step: int) -> Outputs:
        """Run ``network``, :attr:`network` as wrapped by the loop, under autocast."""

    def adversary_step(
        self, batch: Batch, outputs: Outputs, step: int, rate: float
    ) -> dict[str, Tensor]:
        """Train discriminators by one step, at ``rate`` of their peak; return values to log."""
        return {}

    @abstractmethod
    def loss_terms(self, batch: Batch, outputs: Outputs, step: int) -> dict[str, Term]:
        """Return the named terms whose weighted sum is the loss, in float32."""

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs beyond the network and its optimiser."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""

    def samples(self, averaged: Net) -> Sequence[NDArray[np.uint8]]:
        """Return rows of pictures for the log, each (n, S, S, 3) uint8; none by default."""
        return ()

    def metrics(self, averaged: Net) -> dict[str, Any]:
        """Measure the trained network on held-out faces; kept in the checkpoint's metadata."""
        return {}

    @abstractmethod
    def export(self, averaged: Net, path: Path, extra: dict[str, Any]) -> None:
        """Write the checkpoint of :attr:`network` with averaged weights, on the CPU."""
