"""Objective of conditional adversarial autoencoders (Lindt et al. 2019).

L1, identity, and two adversaries: one tells codes from a uniform prior, the other pictures with
their places from faces with theirs. The published training only ever shows the generator a face's
own place. Ours also asks for others' places: there the adversary judges, a regressor says how far
the place is reached, and identity is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.data.cache import MARGIN, AlignedCache
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE
from faceflex.models.affect_regressor import AffectRegressor
from faceflex.models.caae import CAAE, CONFIGURATIONS
from faceflex.models.caae_discriminators import (
    ImageDiscriminator,
    ImageDiscriminator2019,
    PriorDiscriminator,
)
from faceflex.models.checkpoint import save_network
from faceflex.train.adversary import AdversaryBase
from faceflex.train.batches import MAX_SHIFT
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.plane import PlaneSampler, labelled_faces, plane_labels
from faceflex.train.workers import Workers

_SAMPLES = 10
_CORNERS = ((0.7, 0.1), (0.2, 0.7), (-0.45, 0.55), (-0.65, -0.3))


class Identity(Protocol):
    """A network whose inner maps say who a face is."""

    def maps(self, x: Tensor) -> list[Tensor]:
        """Pictures (B, 3, S, S) in [0, 1] -> maps."""
        ...


@dataclass(frozen=True)
class CAAETraining(TrainConfig):
    """How to train an autoencoder.

    Attributes
    ----------
    configuration
        One of :data:`faceflex.models.caae.CONFIGURATIONS`.
    identity
        Weight of the distance of the identity network's maps.
    adversary, prior
        Weights of the adversaries of pictures and of codes.
    place
        Weight of the squared distance of the places that are asked for and, by a regressor,
        reached; 0 for the published training.
    """

    configuration: str = "caae"
    steps: int = 4000
    batch: int = 49
    rate: float = 2e-4
    warmup: int = 100
    decay: float = 0.3
    identity: float = 1 / 3
    adversary: float = 0.01
    prior: float = 0.01
    place: float = 0.5
    seed: int = 60


PUBLISHED = CAAETraining(
    configuration="caae-2019", ema=0.0, warmup=0, decay=0.0, clip=float("inf"), place=0.0
)
"""The published training."""


class PlaneBatch(NamedTuple):
    """Pictures (B, 3, S, S) in [-1, 1], their places, and others' places (B, 2)."""

    pictures: Tensor
    places: Tensor
    others: Tensor


class Generated(NamedTuple):
    """Reconstructions and, at others' places, edits (B, 3, S, S) in [-1, 1]; codes (B, latent)."""

    pictures: Tensor
    edits: Tensor | None
    codes: Tensor


class CAAEObjective(Objective[CAAE, PlaneBatch, Generated]):
    """An autoencoder's training on the faces of AffectNet that are neither judge's nor held out.

    Parameters
    ----------
    cache
        Aligned faces with valence and arousal.
    config
        How to train.
    identity
        Network of the identity loss: VGG-Face or a feature extractor.
    regressor
        Says what place an edit reaches; needed if that has a weight.
    workers
        The processes that train together.

    Raises
    ------
    UsageError
        If there are no such faces, or a term lacks its network.
    """

    config: CAAETraining

    def __init__(
        self,
        cache: AlignedCache,
        config: CAAETraining | None = None,
        *,
        identity: Identity | None = None,
        regressor: AffectRegressor | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.cache, self.workers = cache, workers or Workers()
        self.config = config or CAAETraining()
        if self.config.configuration not in CONFIGURATIONS:
            names = ", ".join(CONFIGURATIONS)
            raise UsageError(f"`configuration` {self.config.configuration}: use one of {names}")
        if self.config.identity and identity is None:
            raise UsageError("`identity`: this loss needs VGG-Face or a feature extractor")
        if self.config.place and regressor is None:
            raise UsageError("`place`: this loss needs a regressor of valence and arousal")
        self._identity, self._regressor = identity, regressor
        for judge in (identity, regressor):
            if isinstance(judge, nn.Module):
                judge.to(self.workers.device).eval().requires_grad_(False)
        self.train_index = labelled_faces(cache, "edits")
        self.held_out_index = labelled_faces(cache, "held out")
        self._places = plane_labels(cache, self.train_index)
        shape = CONFIGURATIONS[self.config.configuration]
        torch.manual_seed(self.config.seed)
        self.network = CAAE(shape)
        published = shape.design == "2019"
        image = ImageDiscriminator2019(shape) if published else ImageDiscriminator()
        self.image = AdversaryBase(image, self.config.rate, self.workers)
        prior = PriorDiscriminator(shape.latent)
        self.prior = AdversaryBase(prior, self.config.rate, self.workers)
        self._hinge = not published
        self._sampler = PlaneSampler(self._places, self.config.batch, self.config.seed)
        self._part = self.workers.part(self.config.batch)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return all parameters, with the averages of adversarial training."""
        (group,) = super().parameter_groups()
        return [group | {"betas": (0.5, 0.999), "weight_decay": 0.0}]

    def batch(self, step: int) -> PlaneBatch:
        """Return this process's part of a step's faces, mirrored half the time."""
        rows = self._sampler(step)
        rng = np.random.default_rng((self.config.seed, 12, step))
        shifts = rng.integers(MARGIN - MAX_SHIFT, MARGIN + MAX_SHIFT + 1, (len(rows), 2))
        mirror, other = rng.random(len(rows)) < 0.5, rng.permutation(len(rows))
        faces = self.cache.faces[self.train_index[rows]]
        crops = np.stack(
            [
                face[y : y + SIZE, x : x + SIZE][:, :: -1 if flip else 1]
                for face, (y, x), flip in zip(faces, shifts, mirror, strict=True)
            ]
        )
        places = self._places[rows]
        pictures = torch.from_numpy(crops[self._part]).permute(0, 3, 1, 2).float() / 127.5 - 1
        size = self.network.config.size
        if size != SIZE:
            pictures = F.interpolate(pictures, (size, size), mode="bilinear", antialias=True)
        device = self.workers.device
        parts = (torch.from_numpy(p[self._part]).to(device) for p in (places, places[other]))
        return PlaneBatch(pictures.contiguous().to(device), *parts)

    def forward(self, network: nn.Module, batch: PlaneBatch, step: int) -> Generated:
        """Reconstruct faces, and edit them where that is trained."""
        if not self.config.place:
            output, z = network(batch.pictures, batch.places)
            return Generated(output.float(), None, z.float())
        pictures = torch.cat([batch.pictures, batch.pictures])
        output, z = network(pictures, torch.cat([batch.places, batch.others]))
        count = len(batch.pictures)
        return Generated(output[:count].float(), output[count:].float(), z[:count].float())

    def _judged(self, batch: PlaneBatch, outputs: Generated) -> tuple[Tensor, Tensor]:
        """Return the pictures that the adversary judges, and the places that they should show."""
        if outputs.edits is None:
            return outputs.pictures, batch.places
        return outputs.edits, batch.others

    def adversary_step(
        self, batch: PlaneBatch, outputs: Generated, step: int, rate: float
    ) -> dict[str, Tensor]:
        """Train both discriminators by one step."""
        fake, places = self._judged(batch, outputs)
        self.image.network.requires_grad_(True)
        real_logits = self.image.wrapped(batch.pictures, batch.places)
        fake_logits = self.image.wrapped(fake.detach(), places)
        image = self._loss(real_logits, fake_logits)
        self.image.descend(image, rate)
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        shape = (self.config.batch, outputs.codes.shape[1])
        prior = 2 * torch.rand(shape, generator=generator)[self._part] - 1
        self.prior.network.requires_grad_(True)
        real_logits = self.prior.wrapped(prior.to(outputs.codes.device))
        codes = self._loss(real_logits, self.prior.wrapped(outputs.codes.detach()), hinge=False)
        self.prior.descend(codes, rate)
        return {"discriminator": image, "prior_discriminator": codes}

    def _loss(self, real: Tensor, fake: Tensor, *, hinge: bool = True) -> Tensor:
        """Return a discriminator's loss: hinge, or cross-entropy as published."""
        if hinge and self._hinge:
            return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def loss_terms(self, batch: PlaneBatch, outputs: Generated, step: int) -> dict[str, Term]:
        """Return reconstruction, identity, both adversaries and, where trained, the place."""
        config = self.config
        terms: dict[str, Term] = {
            "reconstruction": (1.0, (outputs.pictures - batch.pictures).abs().mean())
        }
        fake, places = self._judged(batch, outputs)
        if self._identity is not None and config.identity:
            with torch.no_grad():
                target = self._identity.maps(batch.pictures / 2 + 0.5)
            loss = _map_l1(self._identity.maps(outputs.pictures / 2 + 0.5), target, not self._hinge)
            if outputs.edits is not None:  # Who it is shows in the deeper maps.
                edited = self._identity.maps(outputs.edits / 2 + 0.5)
                loss = (loss + _map_l1(edited[-2:], target[-2:], False)) / 2
            terms["identity"] = (config.identity, loss)
        self.image.network.requires_grad_(False)
        logits = self.image.network(fake, places)
        image = -logits.mean() if self._hinge else F.softplus(-logits).mean()
        terms["adversary"] = (config.adversary, image)
        self.prior.network.requires_grad_(False)
        terms["prior"] = (config.prior, F.softplus(-self.prior.network(outputs.codes)).mean())
        if outputs.edits is not None and self._regressor is not None:
            side = (self._regressor.config.size,) * 2
            small = F.interpolate(outputs.edits / 2 + 0.5, side, mode="bilinear", antialias=True)
            reached = self._regressor(small)[0]
            terms["place"] = (config.place, (reached - batch.others).square().mean())
        return terms

    def state_dict(self) -> dict[str, Any]:
        """Return the discriminators' states."""
        return {"image": self.image.state_dict(), "prior": self.prior.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.image.load_state_dict(state["image"])
        self.prior.load_state_dict(state["prior"])

    def samples(self, averaged: CAAE) -> Sequence[NDArray[np.uint8]]:
        """Return held-out faces, their reconstructions, and the faces in four corners."""
        places = np.unique(np.linspace(0, len(self.held_out_index) - 1, _SAMPLES).astype(int))
        index = self.held_out_index[places]
        crops, own = self.cache.crops(index), plane_labels(self.cache, index)
        codes = averaged.encode(crops)
        rows = [crops]
        for target in (own, *(np.full_like(own, corner) for corner in _CORNERS)):
            pictures = averaged.generate(codes, target, SIZE)
            rows.append(np.round(255 * pictures).astype(np.uint8))
        return rows

    def metrics(self, averaged: CAAE) -> dict[str, Any]:
        """Return the mean absolute error of held-out faces' reconstructions, in [0, 1]."""
        crops = self.cache.crops(self.held_out_index)
        own = plane_labels(self.cache, self.held_out_index)
        made = averaged.generate(averaged.encode(crops), own, SIZE)
        return {"held_out_l1": round(float(np.abs(made - crops / np.float32(255)).mean()), 5)}

    def export(self, averaged: CAAE, path: Path, extra: dict[str, Any]) -> None:
        """Write the autoencoder."""
        training = extra["training"] | {"faces": len(self.train_index)}
        save_network(averaged, path, extra | {"training": training})


def _map_l1(maps: Sequence[Tensor], targets: Sequence[Tensor], published: bool) -> Tensor:
    """Return the mean absolute difference of maps, over all layers.

    As published, each layer's mean is divided by its area once more, and they are summed. Otherwise
    it is relative to the target's own size, so that each layer counts the same.
    """
    total = targets[0].new_zeros(())
    for output, target in zip(maps, targets, strict=True):
        mean = (output - target).abs().mean()
        if published:
            total = total + mean / (target.shape[2] * target.shape[3])
        else:
            total = total + mean / ((target.abs().mean() + 1e-3) * len(targets))
    return total
