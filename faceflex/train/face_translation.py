"""Objective of CMM-Net's translation: a person's face with other landmarks, L1 and adversarial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.data.translation_faces import FaceStates
from faceflex.errors import UsageError
from faceflex.models.checkpoint import save_network
from faceflex.models.face_translation import (
    FaceTranslation,
    PairDiscriminator,
    TranslationConfig,
    adversarial_loss,
)
from faceflex.train.adversary import AdversaryBase
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.workers import Workers

_SAMPLES = 8


@dataclass(frozen=True)
class TranslationTraining(TrainConfig):
    """How to train the translation.

    Attributes
    ----------
    reconstruction
        Weight of the mean absolute error.
    adversary
        Weight of the discriminator's verdict.
    adversary_rate
        Its peak learning rate.
    """

    steps: int = 2000
    batch: int = 8
    rate: float = 1e-3
    ema: float = 0.99
    reconstruction: float = 100.0
    adversary: float = 1.0
    adversary_rate: float = 2e-4
    clip: float = 100.0


class TranslationBatch(NamedTuple):
    """Neutral faces, targets (B, 3, 64, 64) in [-1, 1], and targets' landmarks (B, 1, 64, 64)."""

    neutral: Tensor
    target: Tensor
    landmarks: Tensor


class TranslationObjective(Objective[FaceTranslation, TranslationBatch, Tensor]):
    """The translation.

    Parameters
    ----------
    people
        Their faces; those held out only measure.
    config
        How to train.
    shape
        Shape of the network; the published one by default.
    workers
        The processes that train together.

    Raises
    ------
    UsageError
        If there are no people.
    """

    config: TranslationTraining

    def __init__(
        self,
        people: Sequence[FaceStates],
        config: TranslationTraining | None = None,
        *,
        shape: TranslationConfig | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.config, self.workers = config or TranslationTraining(), workers or Workers()
        self.people = [p for p in people if not p.held_out]
        self.held_out = [p for p in people if p.held_out]
        if not self.people:
            raise UsageError("no people with several faces to learn from")
        torch.manual_seed(self.config.seed)
        self.network = FaceTranslation(shape or TranslationConfig())
        torch.manual_seed(self.config.seed + 1)
        self.adversary = AdversaryBase(
            PairDiscriminator(), self.config.adversary_rate, self.workers
        )

    def batch(self, step: int) -> TranslationBatch:
        """Draw people, a state each, half of them mirrored; the neutral face is the first."""
        rng = np.random.default_rng((self.config.seed, 3, step))
        rows = []
        for _ in range(self.config.batch):
            person = self.people[rng.integers(len(self.people))]
            state = int(rng.integers(len(person.faces)))
            mirror, light = rng.random() < 0.5, float(rng.uniform(0.8, 1.15))
            rows.append(_row(person, state, mirror=mirror, light=light))
        mine = rows[self.workers.part(self.config.batch)]
        return TranslationBatch(*(_stack(part, self.workers) for part in zip(*mine, strict=True)))

    def forward(self, network: nn.Module, batch: TranslationBatch, step: int) -> Tensor:
        """Translate the neutral faces."""
        made: Tensor = network(batch.neutral, batch.landmarks)
        return made.float()

    def adversary_step(
        self, batch: TranslationBatch, outputs: Tensor, step: int, rate: float
    ) -> dict[str, Tensor]:
        """Train the discriminator on pairs with the target and with what was made."""
        self.adversary.network.requires_grad_(True)
        real = self.adversary.wrapped(batch.neutral, batch.target)
        made = self.adversary.wrapped(batch.neutral, outputs.detach())
        loss = adversarial_loss(real, real=True) + adversarial_loss(made, real=False)
        self.adversary.descend(loss, rate)
        return {"discriminator": loss}

    def loss_terms(self, batch: TranslationBatch, outputs: Tensor, step: int) -> dict[str, Term]:
        """Mean absolute error, and the discriminator's verdict."""
        self.adversary.network.requires_grad_(False)
        verdict = self.adversary.network(batch.neutral, outputs)
        return {
            "l1": (self.config.reconstruction, (outputs - batch.target).abs().mean()),
            "adversary": (self.config.adversary, adversarial_loss(verdict, real=True)),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the discriminator's state."""
        return {"adversary": self.adversary.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.adversary.load_state_dict(state["adversary"])

    def samples(self, averaged: FaceTranslation) -> Sequence[NDArray[np.uint8]]:
        """Return neutral faces, translations to the last state, and the photos of it."""
        people = (self.held_out or self.people)[:_SAMPLES]
        made = [translate(averaged, p.faces[0], p.landmarks[-1:])[0] for p in people]
        return [
            np.stack([p.faces[0] for p in people]),
            np.stack(made),
            np.stack([p.faces[-1] for p in people]),
        ]

    def metrics(self, averaged: FaceTranslation) -> dict[str, Any]:
        """Return the mean absolute error of held-out people's last states, in [0, 1]."""
        if not self.held_out:
            return {}
        errors = [
            np.abs(translate(averaged, p.faces[0], p.landmarks[-1:])[0] - np.float32(p.faces[-1]))
            for p in self.held_out
        ]
        return {"held_out_l1": float(np.mean([e.mean() for e in errors])) / 255}

    def export(self, averaged: FaceTranslation, path: Path, extra: dict[str, Any]) -> None:
        """Write the network."""
        save_network(averaged, path, extra)


@torch.no_grad()
def translate(
    network: FaceTranslation, face: NDArray[np.uint8], landmarks: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Translate a face (64, 64, 3) to landmark pictures (n, 64, 64); (n, 64, 64, 3) uint8."""
    given = torch.from_numpy(np.float32(face) / 127.5 - 1).permute(2, 0, 1)[None]
    pictures = torch.from_numpy(np.float32(landmarks))[:, None]
    made = network(given.expand(len(pictures), -1, -1, -1), pictures)
    values = ((made + 1) * 127.5).round().clamp(0, 255)
    return values.permute(0, 2, 3, 1).byte().numpy()


def _row(
    person: FaceStates, state: int, *, mirror: bool, light: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return neutral face, target (3, 64, 64) and landmarks (1, 64, 64)."""
    faces = np.clip(np.float32(person.faces[[0, state]]) * light, 0, 255) / 127.5 - 1
    neutral, target = faces.transpose(0, 3, 1, 2)
    landmarks = np.float32(person.landmarks[state])[None]
    if mirror:
        neutral, target, landmarks = (p[..., ::-1] for p in (neutral, target, landmarks))
    return neutral, target, landmarks


def _stack(parts: Sequence[NDArray[np.float32]], workers: Workers) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(parts), np.float32)).to(workers.device)
