"""Objective of the content renderer: from the source of a round trip to the photo.

Where a pair's target is known, distances of pictures at several scales, of gradients, and of a
discriminator's inner maps; everywhere the discriminator's verdict. It also judges edits as users
make them, of which no target is known, so that what it lets through looks like a photo there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.compose.mouth_codes import MouthCodes
from faceflex.data.content_pairs import ContentPairs, Sample
from faceflex.data.round_trip_files import PairFiles
from faceflex.errors import UsageError
from faceflex.models.checkpoint import save_network
from faceflex.models.content_unet import ContentConfig, ContentUNet
from faceflex.models.discriminator import ContentDiscriminator
from faceflex.train.adversary import AdversaryBase
from faceflex.train.losses import gradient_l1, pooled_mean, pyramid_l1
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.workers import Workers

PERSONS_REPEATED = 4
"""Times that pairs of two photos of a person are drawn: they are few, and teach most."""

_ROWS, _COLUMNS = slice(40, 128), slice(16, 144)  # What the discriminator sees of the window.
_LITTLE = 0.1  # How much a picture counts for it in which nothing was to be made.
_SAMPLES, _CHECKED = 8, 64


@dataclass(frozen=True)
class ContentTraining(TrainConfig):
    """How to train a content renderer.

    Attributes
    ----------
    adversary_from, adversary_rise
        Step at which the discriminator begins, and steps over which its weight rises from 0.
    adversary_rate
        Its peak learning rate.
    adversary, matching
        Weights of its verdict, and of the distance of its inner maps.
    edges
        Weight of the distance of gradients.
    edits
        Edits without a known target in each batch, over all processes, once it has begun.
    stay
        Weight of what they change outside the hole.
    """

    steps: int = 5000
    batch: int = 16
    adversary_from: int = 800
    adversary_rise: int = 500
    adversary_rate: float = 5e-4
    adversary: float = 0.03
    matching: float = 0.6
    edges: float = 4.0
    edits: int = 6
    stay: float = 2.0


class ContentBatch(NamedTuple):
    """Stacked samples, see :class:`faceflex.data.content_pairs.Sample`; pairs, then edits."""

    planes: Tensor
    condition: Tensor
    target: Tensor
    weight: Tensor
    maps: Tensor
    pairs: int


def stack(samples: Sequence[Sample], pairs: int, device: str) -> ContentBatch:
    """Stack samples, of which the first ``pairs`` have a known target."""
    names = ("planes", "condition", "target", "weight", "maps")
    planes, condition, target, weight, maps = (
        torch.from_numpy(np.stack([getattr(s, n) for s in samples])).to(device) for n in names
    )
    planes = planes.contiguous(memory_format=torch.channels_last)
    return ContentBatch(planes, condition, target, weight, maps, pairs)


class _Judged(NamedTuple):
    """What the discriminator sees of a batch: made pictures, targets, weights, maps."""

    made: Tensor
    target: Tensor
    weight: Tensor
    maps: Tensor


class ContentObjective(Objective[ContentUNet, ContentBatch, Tensor]):
    """A content renderer's network.

    Parameters
    ----------
    files
        From :func:`faceflex.data.round_trip_files.make_pairs`.
    config
        How to train.
    start
        The network to begin with; by default a new one, whose mouth codes are fitted to the pairs.
    shape
        Shape of a new one.
    workers
        The processes that train together.

    Raises
    ------
    UsageError
        If there are fewer pairs than in a batch.
    """

    config: ContentTraining

    def __init__(
        self,
        files: PairFiles,
        config: ContentTraining | None = None,
        *,
        start: ContentUNet | None = None,
        shape: ContentConfig | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.config, self.workers = config or ContentTraining(), workers or Workers()
        self.pairs = ContentPairs([*files.pairs, *PERSONS_REPEATED * files.persons])
        self.edits = ContentPairs(files.edits, one_way=True)
        self.held_out = ContentPairs(files.held_out)
        if len(self.pairs) < self.config.batch:
            raise UsageError(
                f"{len(self.pairs)} pairs to train on; at least {self.config.batch} are needed"
            )
        torch.manual_seed(self.config.seed)
        self._fit = start is None
        self.network = ContentUNet(shape if start is None else start.config)
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adversary = AdversaryBase(
            ContentDiscriminator(), self.config.adversary_rate, self.workers
        )

    def initialize(self) -> None:
        """Fit the mouth codes, unless they come with the network to begin with."""
        if self._fit:
            self.network.set_fitted(*self.pairs.fit())

    @cached_property
    def _codes(self) -> MouthCodes:
        return self.network.mouth_codes

    @cached_property
    def _smile_scale(self) -> tuple[float, float]:
        return self.network.smile_scale

    def _draw(self, pairs: ContentPairs, count: int, step: int, stream: int) -> list[Sample]:
        """Return this process's part of ``count`` samples of a step."""
        places = np.random.default_rng((self.config.seed, stream, step)).integers(
            0, len(pairs), count
        )
        return [
            pairs.sample(
                int(places[n]),
                self._codes,
                self._smile_scale,
                np.random.default_rng((self.config.seed, stream, step, n)),
            )
            for n in range(count)[self.workers.part(count)]
        ]

    def batch(self, step: int) -> ContentBatch:
        """Return this process's part of a step's pairs and edits."""
        samples = self._draw(self.pairs, self.config.batch, step, 7)
        pairs = len(samples)
        if step >= self.config.adversary_from and len(self.edits):
            samples += self._draw(self.edits, self.config.edits, step, 8)
        return stack(samples, pairs, self.workers.device)

    def forward(self, network: nn.Module, batch: ContentBatch, step: int) -> Tensor:
        """Return the windows as they are made, (B, 3, 128, 160)."""
        added: Tensor = network(batch.planes, batch.condition)
        return batch.planes[:, :3] + added.float()

    def _judged(self, batch: ContentBatch, made: Tensor) -> _Judged:
        made, target, weight, maps = (
            v[..., _ROWS, _COLUMNS] for v in (made, batch.target, batch.weight, batch.maps)
        )
        anything = maps[:, :1].amax(dim=(2, 3), keepdim=True)
        return _Judged(made, target, weight * (_LITTLE + (1 - _LITTLE) * anything), maps)

    def adversary_step(
        self, batch: ContentBatch, outputs: Tensor, step: int, rate: float
    ) -> dict[str, Tensor]:
        """Train the discriminator by one step, once it has begun."""
        if step < self.config.adversary_from:
            return {"discriminator": outputs.new_zeros(())}
        seen, n = self._judged(batch, outputs.detach()), batch.pairs
        self.adversary.network.requires_grad_(True)
        fake, _ = self.adversary.wrapped(seen.made, seen.maps)
        real, _ = self.adversary.wrapped(seen.target[:n], seen.maps[:n])
        loss = pooled_mean(F.relu(1 - real), seen.weight[:n])
        loss = loss + pooled_mean(F.relu(1 + fake), seen.weight)
        self.adversary.descend(loss, rate)
        return {"discriminator": loss.detach()}

    def loss_terms(self, batch: ContentBatch, outputs: Tensor, step: int) -> dict[str, Term]:
        """Return the distances from the targets, and what the discriminator says."""
        config, n, none = self.config, batch.pairs, outputs.new_zeros(())
        known = outputs[:n], batch.target[:n], batch.weight[:n]
        stay = verdict = matching = none
        if len(outputs) > n:
            outside = 1 - batch.maps[n:, :1]
            stay = pyramid_l1(outputs[n:], batch.target[n:], outside, (1, 4))
        rise = min(1.0, max(0, step - config.adversary_from) / max(1, config.adversary_rise))
        if step >= config.adversary_from:
            seen = self._judged(batch, outputs)
            self.adversary.network.requires_grad_(False)
            fake, ours = self.adversary.network(seen.made, seen.maps)
            with torch.no_grad():
                _, theirs = self.adversary.network(seen.target[:n], seen.maps[:n])
            verdict = -pooled_mean(fake, seen.weight)
            distances = [
                pooled_mean((a[:n] - b).abs(), seen.weight[:n])
                for a, b in zip(ours, theirs, strict=True)
            ]
            matching = torch.stack(distances).mean()
        return {
            "l1": (10.0, pyramid_l1(*known, (1,))),
            "coarse": (3.0, pyramid_l1(*known, (2, 4, 8))),
            "edges": (config.edges, gradient_l1(*known)),
            "stay": (config.stay, stay),
            "adversary": (config.adversary * rise, verdict),
            "matching": (config.matching * rise, matching),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the discriminator's state."""
        return {"adversary": self.adversary.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.adversary.load_state_dict(state["adversary"])

    @torch.inference_mode()
    def _made(self, averaged: ContentUNet, count: int) -> tuple[ContentBatch, Tensor] | None:
        """Return held-out pairs as they are rendered in an edit; None where there are none."""
        places = np.unique(np.linspace(0, len(self.held_out) - 1, count).astype(int))
        if not len(self.held_out):
            return None
        samples = [
            self.held_out.sample(
                int(n), self._codes, self._smile_scale, np.random.default_rng(5), plain=True
            )
            for n in places
        ]
        batch = stack(samples, len(samples), "cpu")
        return batch, self.forward(averaged, batch, 0)

    def samples(self, averaged: ContentUNet) -> Sequence[NDArray[np.uint8]]:
        """Return held-out targets, what the network is given of them, and what it makes of it."""
        found = self._made(averaged, _SAMPLES)
        if found is None:
            return ()
        batch, made = found
        return [
            (p.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
            for p in (batch.target, batch.planes[:, :3], made)
        ]

    def metrics(self, averaged: ContentUNet) -> dict[str, Any]:
        """Return ``held_out_l1``: mean distance from held-out targets, as they are weighted."""
        found = self._made(averaged, _CHECKED)
        if found is None:
            return {}
        batch, made = found
        return {"held_out_l1": round(float(pyramid_l1(made, batch.target, batch.weight, (1,))), 5)}

    def export(self, averaged: ContentUNet, path: Path, extra: dict[str, Any]) -> None:
        """Write the network, and what was fitted."""
        counts = {"pairs": len(self.pairs), "edits_without_target": len(self.edits)}
        save_network(averaged, path, extra | {"training": extra["training"] | counts})
