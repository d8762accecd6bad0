"""Train the face model."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError
from faceflex.files import replacing
from faceflex.models.checkpoint import save_vae
from faceflex.models.vae import VAE, VAEConfig, kl_divergence
from faceflex.plots import tile
from faceflex.train.batches import FaceBatches
from faceflex.train.linear import fit_linear, start_from
from faceflex.train.losses import laplacian_l1

log = logging.getLogger(__name__)
Report = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class TrainConfig:
    """How to train; saved with the state, and compared when training goes on.

    Attributes
    ----------
    steps
        Batches in all.
    batch
        Faces in a batch.
    rate
        Peak learning rate of the convolutional networks.
    linear_rate
        The same for the linear path, which starts at its optimum.
    beta
        Weight of the KL term, per pixel value: 1 is the plain evidence bound for unit noise.
    warmup
        Steps over which the rate rises.
    decay
        Last share of the steps, over which the rate falls to 0.
    ema
        Decay of the averaged weights, which are the ones that are kept.
    seed
        Fixes the start, the batches and the noise.
    """

    steps: int = 5000
    batch: int = 16
    rate: float = 1e-3
    linear_rate: float = 3e-5
    beta: float = 1.0
    warmup: int = 100
    decay: float = 0.5
    ema: float = 0.998
    seed: int = 0


def learning_rate_share(step: int, config: TrainConfig) -> float:
    """Return the share of the peak rate to use at ``step``: rise, plateau, fall to 0."""
    rise = (step + 1) / max(1, config.warmup)
    fall = (config.steps - step) / max(1.0, config.decay * config.steps)
    return max(0.0, min(1.0, rise, fall))


class Trainer:
    """Everything that a stopped training needs to go on, bit for bit.

    Parameters
    ----------
    cache
        Aligned faces; the held-out ones are never trained on.
    out
        Folder for ``state.pt``, ``model.safetensors``, ``losses.csv`` and ``samples.png``.
    config, model_config
        How to train, and what.
    device
        Where to compute. bfloat16 autocast is used where the hardware has it.
    """

    def __init__(
        self,
        cache: AlignedCache,
        out: Path,
        config: TrainConfig,
        model_config: VAEConfig | None = None,
        device: str = "cpu",
    ) -> None:
        self.cache, self.out, self.config = cache, out, config
        self.device = torch.device(device)
        self.train_index = np.flatnonzero(~cache.held_out)
        self.held_out_index = np.flatnonzero(cache.held_out)
        model_config = model_config or VAEConfig()
        if len(self.train_index) <= model_config.latent:
            raise UsageError(
                f"{len(self.train_index)} faces to train on; "
                f"a model of {model_config.latent} numbers needs more faces than that"
            )
        torch.manual_seed(config.seed)
        self.model = VAE(model_config)
        self.step = 0
        self.ema: dict[str, Tensor] = {}
        out.mkdir(parents=True, exist_ok=True)
        state = self._saved_state()
        if state is None:
            start_from(
                self.model,
                fit_linear(cache, self.train_index, model_config.latent, config.seed),
            )
        self.model.to(self.device)
        linear = list(self.model.linear.parameters())
        known = {id(p) for p in linear}
        rest = [p for p in self.model.parameters() if id(p) not in known]
        self.optimizer = torch.optim.AdamW(
            [{"params": rest, "peak": config.rate}, {"params": linear, "peak": config.linear_rate}],
            betas=(0.9, 0.98),
            weight_decay=0.01,
        )
        if state is None:
            self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        else:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.ema = {k: v.to(self.device) for k, v in state["ema"].items()}
            self.step = state["step"]
        self.batches = FaceBatches(cache, self.train_index, config.batch, config.seed, self.device)

    def _saved_state(self) -> dict[str, Any] | None:
        path = self.out / "state.pt"
        if not path.is_file():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        was, now = state["config"], asdict(self.config)
        # The length may change: the rate's plateau is the same for every length.
        different = [k for k in now if k != "steps" and was[k] != now[k]]
        if different:
            pairs = ", ".join(f"{k} {was[k]} -> {now[k]}" for k in different)
            raise UsageError(f"{path}: this training was begun otherwise ({pairs})")
        return state

    def _autocast(self) -> torch.autocast:
        if self.device.type == "cpu":
            # Without native bfloat16 (AMX, AVX-512 BF16) the CPU emulates it ten times slower.
            fast = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
            return torch.autocast("cpu", torch.bfloat16, enabled=fast)
        return torch.autocast(self.device.type, torch.bfloat16)

    def one_step(self, step: int, pictures: Tensor, weights: Tensor) -> dict[str, float]:
        """Take one optimiser step; return the loss terms by name."""
        share = learning_rate_share(step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        noise = torch.Generator(self.device).manual_seed(self.config.seed * 1_000_003 + step)
        with self._autocast():
            output, mean, logvar = self.model(pictures, noise)
        reconstruction = laplacian_l1(output.float(), pictures, weights)
        kl = kl_divergence(mean, logvar).mean()
        loss = reconstruction + self.config.beta / pictures[0].numel() * kl
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        keep = min(self.config.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.ema[name].lerp_(value, 1 - keep)
        terms = {"loss": loss, "reconstruction": reconstruction, "kl": kl, "gradient": norm}
        return {k: float(v.detach()) for k, v in terms.items()}

    def averaged(self) -> VAE:
        """Return a model with the averaged weights, on the CPU."""
        model = VAE(self.model.config)
        model.load_state_dict({k: v.cpu() for k, v in self.ema.items()})
        return model.eval()

    def save(self) -> None:
        """Write the state, the averaged model and a contact sheet; each whole or not at all."""
        state = {
            "config": asdict(self.config),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
        }
        with replacing(self.out / "state.pt") as temporary:
            torch.save(state, temporary)
        model = self.averaged()
        training = {**asdict(self.config), "step": self.step, "faces": len(self.train_index)}
        save_vae(model, self.out / "model.safetensors", {"training": training})
        self.sheet(model)

    def sheet(self, model: VAE, count: int = 12) -> None:
        """Write ``samples.png``: held-out faces above their reconstructions."""
        from PIL import Image

        index = self.held_out_index if len(self.held_out_index) else self.train_index
        places = np.unique(np.linspace(0, len(index) - 1, count).astype(int))
        faces = self.cache.crops(index[places])
        with replacing(self.out / "samples.png") as temporary:
            Image.fromarray(tile([faces, reconstruct(model, faces)])).save(temporary)

    def run(self, report: Report | None = None, save_seconds: float = 120.0) -> None:
        """Train to the last step, saving now and then; can be stopped at any moment.

        Parameters
        ----------
        report
            Called after each step with (steps done, steps in all, loss terms).
        save_seconds
            Time between two saves.
        """
        rows = self.out / "losses.csv"
        _drop_rows_after(rows, self.step)
        saved = time.monotonic()
        self.model.train()
        with rows.open("a", newline="") as file:
            writer = csv.writer(file)
            for step, pictures, weights in self.batches.stream(self.step, self.config.steps):
                terms = self.one_step(step, pictures, weights)
                if not math.isfinite(terms["loss"]):
                    raise UsageError(f"training diverged at step {step}; lower the rate")
                if file.tell() == 0:
                    writer.writerow(["step", *terms])
                writer.writerow([step, *(f"{v:.6g}" for v in terms.values())])
                self.step = step + 1
                if report:
                    report(self.step, self.config.steps, terms)
                if time.monotonic() - saved > save_seconds:
                    file.flush()
                    self.save()
                    saved = time.monotonic()
        self.save()


def _drop_rows_after(path: Path, step: int) -> None:
    """Drop rows of a loss table that a stopped run wrote after its last save."""
    if not path.is_file():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = lines[:1] + [r for r in lines[1:] if r.endswith("\n") and int(r.split(",")[0]) < step]
    with replacing(path) as temporary:
        temporary.write_text("".join(kept))


@torch.inference_mode()
def reconstruct(model: VAE, faces: NDArray[np.uint8], batch: int = 32) -> NDArray[np.uint8]:
    """Encode and decode (N, S, S, 3) uint8 faces; the same form comes back."""
    from faceflex.models.codec import decode_faces, encode_faces

    return decode_faces(model, encode_faces(model, faces, batch), batch)
