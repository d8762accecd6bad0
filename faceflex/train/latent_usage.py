"""How much each number of a code varies, epoch by epoch: which of them a model uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import UsageError
from faceflex.files import atomic_write

FILE = "latent_variance.npz"
"""Name of the table beside a checkpoint."""


class RunningVariance:
    """Variance of rows that come in batches, in one pass.

    Source: Welford, "Note on a method for calculating corrected sums of squares and products",
    Technometrics 4(3), 1962; batches are joined after Chan, Golub and LeVeque (1983).

    Parameters
    ----------
    width
        Numbers in a row.

    Examples
    --------
    >>> running = RunningVariance(1)
    >>> running.add(np.array([[1.0], [2.0]]))
    >>> running.add(np.array([[6.0]]))
    >>> running.variance
    array([4.66666667])
    """

    def __init__(self, width: int) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(width), np.zeros(width)

    def add(self, rows: NDArray[np.floating]) -> None:
        """Add rows (n, width)."""
        n, mean = len(rows), rows.mean(axis=0, dtype=np.float64)
        squares = np.square(rows - mean).sum(axis=0, dtype=np.float64)
        total, apart = self.count + n, mean - self.mean
        self.squares = self.squares + squares + apart**2 * (self.count * n / total)
        self.mean = self.mean + apart * (n / total)
        self.count = total

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance of all rows so far, (width,)."""
        return self.squares / max(self.count, 1)


class LatentUsage:
    """Variance of codes in each epoch of a training.

    Parameters
    ----------
    width
        Numbers of a code.
    steps
        Steps of an epoch.
    """

    def __init__(self, width: int, steps: int) -> None:
        self.steps, self.history = max(1, steps), list[NDArray[np.float64]]()
        self._now = RunningVariance(width)

    def add(self, codes: NDArray[np.floating], step: int) -> None:
        """Add a step's codes (B, width)."""
        self._now.add(codes)
        if (step + 1) % self.steps == 0:
            self.history.append(self._now.variance)
            self._now = RunningVariance(len(self._now.mean))

    def save(self, folder: Path) -> None:
        """Write ``latent_variance.npz``: ``variance`` (epochs, width); the current one last."""
        rows = [*self.history, *([self._now.variance] if self._now.count else [])]
        width = len(self._now.mean)
        table = np.array(rows, np.float32).reshape(-1, width)
        with atomic_write(folder / FILE) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, variance=table)

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs, as plain numbers."""
        now = self._now
        return {
            "history": [row.tolist() for row in self.history],
            "now": [now.count, now.mean.tolist(), now.squares.tolist()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.history = [np.array(row) for row in state["history"]]
        count, mean, squares = state["now"]
        self._now.count, self._now.mean = count, np.array(mean)
        self._now.squares = np.array(squares)


def read_usage(path: Path) -> NDArray[np.float32]:
    """Read a table of variances, (epochs, width).

    Raises
    ------
    UsageError
        If it is no such table.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            table = np.asarray(stored["variance"], np.float32)
        if table.ndim != 2 or not table.size or not np.isfinite(table).all():
            raise ValueError("no table of numbers")
    except Exception as error:  # zipfile and numpy raise many kinds.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path}: not a table of latent variances ({reason[:160]})") from error
    return table
