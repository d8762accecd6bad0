"""Objective of the smile dynamics: real action unit curves, read into a code and made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

from faceflex.data.smile_clips import LEAD, RATE, SmileClip, pad_curves
from faceflex.errors import UsageError
from faceflex.models.checkpoint import save_network
from faceflex.models.smile_dynamics import (
    BLINK_SAMPLES,
    SCALE,
    STYLES,
    DynamicsConfig,
    SmileDynamics,
    curve_losses,
)
from faceflex.train.objective import Objective, Term, TrainConfig
from faceflex.train.workers import Workers

_BLINKS = 48  # Shapes of blinks that are kept.
_DETAILS = 160  # Smiles of which the details are kept.
_BANDWIDTH = 0.35  # Of the draw near a code, as a share of its posterior's deviation.


@dataclass(frozen=True)
class DynamicsTraining(TrainConfig):
    """How to train smile dynamics.

    Attributes
    ----------
    slopes
        Weight of the distance of the curves' changes.
    beta
        Weight of the Kullback-Leibler divergence, which rises over the first third.
    """

    steps: int = 3000
    batch: int = 64
    rate: float = 2e-3
    slopes: float = 4.0
    beta: float = 4e-4
    ema: float = 0.995
    precision: str = "float32"


class CurveBatch(NamedTuple):
    """Curves (B, T, 3), styles (B,), which samples are real (B, T), and noise (B, latent)."""

    curves: Tensor
    style: Tensor
    real: Tensor
    noise: Tensor


class DynamicsObjective(Objective[SmileDynamics, CurveBatch, tuple[Tensor, Tensor]]):
    """Smile dynamics.

    Parameters
    ----------
    clips
        Real smiles; those of held-out people only measure.
    config
        How to train.
    shape
        Shape of the network.
    workers
        The processes that train together.

    Raises
    ------
    UsageError
        If there are fewer smiles than in a batch.
    """

    config: DynamicsTraining

    def __init__(
        self,
        clips: Sequence[SmileClip],
        config: DynamicsTraining | None = None,
        *,
        shape: DynamicsConfig | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.config, self.workers = config or DynamicsTraining(), workers or Workers()
        self.clips = [c for c in clips if not c.held_out]
        self.held_out = [c for c in clips if c.held_out]
        if len(self.clips) < self.config.batch:
            raise UsageError(
                f"{len(self.clips)} smiles to train on; at least {self.config.batch} are needed"
            )
        shapes = np.concatenate([c.shapes for c in self.clips])
        base = shape or DynamicsConfig()
        kept = replace(
            base,
            codes=len(self.clips),
            blinks=min(_BLINKS, len(shapes)),
            details=min(_DETAILS, len(self.clips)),
        )
        torch.manual_seed(self.config.seed)
        self.network = SmileDynamics(kept)
        self.curves, self.real = pad_curves(self.clips, kept.length)
        self.style = np.array([c.style for c in self.clips], np.float32)
        pick = np.random.default_rng(self.config.seed).permutation(len(shapes))[: kept.blinks]
        self.network.blink_shapes.copy_(torch.from_numpy(shapes[pick].reshape(-1, BLINK_SAMPLES)))
        self.network.blink_rates.copy_(torch.from_numpy(blink_rates(self.clips)))
        self.network.styles.copy_(torch.from_numpy(self.style))

    def batch(self, step: int) -> CurveBatch:
        """Draw smiles, each played a little faster or slower, larger or smaller."""
        rng = np.random.default_rng((self.config.seed, 1, step))
        pick = rng.integers(len(self.clips), size=self.config.batch)
        noise = rng.standard_normal((self.config.batch, self.network.config.latent))
        gain = rng.normal(1, 0.04, (self.config.batch, 1, 1))
        parts = self.curves[pick] * gain / SCALE, self.style[pick], self.real[pick], noise
        mine = self.workers.part(self.config.batch)
        tensors = (torch.from_numpy(np.float32(p[mine])).to(self.workers.device) for p in parts)
        return CurveBatch(*tensors)

    def forward(self, network: nn.Module, batch: CurveBatch, step: int) -> tuple[Tensor, Tensor]:
        """Make the curves anew."""
        made: tuple[Tensor, Tensor] = network(batch.curves, batch.style, batch.noise)
        return made

    def loss_terms(
        self, batch: CurveBatch, outputs: tuple[Tensor, Tensor], step: int
    ) -> dict[str, Term]:
        """Distances of values and of changes, and the divergence of codes."""
        values, slopes = curve_losses(outputs[0], batch.curves, batch.real)
        rise = min(1.0, 3 * (step + 1) / self.config.steps)
        return {
            "values": (1.0, values),
            "slopes": (self.config.slopes, slopes),
            "kl": (self.config.beta * rise, outputs[1].mean()),
        }

    def export(self, averaged: SmileDynamics, path: Path, extra: dict[str, Any]) -> None:
        """Write the network with the codes of the training's smiles."""
        averaged = fit_codes(averaged, self.curves, self.style, self.real)
        save_network(averaged, path, extra)

    def metrics(self, averaged: SmileDynamics) -> dict[str, Any]:
        """Return the mean distance of held-out people's curves from those made of their codes."""
        if not self.held_out:
            return {}
        curves, real = pad_curves(self.held_out, averaged.config.length)
        style = torch.tensor([float(c.style) for c in self.held_out])
        with torch.no_grad():
            mean, _ = averaged.encode(torch.from_numpy(curves) / SCALE, style)
            made = SCALE * averaged.decode(mean, style)
        error = (made - torch.from_numpy(curves)).abs().mean(dim=2).numpy()
        return {"held_out_l1": float((error * real).sum() / real.sum())}


@torch.no_grad()
def fit_codes(
    network: SmileDynamics,
    curves: NDArray[np.float32],
    style: NDArray[np.float32],
    real: NDArray[np.float32],
) -> SmileDynamics:
    """Keep codes of curves (N, T, 3), how far from them new ones are drawn, and their details.

    Details are what curves made of the codes lack, where samples are real (N, T).
    """
    told = torch.from_numpy(style)
    mean, log_variance = network.encode(torch.from_numpy(curves) / SCALE, told)
    network.codes.copy_(mean)
    for number in range(STYLES):
        mine = told == number
        if bool(mine.any()):
            noise = torch.exp(0.5 * log_variance[mine]).mean(dim=0)
            deviation = mean[mine].std(dim=0) if int(mine.sum()) > 1 else noise
            network.spread[number] = torch.maximum(_BANDWIDTH * deviation, 0.5 * noise)
    # Details end softly where the recording did.
    lasting = gaussian_filter1d(real, 4.0, axis=1, mode="nearest") * real
    lacking = curves - SCALE * network.decode(mean, told, curves.shape[1]).numpy()
    order = np.random.default_rng(0).permutation(len(curves))
    pick = np.sort(order[: network.config.details])
    network.details.copy_(torch.from_numpy((lacking * lasting[:, :, None])[pick]))
    network.detail_styles.copy_(told[pick])
    return network


def blink_rates(clips: Sequence[SmileClip]) -> NDArray[np.float32]:
    """Return blinks a second (2, 12) of each style in each half second after the onset's begin.

    The first column counts what comes before 0.5 s; later than 6 s the last one holds.
    """
    rates = np.zeros((STYLES, 12), np.float32)
    for style in range(STYLES):
        mine = [c for c in clips if c.style == style]
        for k in range(12):
            low, high = 0.5 * k + LEAD, 0.5 * (k + 1) + LEAD
            low = 0.0 if k == 0 else low
            seen = sum(min(max(len(c.curves) / RATE - low, 0), high - low) for c in mine)
            count = sum(low <= b < high for c in mine for b in c.blinks)
            rates[style, k] = count / max(seen, 1e-6)
    return rates
