"""Adversaries: discriminators that are trained beside the network whose pictures they judge."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from faceflex.faces.align import SIZE
from faceflex.models.discriminator import Discriminator
from faceflex.train.losses import crop_and_flip, generator_hinge, hinge, weighted_mean
from faceflex.train.workers import Workers

Judge = TypeVar("Judge", bound=nn.Module)

WINDOW = 112
"""Side in pixels of the random window of a face that the discriminator sees."""


class AdversaryBase(Generic[Judge]):
    """A discriminator and its optimiser.

    Parameters
    ----------
    network
        The discriminator.
    rate
        Peak learning rate.
    workers
        The processes that train together.
    """

    def __init__(self, network: Judge, rate: float, workers: Workers) -> None:
        self.rate, self.network = rate, network.to(workers.device)
        self.wrapped = workers.wrap(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), rate, betas=(0.5, 0.99))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of network and optimiser."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

    def descend(self, loss: Tensor, rate: float) -> None:
        """Take one optimiser step at ``rate`` of the peak learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


class Adversary(AdversaryBase[Discriminator]):
    """The adversary of the decoder's polish.

    Parameters
    ----------
    rate
        Peak learning rate.
    seed
        Fixes first weights and windows.
    workers
        The processes that train together.
    """

    def __init__(self, rate: float, seed: int, workers: Workers) -> None:
        torch.manual_seed(seed + 1)
        self.seed = seed
        super().__init__(Discriminator(), rate, workers)

    def _window(self, step: int) -> tuple[tuple[int, int], int, bool]:
        rng = np.random.default_rng((self.seed, 5, step))
        y, x = rng.integers(0, SIZE - WINDOW + 1, 2)
        return (int(y), int(x)), WINDOW, bool(rng.random() < 0.5)

    def train_step(
        self, real: Tensor, weight: Tensor, fake: Tensor, step: int, rate: float
    ) -> Tensor:
        """Take one optimiser step towards telling ``fake`` from ``real``; return the hinge loss.

        Parameters
        ----------
        real, fake
            (B, 3, 128, 128) in [0, 1].
        weight
            (B, 1, 128, 128), how much each pixel counts.
        step
            Fixes the window.
        rate
            Fraction of the peak learning rate.
        """
        window = self._window(step)
        self.network.requires_grad_(True)
        logits, _ = self.wrapped(crop_and_flip(torch.cat([real, fake.detach()]), *window))
        cropped = crop_and_flip(weight, *window)
        loss = hinge(logits[: len(real)], logits[len(real) :], cropped, cropped)
        self.descend(loss, rate)
        return loss

    def generator_losses(
        self, real: Tensor, weight: Tensor, fake: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """Return the generator's hinge loss, and the feature matching loss: scalars.

        The second, the distance of the discriminator's maps of ``fake`` and ``real`` (Salimans et
        al. 2016), keeps decodes at their photos. Parameters are as for :meth:`train_step`.
        """
        window = self._window(step)
        self.network.requires_grad_(False)
        cropped = crop_and_flip(weight, *window)
        logits, maps = self.network(crop_and_flip(fake, *window))
        with torch.no_grad():
            _, targets = self.network(crop_and_flip(real, *window))
        matching = fake.new_zeros(())
        for output, target in zip(maps, targets, strict=True):
            distance = (output - target).abs().mean(dim=1, keepdim=True)
            matching = matching + weighted_mean(distance, cropped).mean()
        return generator_hinge(logits, cropped), matching
