"""Objective of the smile CVAE: its evidence bound on latents, from the optimum of a linear one.

Smiles are not spread evenly over people: more women smile in photos than men. A model that learns
what goes with a smile learns that too, as SmileCVAE did. So the effect of the degree is a *partial*
regression coefficient, sex, age and ethnic group held constant, less what linear probes of sex and
age would notice; and codes are kept from telling the degree beyond what those tell, by a small
adversary (Lample et al., "Fader networks", 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.data.smile_faces import SmileFaces
from faceflex.errors import UsageError
from faceflex.methods.directions import ridge
from faceflex.models.checkpoint import save_network
from faceflex.models.codec import decode_faces
from faceflex.models.smile_cvae import SmileCVAE, SmileCVAEConfig
from faceflex.models.vae import VAE, kl_divergence
from faceflex.train.batches import EpochSampler
from faceflex.train.latent_usage import LatentUsage
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.workers import Workers

_PENALTY = 1e-3  # Ridge of the regression, as a share of the faces.
_LEAST_VARIANCE = 1e-4  # Share of the largest, of what is left in the codes.
_CRITIC_WIDTH = 128
_SAMPLES, _SHOWN = 8, (-0.7, 0.0, 0.7)
_PROBED = 2  # The first columns of groups: sex and age, which linear probes tell from latents.


@dataclass(frozen=True)
class SmileCVAETraining(TrainConfig):
    """How to train a smile CVAE.

    Attributes
    ----------
    beta
        Weight of the KL term; 1 is the evidence bound.
    independence
        Weight of the adversary that finds degrees in codes.
    hand
        How many times a face with a hand-made degree counts.
    gain
        See :class:`~faceflex.models.smile_cvae.SmileCVAEConfig`.
    """

    steps: int = 3000
    batch: int = 256
    rate: float = 5e-4
    warmup: int = 100
    decay: float = 0.5
    ema: float = 0.995
    clip: float = 1.0
    precision: str = "float32"
    seed: int = 70
    beta: float = 1.0
    independence: float = 0.1
    hand: int = 4
    gain: float = 1.0


class LatentBatch(NamedTuple):
    """Latents (B, D), degrees (B,), and the degrees beyond what groups tell (B,)."""

    latents: Tensor
    degrees: Tensor
    surprises: Tensor


class Encoded(NamedTuple):
    """Decoded latents, posterior means and log-variances, (B, D) each."""

    latents: Tensor
    mean: Tensor
    logvar: Tensor


class SmileCVAEObjective(Objective[SmileCVAE, LatentBatch, Encoded]):
    """A smile CVAE's training.

    Parameters
    ----------
    faces
        Encoded faces with degrees; the held-out ones are never trained on.
    face_model
        Id of the face model that encoded them.
    config
        How to train.
    model
        The face model itself, for samples; without it there are none.
    workers
        The processes that train together.

    Raises
    ------
    UsageError
        If there are too few faces, or all degrees are equal.
    """

    config: SmileCVAETraining

    def __init__(
        self,
        faces: SmileFaces,
        face_model: str,
        config: SmileCVAETraining | None = None,
        *,
        model: VAE | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.faces, self.model, self.workers = faces, model, workers or Workers()
        self.config = config or SmileCVAETraining()
        learned = np.flatnonzero(~faces.held_out)
        self.held_out_index = np.flatnonzero(faces.held_out)
        latent = faces.plain.shape[1]
        if len(learned) <= 20 or float(np.ptp(faces.degrees[learned])) < 0.1:
            raise UsageError(
                f"{len(learned)} faces to train on; more than 20 of different degrees are needed"
            )
        self.learned = learned
        torch.manual_seed(self.config.seed)
        shape = SmileCVAEConfig(face_model, latent, gain=self.config.gain)
        self.network = SmileCVAE(shape)
        self.critic = nn.Sequential(
            nn.Linear(latent, _CRITIC_WIDTH), nn.SiLU(), nn.Linear(_CRITIC_WIDTH, 1)
        ).to(self.workers.device)
        self._critic_optimizer = torch.optim.AdamW(
            self.critic.parameters(), lr=2 * self.config.rate, weight_decay=0.1
        )
        repeats = np.where(faces.by_hand[learned], self.config.hand, 1)
        rows = np.repeat(learned, repeats)
        self._sampler = EpochSampler(rows, min(self.config.batch, len(rows)), self.config.seed)
        self._part = self.workers.part(self._sampler.batch)
        self.usage = LatentUsage(latent, len(rows) // self._sampler.batch)
        self.surprises = degree_surprises(faces, learned)
        self._variance = torch.from_numpy(faces.variance).to(self.workers.device)

    def initialize(self) -> None:
        """Set the linear half to its optimum."""
        fit_linear(self.network, self.faces, self.learned)

    def batch(self, step: int) -> LatentBatch:
        """Return this process's part of a step's faces, mirrored half the time."""
        rows = self._sampler(step)
        mirror = np.random.default_rng((self.config.seed, 2, step)).random(len(rows)) < 0.5
        rows, mirror = rows[self._part], mirror[self._part]
        faces, device = self.faces, self.workers.device
        latents = np.where(mirror[:, None], faces.mirror[rows], faces.plain[rows])
        values = (latents, faces.degrees[rows], self.surprises[rows])
        return LatentBatch(*(torch.from_numpy(np.float32(v)).to(device) for v in values))

    def forward(self, network: nn.Module, batch: LatentBatch, step: int) -> Encoded:
        """Encode, sample and decode."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        shape = (self._sampler.batch, batch.latents.shape[1])
        noise = torch.randn(shape, generator=generator)[self._part].to(self.workers.device)
        outputs = Encoded(*network(batch.latents, batch.degrees, noise))
        self.usage.add(outputs.mean.detach().cpu().numpy(), step)
        return outputs

    def adversary_step(
        self, batch: LatentBatch, outputs: Encoded, step: int, rate: float
    ) -> dict[str, Tensor]:
        """Train the critic, which predicts degrees from codes, by one step."""
        with torch.enable_grad():
            found = self.critic(outputs.mean.detach())[:, 0]
            loss = F.mse_loss(found, batch.surprises)
            self._critic_optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            for parameter in self.critic.parameters():
                if parameter.grad is not None and self.workers.count > 1:
                    torch.distributed.all_reduce(parameter.grad)
                    parameter.grad /= self.workers.count
            for group in self._critic_optimizer.param_groups:
                group["lr"] = 2 * self.config.rate * rate
            self._critic_optimizer.step()
        return {"critic": loss.detach()}

    def loss_terms(self, batch: LatentBatch, outputs: Encoded, step: int) -> dict[str, Term]:
        """Return reconstruction in the face model's own measure, KL divergence, independence.

        An error as large as the face model's posterior is broad counts one half; the terms are
        means over the numbers of a latent.
        """
        squares = (outputs.latents - batch.latents).square() / self._variance
        kl = kl_divergence(outputs.mean, outputs.logvar).mean() / outputs.mean.shape[1]
        told = self.critic(outputs.mean)[:, 0].square().mean()
        return {
            "reconstruction": (0.5, squares.mean()),
            "kl": (self.config.beta, kl),
            "told": (self.config.independence, told),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the critic's state, and the variances of codes so far."""
        return {
            "usage": self.usage.state_dict(),
            "critic": self.critic.state_dict(),
            "optimizer": self._critic_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.usage.load_state_dict(state["usage"])
        self.critic.load_state_dict(state["critic"])
        self._critic_optimizer.load_state_dict(state["optimizer"])

    def samples(self, averaged: SmileCVAE) -> Sequence[NDArray[np.uint8]]:
        """Return faces decoded with their own degree, and with -0.7, 0 and 0.7."""
        if self.model is None:
            return ()
        index = self.held_out_index if len(self.held_out_index) else self.learned
        places = index[np.unique(np.linspace(0, len(index) - 1, _SAMPLES).astype(int))]
        latents, own = (torch.from_numpy(v[places]) for v in (self.faces.plain, self.faces.degrees))
        rows = []
        with torch.inference_mode():
            codes = averaged.encode(latents, own)
            for degrees in (own, *(torch.full_like(own, d) for d in _SHOWN)):
                decoded = averaged.decode(codes, degrees).numpy()
                rows.append(decode_faces(self.model, decoded))
        return rows

    def metrics(self, averaged: SmileCVAE) -> dict[str, Any]:
        """Return what held-out faces say: reconstruction, and how well codes tell degrees."""
        index = self.held_out_index if len(self.held_out_index) > 1 else self.learned
        latents = torch.from_numpy(self.faces.plain[index])
        degrees = torch.from_numpy(self.faces.degrees[index])
        with torch.inference_mode():
            codes = averaged.encode(latents, degrees)
            squares = (averaged.decode(codes, degrees) - latents).square()
        relative = float((squares / torch.from_numpy(self.faces.variance)).mean())
        return {
            "held_out_reconstruction": round(relative, 5),
            "code_variance": round(float(codes.var(0).mean()), 4),
        }

    def export(self, averaged: SmileCVAE, path: Path, extra: dict[str, Any]) -> None:
        """Write the CVAE."""
        training = extra["training"] | {"faces": len(self.learned)}
        save_network(averaged, path, extra | {"training": training})
        self.usage.save(path.parent)


def _design(faces: SmileFaces, index: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return what is known of faces beside their degrees (n, K + 1), a constant last."""
    groups = faces.groups[index].astype(np.float64)
    return np.column_stack([groups, np.ones(len(index))])


def degree_surprises(faces: SmileFaces, learned: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return (N,) degrees less what a linear regression on groups, on ``learned``, predicts."""
    design, values = _design(faces, learned), faces.degrees[learned].astype(np.float64)
    penalty = _PENALTY * len(learned) * np.eye(design.shape[1])
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ values)
    everybody = _design(faces, np.arange(len(faces.degrees)))
    return np.float32(faces.degrees - everybody @ weights)


def _without(effect: NDArray[np.float64], probes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an effect (D,) without what linear probes (D, K) would notice of it."""
    basis, _ = np.linalg.qr(probes[:, np.linalg.norm(probes, axis=0) > 0])
    left: NDArray[np.float64] = effect - basis @ (basis.T @ effect)
    return left


def fit_linear(network: SmileCVAE, faces: SmileFaces, learned: NDArray[np.integer]) -> None:
    """Set a network's linear half to the optimum of a linear conditional VAE.

    Parameters
    ----------
    network
        What is fitted.
    faces, learned
        Faces, and which of them to learn from.
    """
    both = np.concatenate([faces.plain[learned], faces.mirror[learned]]).astype(np.float64)
    degrees = np.tile(faces.degrees[learned].astype(np.float64), 2)
    known = np.tile(_design(faces, learned), (2, 1))
    design = np.column_stack([degrees, known])
    penalty = _PENALTY * len(design) * np.eye(design.shape[1])
    effect = np.linalg.solve(design.T @ design + penalty, design.T @ both)[0]
    effect = _without(effect, ridge(both, known[:, :_PROBED]))
    mean = both.mean(axis=0) - degrees.mean() * effect
    left = both - mean - degrees[:, None] * effect
    values, vectors = np.linalg.eigh(left.T @ left / len(left))
    values = np.maximum(values, _LEAST_VARIANCE * values.max())
    mix = (vectors * np.sqrt(values)) @ vectors.T
    unmix = (vectors / np.sqrt(values)) @ vectors.T
    # The best posterior of independent numbers, given how much an error of a latent counts.
    variance = 1 / (1 + np.square(mix).T @ (1 / faces.variance.astype(np.float64)))
    with torch.no_grad():
        for parameter, value in (
            (network.mean, mean),
            (network.effect, effect),
            (network.mix, mix),
            (network.unmix, unmix),
            (network.logvar, np.log(np.clip(variance, 1e-6, 1.0))),
        ):
            parameter.copy_(torch.from_numpy(np.float32(value)))
