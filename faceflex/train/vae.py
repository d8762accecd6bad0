"""Train the face model."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.data.cache import AlignedCache
from faceflex.errors import UsageError
from faceflex.files import atomic_write
from faceflex.models.checkpoint import save_vae
from faceflex.models.feature_extractor import FeatureExtractor, map_distance
from faceflex.models.vae import VAE, VAEConfig, kl_divergence
from faceflex.train.adversary import Adversary
from faceflex.train.batches import FaceBatches
from faceflex.train.linear import fit_linear, start_from
from faceflex.train.losses import laplacian_l1
from faceflex.train.training_log import TrainingLog
from faceflex.train.workers import Workers

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
    perceptual
        Weight of the distance between a feature network's maps of picture and decode.
    reading
        Weight of how well the feature network's labels are read, linearly, from the latent.
    adversary
        Weight of a patch discriminator's opinion of decodes; with it the encoder is frozen.
    matching
        Weight of the distance between the discriminator's maps of picture and decode.
    noise
        Share of the posterior's spread that is drawn.
    share
        How far the kept weights go from those that training began with to where it led: halfway
        keeps most of what a polish wins, and little of what it spoils (weights of one descent may
        be mixed; Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
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
    perceptual: float = 0.0
    reading: float = 0.0
    adversary: float = 0.0
    matching: float = 0.0
    noise: float = 1.0
    share: float = 1.0
    warmup: int = 100
    decay: float = 0.5
    ema: float = 0.998
    seed: int = 0


def learning_rate_share(step: int, config: TrainConfig) -> float:
    """Return the share of the peak rate to use at ``step``: rise, plateau, fall to 0."""
    rise = (step + 1) / max(1, config.warmup)
    fall = (config.steps - step) / max(1.0, config.decay * config.steps)
    return max(0.0, min(1.0, rise, fall))


class _Whole(nn.Module):
    """The model, and a linear reader of labels beside it, as one network for several processes."""

    def __init__(self, vae: VAE, labels: int) -> None:
        super().__init__()
        self.vae = vae
        self.reader = nn.Linear(vae.config.latent, labels) if labels else None

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        output, mean, logvar = self.vae(x, noise)
        return output, mean, logvar, None if self.reader is None else self.reader(mean)


class Trainer:
    """Everything that a stopped training needs to go on, bit for bit.

    Parameters
    ----------
    cache
        Aligned faces; the held-out ones are never trained on.
    out
        Folder for ``state.pt``, ``model.safetensors``, ``losses.csv`` and pictures.
    config, model_config
        How to train, and what.
    device
        Where to compute. bfloat16 autocast is used where the hardware has it.
    start
        A model to begin with; a linear one, fitted to the faces, by default.
    features
        Network for the perceptual terms.
    workers
        The processes that train together.
    """

    def __init__(
        self,
        cache: AlignedCache,
        out: Path,
        config: TrainConfig,
        model_config: VAEConfig | None = None,
        device: str = "cpu",
        *,
        start: VAE | None = None,
        features: FeatureExtractor | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.cache, self.out, self.config = cache, out, config
        self.device, self.workers = torch.device(device), workers or Workers()
        self.train_index = np.flatnonzero(~cache.held_out)
        self.held_out_index = np.flatnonzero(cache.held_out)
        if features is None and (config.perceptual or config.reading):
            raise UsageError("perceptual terms need a feature network: faceflex train features")
        self.features = None if features is None else features.to(self.device)
        out.mkdir(parents=True, exist_ok=True)
        state = self._saved_state()
        self.model = self._first_model(model_config, start, fitted=state is None)
        labels = len(features.config.names) if features is not None and config.reading else 0
        self.whole = _Whole(self.model, labels).to(self.device)
        if config.adversary:
            self.model.encoder.requires_grad_(False)
            self.model.linear.requires_grad_(False)
        self.shared = self.workers.shared(self.whole)
        linear = list(self.model.linear.parameters())
        known = {id(p) for p in linear}
        rest = [p for p in self.whole.parameters() if id(p) not in known and p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [{"params": rest, "peak": config.rate}, {"params": linear, "peak": config.linear_rate}],
            betas=(0.9, 0.98),
            weight_decay=0.01,
        )
        self.adversary: Adversary | None = None
        if config.adversary:
            self.adversary = Adversary(config.rate, config.seed, self.device, self.workers)
        self.step = 0
        self.began = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        if state is None:
            self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        else:
            self._restore(state)
        self.batches = FaceBatches(
            cache, self.train_index, config.batch, config.seed, self.device, self.workers
        )

    def _first_model(self, config: VAEConfig | None, start: VAE | None, *, fitted: bool) -> VAE:
        config = start.config if start is not None else config or VAEConfig()
        if len(self.train_index) <= config.latent:
            raise UsageError(
                f"{len(self.train_index)} faces to train on; "
                f"a model of {config.latent} numbers needs more faces than that"
            )
        torch.manual_seed(self.config.seed)
        model = VAE(config)
        if start is not None:
            model.load_state_dict(start.state_dict())
        elif fitted:
            fit = fit_linear(self.cache, self.train_index, config.latent, self.config.seed)
            start_from(model, fit)
        return model

    def _saved_state(self) -> dict[str, Any] | None:
        path = self.out / "state.pt"
        if not path.is_file():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        was, now = state["config"], asdict(self.config)
        # The length may change: the rate's plateau is the same for every length.
        different = [k for k in now if k != "steps" and was.get(k) != now[k]]
        if different:
            pairs = ", ".join(f"{k} {was.get(k)} -> {now[k]}" for k in different)
            raise UsageError(f"{path}: this training was begun otherwise ({pairs})")
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        self.whole.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema = {k: v.to(self.device) for k, v in state["ema"].items()}
        self.began = {k: v.to(self.device) for k, v in state["began"].items()}
        self.step = state["step"]
        if self.adversary is not None:
            self.adversary.restore(state["adversary"])

    def _autocast(self) -> torch.autocast:
        if self.device.type == "cpu":
            # Without native bfloat16 (AMX, AVX-512 BF16) the CPU emulates it ten times slower.
            fast = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
            return torch.autocast("cpu", torch.bfloat16, enabled=fast)
        return torch.autocast(self.device.type, torch.bfloat16)

    def _noise(self, step: int) -> Tensor:
        """Return this process's part of a step's noise, the same however many there are."""
        generator = torch.Generator(self.device).manual_seed(self.config.seed * 1_000_003 + step)
        shape = (self.batches.batch, self.model.config.latent)
        noise = torch.randn(shape, generator=generator, device=self.device)
        return self.config.noise * noise[self.batches.part]

    def _perceptual(
        self, pictures: Tensor, output: Tensor, weights: Tensor, logits: Tensor | None
    ) -> dict[str, tuple[float, Tensor]]:
        if self.features is None:
            return {}
        with torch.no_grad():
            wanted = self.features.maps(pictures)
        terms = {}
        if self.config.perceptual:
            apart = map_distance(self.features.maps(output), wanted, weights)
            terms["perceptual"] = (self.config.perceptual, apart.mean())
        if logits is not None:
            told = torch.sigmoid(self.features.read(wanted[-1]))
            loss = F.binary_cross_entropy_with_logits(logits.float(), told)
            terms["reading"] = (self.config.reading, loss)
        return terms

    def one_step(self, step: int, pictures: Tensor, weights: Tensor) -> dict[str, float]:
        """Take one optimiser step; return the loss terms by name, averaged over the processes."""
        share = learning_rate_share(step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        with self._autocast():
            output, mean, logvar, logits = self.shared(pictures, self._noise(step))
        output = output.float()
        terms = {"reconstruction": (1.0, laplacian_l1(output, pictures, weights).mean())}
        told: dict[str, Tensor] = {}
        if self.adversary is None:
            kl = kl_divergence(mean, logvar).mean()
            terms["kl"] = (self.config.beta / pictures[0].numel(), kl)
        else:
            told["discriminator"] = self.adversary.learn(pictures, output, weights, step, share)
            fooled, matching = self.adversary.judge(pictures, output, weights, step)
            terms["adversary"] = (self.config.adversary, fooled)
            terms["matching"] = (self.config.matching, matching)
        terms |= self._perceptual(pictures, output, weights, logits)
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        trained = [p for p in self.whole.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        self.optimizer.step()
        keep = min(self.config.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.ema[name].lerp_(value, 1 - keep)
        named = {k: value for k, (_, value) in terms.items()}
        return self.workers.mean({"loss": loss, **named, **told, "gradient": norm})

    def averaged(self) -> VAE:
        """Return a model with the averaged weights, on the CPU."""
        model = VAE(self.model.config)
        share = self.config.share
        mixed = {k: torch.lerp(v, self.ema[k], share) for k, v in self.began.items()}
        model.load_state_dict({k: v.cpu() for k, v in mixed.items()})
        return model.eval()

    def save(self) -> None:
        """Write the state and the averaged model; each whole or not at all."""
        state = {
            "config": asdict(self.config),
            "model": self.whole.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "began": self.began,
            "step": self.step,
            "adversary": None if self.adversary is None else self.adversary.state(),
        }
        with atomic_write(self.out / "state.pt") as temporary:
            torch.save(state, temporary)
        model = self.averaged()
        training = {**asdict(self.config), "step": self.step, "faces": len(self.train_index)}
        save_vae(model, self.out / "model.safetensors", {"training": training})

    def keep(self, journal: TrainingLog) -> None:
        """Save everything, and write the journal's pictures."""
        journal.flush()
        self.save()
        journal.pictures(self.step, *self.samples())

    def samples(self, count: int = 12) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return held-out faces (count, 128, 128, 3) uint8, and their reconstructions."""
        index = self.held_out_index if len(self.held_out_index) else self.train_index
        places = np.unique(np.linspace(0, len(index) - 1, count).astype(int))
        faces = self.cache.crops(index[places])
        return faces, reconstruct(self.averaged(), faces)

    def run(self, report: Report | None = None, save_seconds: float = 120.0) -> None:
        """Train to the last step, saving now and then; can be stopped at any moment.

        Parameters
        ----------
        report
            Called after each step with (steps done, steps in all, loss terms).
        save_seconds
            Time between two saves.
        """
        saved = time.monotonic()
        self.whole.train()
        with ExitStack() as stack:
            journal = None
            if self.workers.first:
                journal = stack.enter_context(TrainingLog(self.out, self.step))
            for step, pictures, weights in self.batches.stream(self.step, self.config.steps):
                terms = self.one_step(step, pictures, weights)
                if not math.isfinite(terms["loss"]):
                    raise UsageError(f"training diverged at step {step}; lower the rate")
                self.step = step + 1
                if journal:
                    journal.row(step, terms)
                if report:
                    report(self.step, self.config.steps, terms)
                if journal and time.monotonic() - saved > save_seconds:
                    self.keep(journal)
                    saved = time.monotonic()
            if journal:
                self.keep(journal)
        self.workers.wait()


@torch.inference_mode()
def reconstruct(model: VAE, faces: NDArray[np.uint8], batch: int = 32) -> NDArray[np.uint8]:
    """Encode and decode (N, S, S, 3) uint8 faces; the same form comes back."""
    from faceflex.models.codec import decode_faces, encode_faces

    return decode_faces(model, encode_faces(model, faces, batch), batch)
