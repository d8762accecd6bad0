"""Objectives of CMM-Net's networks, one a phase of its training.

Wang et al., CVPR 2018, section 3.5: the landmark VAE; with it the conditional LSTM; with both the K
multi-mode LSTMs; and, apart from these, the translation to faces (:mod:`.face_translation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.data.landmark_pictures import FRAMES, LandmarkSequence, SequenceMaker
from faceflex.errors import UsageError
from faceflex.faces.landmark_pictures import draw_landmarks
from faceflex.models.checkpoint import save_network
from faceflex.models.landmark_sequences import (
    LandmarkSequences,
    SequenceConfig,
    pull_loss,
    push_loss,
)
from faceflex.models.landmark_vae import LandmarkVAE, LandmarkVAEConfig, picture_loss
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.workers import Workers


@dataclass(frozen=True)
class LandmarkVAETraining(TrainConfig):
    """How to train the landmark VAE.

    Attributes
    ----------
    beta
        Weight of the Kullback-Leibler divergence.
    """

    steps: int = 1500
    batch: int = 48
    rate: float = 1e-3
    beta: float = 0.5
    clip: float = 100.0


class PictureBatch(NamedTuple):
    """Pictures (B, 1, 64, 64), and noise (B, latent)."""

    pictures: Tensor
    noise: Tensor


class LandmarkVAEObjective(Objective[LandmarkVAE, PictureBatch, tuple[Tensor, Tensor]]):
    """The landmark VAE.

    Parameters
    ----------
    maker
        Makes sequences; single frames of them are learned.
    config
        How to train.
    shape
        Shape of the network; the published one by default.
    workers
        The processes that train together.
    """

    config: LandmarkVAETraining

    def __init__(
        self,
        maker: SequenceMaker,
        config: LandmarkVAETraining | None = None,
        *,
        shape: LandmarkVAEConfig | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.config, self.workers = config or LandmarkVAETraining(), workers or Workers()
        self.maker = maker
        torch.manual_seed(self.config.seed)
        self.network = LandmarkVAE(shape or LandmarkVAEConfig())

    def batch(self, step: int) -> PictureBatch:
        """Draw frames: four of each of as many sequences as are needed."""
        rng = np.random.default_rng((self.config.seed, 1, step))
        pictures: list[NDArray[np.uint8]] = []
        while len(pictures) < self.config.batch:
            sequence = self.maker.make(rng)
            pictures += [_shifted(sequence, k, rng) for k in rng.integers(FRAMES, size=4)]
        noise = rng.standard_normal((self.config.batch, self.network.config.latent))
        mine = self.workers.part(self.config.batch)
        stacked = np.stack(pictures[: self.config.batch])[mine, None]
        return PictureBatch(_tensor(stacked, self.workers), _tensor(noise[mine], self.workers))

    def forward(self, network: nn.Module, batch: PictureBatch, step: int) -> tuple[Tensor, Tensor]:
        """Make the pictures anew."""
        made: tuple[Tensor, Tensor] = network(*batch)
        return made

    def loss_terms(
        self, batch: PictureBatch, outputs: tuple[Tensor, Tensor], step: int
    ) -> dict[str, Term]:
        """Binary cross-entropy, and the divergence of the codes."""
        return {
            "pictures": (1.0, picture_loss(outputs[0], batch.pictures)),
            "kl": (self.config.beta, outputs[1].mean()),
        }

    def export(self, averaged: LandmarkVAE, path: Path, extra: dict[str, Any]) -> None:
        """Write the network."""
        save_network(averaged, path, extra)


@dataclass(frozen=True)
class SequenceTraining(TrainConfig):
    """How to train the recurrent networks.

    Attributes
    ----------
    modes
        Whether the multi-mode LSTMs are learned too (the third phase); else the second one.
    beta
        Weight of the divergence of the VAE, which goes on learning.
    pull, push
        Weights of the losses of the modes.
    tuned
        Learning rate of what was learned before, as a share.
    """

    steps: int = 600
    batch: int = 4
    rate: float = 1e-3
    clip: float = 100.0
    modes: bool = False
    beta: float = 0.5
    pull: float = 20.0
    push: float = 60.0
    tuned: float = 0.2


class SequenceBatch(NamedTuple):
    """Neutral pictures (B, 1, 64, 64), sequences (B, T, 64, 64), styles (B,), noise (B, latent)."""

    first: Tensor
    pictures: Tensor
    style: Tensor
    noise: Tensor


class SequenceOutputs(NamedTuple):
    """What the networks made of a batch.

    Attributes
    ----------
    logits
        (B, T, 64, 64) of the conditional sequences.
    again, divergence
        (B, 1, 64, 64) and (B,) of the VAE, of the last frames.
    codes
        (B, T, latent) conditional codes.
    modes
        (B, K, T, latent); None in the second phase.
    told
        (B, K, K) which is taken for which; None in the second phase.
    """

    logits: Tensor
    again: Tensor
    divergence: Tensor
    codes: Tensor
    modes: Tensor | None
    told: Tensor | None


class SequenceObjective(Objective[LandmarkSequences, SequenceBatch, SequenceOutputs]):
    """The conditional LSTM, or with ``config.modes`` the multi-mode LSTMs.

    Parameters
    ----------
    maker
        Makes sequences.
    config
        How to train.
    start
        What was learned in the phase before.
    shape
        Shape of the network.
    workers
        The processes that train together.

    Raises
    ------
    UsageError
        If the phase before does not fit.
    """

    config: SequenceTraining

    def __init__(
        self,
        maker: SequenceMaker,
        config: SequenceTraining | None = None,
        *,
        start: LandmarkVAE | LandmarkSequences,
        shape: SequenceConfig | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.config, self.workers = config or SequenceTraining(), workers or Workers()
        self.maker = maker
        if self.config.modes and not isinstance(start, LandmarkSequences):
            raise UsageError("`start`: modes are learned after sequences; give that phase's model")
        torch.manual_seed(self.config.seed)
        if shape is None:
            known = start.config
            shape = (
                known
                if isinstance(known, SequenceConfig)
                else SequenceConfig(known.latent, known.widths)
            )
        self.network = LandmarkSequences(shape)
        part = self.network if isinstance(start, LandmarkSequences) else self.network.vae
        try:
            part.load_state_dict(start.state_dict())
        except RuntimeError:
            raise UsageError("`start`: its shape is another one") from None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Give what is new the full learning rate, and what was learned before a share of it."""
        new: list[nn.Parameter] = []
        old: list[nn.Parameter] = []
        learned = ("modes", "mode_codes", "classifier")
        for name, parameter in self.network.named_parameters():
            late = name.startswith(learned)
            if late and not self.config.modes:
                parameter.requires_grad_(False)
                continue
            fresh = late if self.config.modes else not name.startswith("vae.")
            (new if fresh else old).append(parameter)
        rate = self.config.rate
        return [{"params": new, "lr": rate}, {"params": old, "lr": rate * self.config.tuned}]

    def batch(self, step: int) -> SequenceBatch:
        """Draw sequences."""
        rng = np.random.default_rng((self.config.seed, 2, step))
        made = [self.maker.make(rng) for _ in range(self.config.batch)]
        noise = rng.standard_normal((self.config.batch, self.network.config.latent))
        mine = self.workers.part(self.config.batch)
        pictures = np.stack([s.pictures() for s in made])[mine]
        style = np.array([s.style for s in made])[mine]
        parts = pictures[:, :1], pictures, style, noise[mine]
        return SequenceBatch(*(_tensor(p, self.workers) for p in parts))

    def forward(self, network: nn.Module, batch: SequenceBatch, step: int) -> SequenceOutputs:
        """Make sequences of the neutral pictures and styles."""
        own = self.network
        codes = network(batch.first, batch.style, batch.pictures.shape[1])
        again, divergence = own.vae(batch.pictures[:, -1:], batch.noise)
        modes = told = None
        if self.config.modes:
            modes = own.mode_sequences(codes)
            told = own.classifier(modes.mean(dim=2))
        return SequenceOutputs(own.pictures(codes), again, divergence, codes, modes, told)

    def loss_terms(
        self, batch: SequenceBatch, outputs: SequenceOutputs, step: int
    ) -> dict[str, Term]:
        """Binary cross-entropy of sequences and of the VAE; pull and push of the modes."""
        flat = outputs.logits.flatten(0, 1), batch.pictures.flatten(0, 1)
        terms: dict[str, Term] = {
            "sequences": (1.0, picture_loss(*flat)),
            "pictures": (1.0, picture_loss(outputs.again, batch.pictures[:, -1:])),
            "kl": (self.config.beta, outputs.divergence.mean()),
        }
        if outputs.modes is not None and outputs.told is not None:
            terms["pull"] = (self.config.pull, pull_loss(outputs.modes.float(), outputs.codes))
            terms["push"] = (self.config.push, push_loss(outputs.told.float()))
        return terms

    def export(self, averaged: LandmarkSequences, path: Path, extra: dict[str, Any]) -> None:
        """Write the networks."""
        save_network(averaged, path, extra)


def _shifted(sequence: LandmarkSequence, frame: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a frame of a sequence, its landmarks a little displaced together."""
    return draw_landmarks(sequence.points[frame] + rng.normal(0, 0.7, 2))


def _tensor(values: NDArray[Any], workers: Workers) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(workers.device)
