"""Ratings of smiles: answers and reaction times of several people, kept in SQLite as they come.

Somebody sees a face and answers as fast as possible whether it smiles. A fast yes is a strong
smile, a slow one a faint one: the degree is the answer's sign times its speed, averaged over
raters.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceflex.errors import UsageError

_FAST = 10.0  # Percentile of a rater's reaction times that counts as speed 1.
_LEAST, _MOST = (
    0.05,
    600.0,
)  # Seconds: what is faster is no reaction, what is slower no first impression.
_TABLE = """create table if not exists answers (
    rater text not null, name text not null, smiles integer not null, seconds real not null,
    answered text not null default current_timestamp, primary key (rater, name))"""


@dataclass(frozen=True)
class Answer:
    """One answer: who, of which picture, whether it smiles, and after how many seconds."""

    rater: str
    name: str
    smiles: bool
    seconds: float


class Ratings:
    """A file of answers; several threads may use it.

    Parameters
    ----------
    path
        SQLite file; made if it is not there.

    Raises
    ------
    UsageError
        If it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute(_TABLE)
            self._database.execute("select rater, name, smiles, seconds from answers limit 1")
        except sqlite3.Error as error:
            raise UsageError(f"{path}: is no file of ratings ({error})") from error

    def add(self, answer: Answer) -> bool:
        """Store an answer at once; tell whether it is new: the first of a face counts.

        Raises
        ------
        UsageError
            If its time makes no sense.
        """
        if not (math.isfinite(answer.seconds) and _LEAST <= answer.seconds <= _MOST):
            raise UsageError(f"{answer.seconds:g} s: no reaction time")
        row = (answer.rater, answer.name, int(answer.smiles), answer.seconds)
        with self._lock:
            done = self._database.execute(
                "insert or ignore into answers (rater, name, smiles, seconds) values (?, ?, ?, ?)",
                row,
            )
        return done.rowcount == 1

    def answers(self) -> list[Answer]:
        """Return all answers, in the order in which they came."""
        with self._lock:
            rows = self._database.execute(
                "select rater, name, smiles, seconds from answers order by rowid"
            ).fetchall()
        return [Answer(r, n, bool(s), t) for r, n, s, t in rows]

    def answered(self, rater: str) -> set[str]:
        """Return the pictures that a rater has answered."""
        return {a.name for a in self.answers() if a.rater == rater}

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def signed_speeds(answers: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Return, by rater and picture, the sign of each answer times its speed, from -1 to 1.

    A rater's fastest tenth has speed 1; an answer that takes twice as long as those, 0.5.
    """
    found: dict[str, dict[str, float]] = {}
    for rater in dict.fromkeys(a.rater for a in answers):
        own = [a for a in answers if a.rater == rater]
        fast = float(np.percentile([a.seconds for a in own], _FAST))
        found[rater] = {a.name: (1 if a.smiles else -1) * min(1.0, fast / a.seconds) for a in own}
    return found


def degrees_of(answers: Sequence[Answer]) -> dict[str, float]:
    """Return the degree of each picture: the mean over its raters.

    Examples
    --------
    >>> degrees_of([Answer("ann", "a.jpg", True, 0.5), Answer("ann", "b.jpg", False, 1.1)])
    {'a.jpg': 1.0, 'b.jpg': -0.5091}
    """
    speeds = signed_speeds(answers)
    names = dict.fromkeys(a.name for a in answers)
    return {
        name: round(float(np.mean([own[name] for own in speeds.values() if name in own])), 4)
        for name in names
    }


def agreement(answers: Sequence[Answer]) -> float | None:
    """Return how far raters agree whether faces smile: Krippendorff's alpha, nominal.

    Returns
    -------
    1 when they always agree, 0 when no more than by chance; None when no two rated the same face,
    or all gave one answer.

    Raises
    ------
    UsageError
        If the library that computes it is missing.
    """
    try:
        import krippendorff
    except ImportError:
        raise UsageError(
            "agreement needs a library that is not here; get it with: pip install 'faceflex[rate]'"
        ) from None
    raters = list(dict.fromkeys(a.rater for a in answers))
    names = list(dict.fromkeys(a.name for a in answers))
    table = np.full((len(raters), len(names)), np.nan)
    for a in answers:
        table[raters.index(a.rater), names.index(a.name)] = float(a.smiles)
    shared = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    if len(np.unique(shared[~np.isnan(shared)])) < 2:
        return None
    return float(krippendorff.alpha(shared, level_of_measurement="nominal"))
