"""The training loop: any objective, stopped and resumed bit for bit, on one process or many."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from faceflex.errors import UsageError
from faceflex.files import atomic_write
from faceflex.models.device import computes_bfloat16
from faceflex.train.batches import prefetch
from faceflex.train.objective import Objective, TrainConfig
from faceflex.train.training_log import TrainingLog

Report = Callable[[int, int, dict[str, float]], None]
PRECISIONS = ("auto", "float32", "bfloat16")


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Return the fraction of the peak learning rate at ``step``: linear rise, plateau, fall.

    Examples
    --------
    >>> config = TrainConfig(steps=1000, warmup=100, decay=0.5)
    >>> [learning_rate_factor(step, config) for step in (0, 49, 300, 750)]
    [0.01, 0.5, 1.0, 0.5]
    """
    rise = (step + 1) / max(1.0, min(config.warmup, config.steps / 10))
    fall = (config.steps - step) / max(1.0, config.decay * config.steps)
    return max(0.0, min(1.0, rise, fall))


def pick_precision(device: torch.device) -> str:
    """Return the precision to train in: bfloat16 only where matrix units compute in it."""
    return "bfloat16" if computes_bfloat16(device) else "float32"


class Trainer:
    """An objective, its optimiser and its averaged weights; goes on where the folder's state is.

    Parameters
    ----------
    objective
        What to train.
    out
        Folder for ``state.pt``, ``model.safetensors``, ``losses.csv`` and pictures.

    Attributes
    ----------
    step
        Steps done.
    ema
        Averaged weights by name.

    Raises
    ------
    UsageError
        If the folder holds the state of a training with other settings.
    """

    def __init__(self, objective: Objective[Any, Any, Any], out: Path) -> None:
        self.objective, self.out, self.config = objective, out, objective.config
        self.workers, self.device = objective.workers, torch.device(objective.workers.device)
        if self.config.precision not in PRECISIONS:
            raise UsageError(f"unknown precision {self.config.precision!r}")
        out.mkdir(parents=True, exist_ok=True)
        state = self._read_state()
        if state is None:
            objective.initialize()
        self.network = objective.network.to(self.device)
        self.optimizer = torch.optim.AdamW(
            objective.parameter_groups(), betas=(0.9, 0.98), weight_decay=0.01
        )
        for group in self.optimizer.param_groups:
            group["peak"] = group["lr"]
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.step, self.precision = 0, self.config.precision
        if self.precision == "auto":
            self.precision = pick_precision(self.device)
        if state is not None:
            self._restore(state)

    def _read_state(self) -> dict[str, Any] | None:
        path = self.out / "state.pt"
        if not path.is_file():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        before, now = state["config"], asdict(self.config)
        # The length may change: the learning rate's plateau is the same for every length.
        names = [k for k in before | now if k != "steps" and before.get(k) != now.get(k)]
        if names:
            pairs = ", ".join(f"{k} {before.get(k)} -> {now.get(k)}" for k in names)
            raise UsageError(f"{path}: this training was begun with other settings ({pairs})")
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema = {k: v.to(self.device) for k, v in state["ema"].items()}
        self.step, self.precision = state["step"], state["precision"]
        self.objective.load_state_dict(state["objective"])

    def save(self, metrics: dict[str, Any] | None = None) -> None:
        """Write ``state.pt`` and the checkpoint; each appears whole or not at all."""
        state = {
            "config": asdict(self.config),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "precision": self.precision,
            "objective": self.objective.state_dict(),
        }
        with atomic_write(self.out / "state.pt") as temporary:
            torch.save(state, temporary)
        training = {**asdict(self.config), "step": self.step}
        extra = {**(metrics or {}), "training": training}
        self.objective.export(self.averaged(), self.out / "model.safetensors", extra)

    def averaged(self) -> Any:
        """Return the network with averaged weights, on the CPU and in evaluation mode."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self.ema)
        return network.cpu().eval()

    def run(self, report: Report | None = None, save_seconds: float = 120.0) -> dict[str, Any]:
        """Train to the last step, saving now and then; it may be stopped at any moment.

        Parameters
        ----------
        report
            Called after each step with (steps done, steps in all, values by name).
        save_seconds
            Time between two saves.

        Returns
        -------
        The objective's metrics of the trained network; empty on all processes but the first.

        Raises
        ------
        UsageError
            If the loss is no longer finite.
        """
        objective, config, steps = self.objective, self.config, self.config.steps
        autocast: AbstractContextManager[Any] = nullcontext()
        if self.precision == "bfloat16":
            autocast = torch.autocast(self.device.type, torch.bfloat16)
        network = self.workers.wrap(self.network).train()
        trained = [p for p in self.network.parameters() if p.requires_grad]
        metrics: dict[str, Any] = {}
        saved = time.monotonic()
        with ExitStack() as stack:
            log = None
            if self.workers.first:
                log = stack.enter_context(TrainingLog(self.out, self.step))

            for step, batch in prefetch(objective.batch, self.step, steps):
                rate = learning_rate_factor(step, config)
                for group in self.optimizer.param_groups:
                    group["lr"] = group["peak"] * rate

                with autocast:
                    outputs = objective.forward(network, batch, step)
                adversary = objective.adversary_step(batch, outputs, step, rate)
                terms = objective.loss_terms(batch, outputs, step)
                loss = torch.stack([weight * value for weight, value in terms.values()]).sum()

                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                norm = torch.nn.utils.clip_grad_norm_(trained, config.clip)
                self.optimizer.step()
                self._update_ema(step)

                named = {name: value for name, (_, value) in terms.items()}
                values = self.workers.mean({"loss": loss, **named, **adversary, "gradient": norm})
                if not math.isfinite(values["loss"]):
                    raise UsageError(f"training diverged at step {step}; lower the learning rate")
                self.step = step + 1
                if log:
                    log.row(step, values)
                if report:
                    report(self.step, steps, values)
                if log and time.monotonic() - saved > save_seconds:
                    self._save_with_log(log)
                    saved = time.monotonic()

            if log:
                metrics = objective.metrics(self.averaged())
                self._save_with_log(log, metrics)
        self.workers.wait()
        return metrics

    @torch.no_grad()
    def _update_ema(self, step: int) -> None:
        decay = min(self.config.ema, (step + 1) / (step + 10))  # The first weights soon fade.
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)

    def _save_with_log(self, log: TrainingLog, metrics: dict[str, Any] | None = None) -> None:
        log.flush()  # First: no row may be missing that the state counts as done.
        self.save(metrics)
        log.pictures(self.step, self.objective.samples(self.averaged()))
