"""Trainings that are stopped and go on: the result is that of one that was never stopped."""

from __future__ import annotations

import pytest
import torch


def run_unbroken_and_resumed(trainer, after=2):
    """Train, stop another training after so many steps and go on; return the first and its metrics.

    ``trainer(name)`` makes a trainer of a folder of that name.
    """
    unbroken, stopped = trainer("unbroken"), trainer("stopped")
    metrics = unbroken.run()

    def stop(step, _steps, _values):
        if step == after:
            stopped.save()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.run(stop)
    resumed = trainer("stopped")
    resumed.run()
    for name, value in unbroken.ema.items():
        assert torch.equal(value, resumed.ema[name]), name
    return unbroken, metrics
