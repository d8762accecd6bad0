"""Realism: how well a small network that is trained anew tells edited faces from real ones.

A classifier two-sample test: where edits look like photos, no network does better than chance on
faces that it has not seen. As a control it is trained again with the changed place covered: what
is left is what the surroundings give away, and how far the two sets of photos differ anyhow (light,
people, compression).

Source: Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import UsageError
from faceflex.evaluate.realism_faces import PLACES, RealismFace
from faceflex.evaluate.realism_network import Flags, RealismTraining, held_out_logits

MIN_FACES = 20
"""Faces a side below which nothing is measured."""

FOLDS = 5
_GRAY = 128
_DRAWS = 1000  # Of the bootstrap.


@dataclass(frozen=True)
class Estimate:
    """An area under the ROC curve (0.5 is chance), and its 95 % interval."""

    auc: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.auc:.3f} ({self.low:.2f}-{self.high:.2f})"


@dataclass(frozen=True)
class Realism:
    """How well edited faces are told from real ones.

    Attributes
    ----------
    edited, real
        Numbers of faces.
    seen
        With the whole window to look at.
    covered
        With the changed place covered.
    """

    edited: int
    real: int
    seen: Estimate
    covered: Estimate

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, rounded."""

        def rounded(estimate: Estimate) -> dict[str, float]:
            return {name: round(value, 4) for name, value in asdict(estimate).items()}

        counts = {"edited": self.edited, "real": self.real}
        return counts | rounded(self.seen) | {"covered": rounded(self.covered)}


def check_faces(faces: Sequence[RealismFace], side: str) -> None:
    """Raise ``UsageError`` unless a ``side`` (``real`` or ``edited``) has enough faces."""
    if len(faces) < MIN_FACES:
        count = f"{len(faces)} {side} face" + "s" * (len(faces) != 1)
        raise UsageError(f"{count}: realism needs at least {MIN_FACES}; give more photos")


def realism_auc(
    real: Sequence[RealismFace],
    edited: Sequence[RealismFace],
    *,
    place: str = "mouth",
    seed: int = 0,
    training: RealismTraining | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Realism:
    """Train networks to tell edited faces from real ones; ask them about faces they have not seen.

    Parameters
    ----------
    real, edited
        Faces that :func:`~faceflex.evaluate.realism_faces.cut_face` cut; 20 a side or more.
    place
        Where they were cut.
    seed
        Fixes folds, first weights, augmentation and bootstrap; on one machine the result is then
        the same to the last bit, whatever the number of cores.
    training
        How to train.
    progress
        Called with the number of trainings done, and of all.

    Returns
    -------
    The area under the ROC curve in five folds, with the place seen and with it covered. Scores are
    compared within a fold alone, as those of two networks are not on one scale. The interval is
    that of a bootstrap over persons; it does not hold the chance that is in training.

    Raises
    ------
    UsageError
        If there are too few faces, or too few persons for the folds.
    """
    check_faces(real, "real")
    check_faces(edited, "edited")
    training = training or RealismTraining()
    windows = np.stack([f.window for f in (*edited, *real)])
    is_edited = np.arange(len(windows)) < len(edited)
    _, persons = np.unique([f.person for f in (*edited, *real)], return_inverse=True)
    fold = assign_folds(persons, is_edited, seed)
    total, done = 2 * FOLDS * training.networks, 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    def measure() -> Estimate:
        logits = held_out_logits(
            windows, is_edited, fold, seed=seed, training=training, advance=advance
        )
        return estimate_auc(logits, is_edited, fold, persons, seed)

    seen = measure()
    rows, columns = PLACES[place].covered
    windows[:, rows, columns] = _GRAY
    return Realism(len(edited), len(real), seen, measure())


def assign_folds(persons: NDArray[np.intp], is_edited: Flags, seed: int = 0) -> NDArray[np.intp]:
    """Divide persons among the folds at random, both sides evenly.

    Parameters
    ----------
    persons
        (N,), from 0 without gaps: whom each face shows.
    is_edited
        (N,).
    seed
        Of the division.

    Returns
    -------
    (N,), the fold of each face.

    Raises
    ------
    UsageError
        If a side has too few persons.
    """
    rng = np.random.default_rng((seed, 0))
    numbers = range(int(persons.max()) + 1)
    sides = [(is_edited[persons == p].any(), (~is_edited[persons == p]).any()) for p in numbers]
    fold_of = np.zeros(len(numbers), np.intp)
    start = 0
    for kind in sorted(set(sides)):
        members = rng.permutation([p for p in numbers if sides[p] == kind])
        fold_of[members] = (start + np.arange(len(members))) % FOLDS
        start += len(members)
    fold = fold_of[persons]
    for side, name in ((is_edited, "edited"), (~is_edited, "real")):
        if len(set(fold[side])) < FOLDS:
            count = len(set(persons[side]))
            raise UsageError(
                f"{count} person{'s' * (count != 1)} on the {name} side: too few for {FOLDS} "
                "folds, in which nobody is both learned from and asked about"
            )
    return fold


def estimate_auc(
    logits: NDArray[np.float64],
    is_edited: Flags,
    fold: NDArray[np.intp],
    persons: NDArray[np.intp],
    seed: int = 0,
) -> Estimate:
    """Estimate the area under the ROC curve within folds, and its interval by drawing persons.

    Parameters
    ----------
    logits, is_edited, fold, persons
        (N,) each.
    seed
        Of the bootstrap.
    """
    rng = np.random.default_rng((seed, 3))
    count = int(persons.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), _DRAWS)
    weights = np.concatenate([np.ones((1, count)), drawn])[:, persons]
    better, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for k in range(int(fold.max()) + 1):
        a, b = (np.flatnonzero((fold == k) & side) for side in (is_edited, ~is_edited))
        above = (np.sign(logits[a][:, None] - logits[b]) + 1) / 2
        better += np.einsum("da,ab,db->d", weights[:, a], above, weights[:, b], optimize=True)
        pairs += weights[:, a].sum(axis=1) * weights[:, b].sum(axis=1)
    areas = better / np.maximum(pairs, 1e-9)
    low, high = np.percentile(areas[1:][pairs[1:] > 0], (2.5, 97.5))
    return Estimate(float(areas[0]), float(low), float(high))
