"""The adversary of the decoder's polish: a discriminator that is trained beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceflex.faces.align import SIZE
from faceflex.models.discriminator import Discriminator
from faceflex.train.losses import cut_and_mirror, fooling, hinge, weighted_mean
from faceflex.train.workers import Workers

WINDOW = 112
"""Side in pixels of what the discriminator sees of a face, at a random place."""


class Adversary:
    """A discriminator, its optimiser, and what it has to say of decoded faces.

    Parameters
    ----------
    rate
        Peak learning rate.
    seed
        Fixes start and windows.
    device
        Where it computes.
    workers
        Processes that it is trained by.
    """

    def __init__(self, rate: float, seed: int, device: torch.device, workers: Workers) -> None:
        torch.manual_seed(seed + 1)
        self.rate, self.seed = rate, seed
        self.network = Discriminator().to(device)
        self.shared = workers.shared(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), rate, betas=(0.5, 0.99))

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _window(self, step: int) -> tuple[tuple[int, int], int, bool]:
        rng = np.random.default_rng((self.seed, 5, step))
        y, x = rng.integers(0, SIZE - WINDOW + 1, 2)
        return (int(y), int(x)), WINDOW, bool(rng.random() < 0.5)

    def learn(self, real: Tensor, fake: Tensor, weight: Tensor, step: int, share: float) -> Tensor:
        """Take one step towards telling ``fake`` from ``real``; return the loss.

        Parameters
        ----------
        real, fake
            (B, 3, 128, 128) in [0, 1].
        weight
            (B, 1, 128, 128), how much each pixel counts.
        step
            Fixes the window.
        share
            Of the peak learning rate.
        """
        view = self._window(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * share
        self.network.requires_grad_(True)
        both = cut_and_mirror(torch.cat([real, fake.detach()]), *view)
        told, _ = self.shared(both)
        seen = cut_and_mirror(weight, *view)
        loss = hinge(told[: len(real)], told[len(real) :], seen, seen)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss

    def judge(self, real: Tensor, fake: Tensor, weight: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return how well ``fake`` passes (lower is better), and how far its maps are from real's.

        The second term, feature matching (Salimans et al. 2016), keeps decodes at their photos.
        """
        view = self._window(step)
        self.network.requires_grad_(False)
        seen = cut_and_mirror(weight, *view)
        told, maps = self.network(cut_and_mirror(fake, *view))
        with torch.no_grad():
            _, wanted = self.network(cut_and_mirror(real, *view))
        matching = fake.new_zeros(())
        for ours, theirs in zip(maps, wanted, strict=True):
            apart = (ours - theirs).abs().mean(dim=1, keepdim=True)
            matching = matching + weighted_mean(apart, seen).mean()
        return fooling(told, seen), matching
