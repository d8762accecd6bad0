"""How near generated smiles are to real ones, as action unit curves.

Held-out people's smiles are the truth; the training's smiles measured in the same way say how near
one can come with as few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.stats import ks_2samp

from faceflex.data.landmark_pictures import onset_curves
from faceflex.data.smile_clips import RATE, STYLES, SmileClip, SmileMeasures, measure
from faceflex.methods.smile_sequences import SmileModes, SmileSequence

_RIDGE = 1e-2
_SMOOTHED = 5  # Frames, as in the paper's table 3.
_CURVE_UNITS = 2  # AU12 and AU6, which the paper compares.

Floats = NDArray[np.float64]


def draw_smiles(modes: SmileModes, count: int, seed: int = 0) -> list[SmileSequence]:
    """Draw smiles of many people, modes as frequent as they are."""
    rng = np.random.default_rng((17, seed))
    return [
        modes.sequence(
            int(rng.integers(2**32)),
            int(rng.choice(len(modes.shares), p=modes.shares)),
            int(rng.integers(2**31)),
        )
        for _ in range(count)
    ]


def table(curves: Sequence[NDArray[np.floating]]) -> Floats:
    """Return the measures (n, 6) of curves."""
    names = [field.name for field in fields(SmileMeasures)]
    return np.array([[getattr(measure(c), name) for name in names] for c in curves])


def features(curves: NDArray[np.floating]) -> Floats:
    """Return what a classifier of style is told of curves (T, 3)."""
    found = measure(curves)
    au12 = np.asarray(curves[:, 0], np.float64)
    slope = np.diff(au12)
    peaks = int(((slope[:-1] > 0) & (slope[1:] <= 0) & (au12[1:-1] > 0.5 * au12.max())).sum())
    high = float((au12 > 0.9 * au12.max()).sum()) / RATE
    return np.array(
        [
            np.log(found.onset + 0.05),
            np.log(max(found.speed, 0.1)),
            found.amplitude,
            found.amplitude6,
            found.amplitude25,
            np.clip(found.lag, -1, 1),
            min(peaks, 8),
            np.log(high + 0.1),
        ]
    )


class StyleClassifier:
    """Tells posed from spontaneous smiles: linear discriminants of :func:`features` and squares.

    Parameters
    ----------
    clips
        Real smiles to learn from.
    """

    def __init__(self, clips: Sequence[SmileClip]) -> None:
        x = np.array([features(c.curves) for c in clips])
        self._mean, self._scale = x.mean(axis=0), x.std(axis=0) + 1e-6
        y = np.array([2.0 * c.style - 1 for c in clips])
        # Both styles count the same.
        weight = np.where(y > 0, 1 / (y > 0).sum(), 1 / (y < 0).sum())
        z = self._expand(x)
        gram = z.T @ (weight[:, None] * z) + _RIDGE * np.eye(z.shape[1])
        self._weights = np.linalg.solve(gram, z.T @ (weight * y))

    def _expand(self, x: Floats) -> Floats:
        z = np.clip((x - self._mean) / self._scale, -4, 4)
        return np.concatenate([z, z * z - 1, np.ones((len(z), 1))], axis=1)

    def accuracy(self, curves: Sequence[NDArray[np.floating]], style: int) -> float:
        """Return the share of curves that are taken for a style."""
        z = self._expand(np.array([features(c) for c in curves]))
        return float(((z @ self._weights > 0) == bool(style)).mean())


@dataclass(frozen=True)
class CurveDistances:
    """Root mean square distance of real onsets' AU12 and AU6 from generated ones.

    Attributes
    ----------
    drawn
        From a smile drawn of the same style.
    best_of_four
        From the nearest of four modes.
    mean_curve
        From the mean curve of the training's smiles of the style.
    real
        From another real smile of the style.
    energy_drawn, energy_mean_curve, energy_real
        Energy score of drawn smiles as a forecast of a real one, of the mean curve alone, and of
        the training's smiles; lower is better.
    """

    drawn: float
    best_of_four: float
    mean_curve: float
    real: float
    energy_drawn: float
    energy_mean_curve: float
    energy_real: float


def energy_score(truth: Sequence[Floats], made: Sequence[Floats]) -> float:
    """Return the mean energy score of forecasts (Gneiting and Raftery 2007; CRPS in one dimension).

    It is the mean distance of what was made from the truth, less half of the mean distance between
    two that were made: least where both are distributed alike, while the mean distance itself is
    least where all are the same curve.

    Parameters
    ----------
    truth, made
        Curves, all of one shape; distances are root mean squares.

    Examples
    --------
    >>> truth = [np.array([-1.0]), np.array([1.0])]
    >>> energy_score(truth, truth), energy_score(truth, [np.array([0.0])])
    (0.5, 1.0)
    """
    real, drawn = np.stack(truth), np.stack(made)
    axes = tuple(range(1, real.ndim))

    def distances(pool: Floats) -> float:
        return float(
            np.mean([np.sqrt(np.square(pool - one).mean(axis=axes)).mean() for one in drawn])
        )

    return distances(real) - distances(drawn) / 2


def smooth_onset(curves: NDArray[np.floating]) -> Floats:
    """Return AU12 and AU6 (32, 2) of a smile's onset, smoothed over five frames."""
    onset = np.asarray(onset_curves(np.asarray(curves))[:, :_CURVE_UNITS], np.float64)
    return np.asarray(uniform_filter1d(onset, _SMOOTHED, axis=0, mode="nearest"))


def curve_distances(
    real: Sequence[SmileClip],
    known: Sequence[SmileClip],
    drawn: Sequence[SmileSequence],
    modes: Sequence[Sequence[SmileSequence]],
) -> CurveDistances:
    """Compare real onsets with generated ones, and with the mean curve.

    Parameters
    ----------
    real, known
        Held-out smiles of a style, and the training's.
    drawn
        Smiles of the same style.
    modes
        For some faces, four modes each.
    """
    truth = [smooth_onset(c.curves) for c in real]
    mean = np.mean([smooth_onset(c.curves) for c in known], axis=0)
    made = [smooth_onset(s.curves) for s in drawn]
    groups = [[smooth_onset(s.curves) for s in group] for group in modes]
    others = [smooth_onset(c.curves) for c in known]

    def distance(a: Floats, b: Floats) -> float:
        return float(np.sqrt(np.square(a - b).mean()))

    def usual(pool: Sequence[Floats]) -> float:
        return float(np.mean([[distance(t, m) for m in pool] for t in truth]))

    nearest = [min(distance(t, m) for m in group) for t in truth for group in groups]
    return CurveDistances(
        usual(made),
        float(np.mean(nearest)),
        usual([mean]),
        usual(others),
        *(energy_score(truth, pool) for pool in (made, [mean], others)),
    )


def distances_of_people(
    clips: Sequence[SmileClip], count: int, seed: int = 0, rounds: int = 100
) -> dict[str, list[float]]:
    """Return how far the smiles of some people are from those of all others.

    Parameters
    ----------
    clips
        Smiles of a style.
    count
        Smiles that some people have, at least; people are drawn until they do.
    seed, rounds
        How often, and which.

    Returns
    -------
    Median and 90th percentile of the Kolmogorov-Smirnov distance of each measure.
    """
    rows, people = table([c.curves for c in clips]), np.array([c.person for c in clips])
    rng, found = np.random.default_rng((29, seed)), []
    for _ in range(rounds):
        chosen = np.zeros(len(rows), bool)
        for person in rng.permutation(np.unique(people)):
            chosen |= people == person
            if chosen.sum() >= count:
                break
        found.append([ks_2samp(rows[chosen, k], rows[~chosen, k])[0] for k in range(rows.shape[1])])
    names = [field.name for field in fields(SmileMeasures)]
    middle, high = np.median(found, axis=0), np.percentile(found, 90, axis=0)
    return {n: [float(m), float(h)] for n, m, h in zip(names, middle, high, strict=True)}


def novelty(drawn: Sequence[SmileSequence], known: Sequence[SmileClip]) -> float:
    """Return the mean distance of drawn onsets from the nearest of the training's."""
    pool = np.array([smooth_onset(c.curves) for c in known])
    made = [smooth_onset(s.curves) for s in drawn]
    return float(np.mean([np.sqrt(np.square(pool - m).mean(axis=(1, 2))).min() for m in made]))


def evaluate_dynamics(
    clips: Sequence[SmileClip], modes: Sequence[SmileModes], count: int = 400, seed: int = 0
) -> dict[str, Any]:
    """Measure generated smiles against held-out people's.

    Parameters
    ----------
    clips
        Real smiles, the held-out people's among them.
    modes
        Of both styles.
    count
        Smiles to draw of each style.
    seed
        Fixes them.

    Returns
    -------
    For each style Kolmogorov-Smirnov distances of onset (s), speed, amplitudes and lag, to held-out
    smiles and to the training's, beside those of the training's smiles to held-out ones; accuracy
    of a classifier of style; distances of curves.
    """
    names = [field.name for field in fields(SmileMeasures)]
    known = [c for c in clips if not c.held_out]
    classifier = StyleClassifier(known)
    report: dict[str, Any] = {}
    for style, label in enumerate(STYLES):
        drawn = draw_smiles(modes[style], count, seed)
        mine = [c for c in known if c.style == style]
        real = [c for c in clips if c.held_out and c.style == style]
        tables = [
            table(c)
            for c in (
                [s.curves for s in drawn],
                [c.curves for c in real],
                [c.curves for c in mine],
            )
        ]

        def distances(a: Floats, b: Floats) -> dict[str, float]:
            found = (float(ks_2samp(a[:, k], b[:, k])[0]) for k in range(len(names)))
            return dict(zip(names, found, strict=True))

        rng = np.random.default_rng((23, seed))
        groups = [
            [modes[style].sequence(int(face), mode, seed) for mode in range(4)]
            for face in rng.integers(2**32, size=8)
        ]
        apart = curve_distances(real, mine, drawn[:150], groups)
        report[label] = {
            "held_out": len(real),
            "ks_to_held_out": distances(tables[0], tables[1]),
            "ks_to_training": distances(tables[0], tables[2]),
            "ks_training_to_held_out": distances(tables[2], tables[1]),
            "ks_of_some_people": distances_of_people(mine, len(real), seed),
            "style_accuracy_real": classifier.accuracy([c.curves for c in real], style),
            "style_accuracy_drawn": classifier.accuracy([s.curves for s in drawn], style),
            "curve_distance": {f.name: getattr(apart, f.name) for f in fields(apart)},
            "nearest_training_smile": novelty(drawn[:100], mine),
            "nearest_training_smile_of_held_out": novelty(
                [
                    SmileSequence(np.float64(c.curves), (), np.zeros((0, 21), np.float32))
                    for c in real
                ],
                mine,
            ),
        }
    return report
