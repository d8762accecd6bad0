"""Estimate attribute directions from latents and labels: pure functions.

Five ways, compared in docs/vectors.md:

``mean``
    Mean of the faces with the attribute less mean of those without (Face Flex). It carries along
    whatever else the two groups differ in.
``balanced``
    The same within cells of equal other labels, averaged (after White, "Sampling generative
    networks", 2016).
``ridge``
    Partial effects: latents regressed on all labels at once (Hoerl and Kennard 1970).
``logistic``
    Normal of the plane that best separates the groups, by regularised logistic regression (Shen et
    al., InterFaceGAN, 2020).
``lda``
    Fisher's discriminant with shrunken covariance (Chen et al. 2010, oracle approximating
    shrinkage).

Whatever the way, a direction is scaled so that strength 1.0 moves a face along it by the distance
between the balanced means of the two classes. *Versions* of an attribute are made as Face Flex
makes them, from the means of random groups: they differ from the direction as groups differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import UsageError

Labels = Mapping[str, NDArray[np.int8]]
"""For each attribute (N,): 1 for faces with it, -1 for those without, 0 where it is not known."""

ESTIMATORS = ("balanced", "mean", "ridge", "logistic", "lda")
VERSIONS, GROUP = 25, 200
BALANCED_OVER = ("Male", "Young", "Smiling")
"""Labels over which groups are balanced, as far as there are faces for it."""

_MIN_CELL = 10  # Faces that a class needs in a cell of the balancing labels for the cell to count.
_MIN_KNOWN = 0.3  # Share of faces of which a balancing label must be known.
_LABEL_PENALTY = 0.01  # Ridge over labels, as a share of the faces.
_LOGISTIC_PENALTY = 3e-3
_LEANING = 2.0  # Log odds of being drawn, per standard deviation towards a version's kind.


def auc_score(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve of ``scores`` (N,) for the labels ``positive`` (N,)."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def ridge(latents: NDArray[np.floating], values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the weights (D, K) that predict ``values`` (N, K) from ``latents`` (N, D)."""
    x = latents - latents.mean(axis=0, dtype=np.float64)
    y = values - values.mean(axis=0, dtype=np.float64)
    gram = x.T @ x
    penalty = 0.02 * np.trace(gram) / len(gram)
    weights: NDArray[np.float64] = np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T @ y)
    return weights


Cells = list[tuple[NDArray[np.intp], NDArray[np.intp]]]


def _cells(labels: Labels, target: str) -> tuple[Cells, NDArray[np.float64]]:
    """Split faces by the balancing labels.

    Returns
    -------
    Per cell, the faces with and without ``target``; and how much each cell counts: the harmonic
    mean of their numbers, because that is how well they can be compared.
    """
    has = labels[target]
    code, known = np.zeros(len(has), np.int64), np.ones(len(has), bool)
    for name in BALANCED_OVER:
        if name != target and name in labels and (labels[name] != 0).mean() > _MIN_KNOWN:
            code = code * 2 + (labels[name] > 0)
            known &= labels[name] != 0
    cells = []
    for value in np.unique(code):
        inside = known & (code == value)
        yes, no = np.flatnonzero(inside & (has > 0)), np.flatnonzero(inside & (has < 0))
        if min(len(yes), len(no)) >= _MIN_CELL:
            cells.append((yes, no))
    cells = cells or [(np.flatnonzero(has > 0), np.flatnonzero(has < 0))]
    size = np.array([2 * len(y) * len(n) / (len(y) + len(n)) for y, n in cells])
    return cells, size / size.sum()


def _mean(latents: NDArray[np.float32], has: NDArray[np.int8]) -> NDArray[np.float64]:
    yes, no = (latents[has == v].mean(axis=0, dtype=np.float64) for v in (1, -1))
    return yes - no


def _ridge(latents: NDArray[np.float32], labels: Labels, target: str) -> NDArray[np.float64]:
    """Return the partial effect of ``target``; a label that is not known counts as its mean."""
    columns = []
    for values in labels.values():
        known = values != 0
        mean = values[known].mean() if known.any() else 0.0
        columns.append(np.where(known, values - mean, 0.0))
    y = np.stack(columns, axis=1)
    z = latents - latents.mean(axis=0, dtype=np.float64)
    gram = y.T @ y + _LABEL_PENALTY * len(y) * np.eye(y.shape[1])
    effects: NDArray[np.float64] = np.linalg.solve(gram, y.T @ z)
    return effects[list(labels).index(target)]


def _logistic(latents: NDArray[np.float32], has: NDArray[np.int8]) -> NDArray[np.float64]:
    from scipy.optimize import minimize
    from scipy.special import expit

    z, sign = latents[has != 0], has[has != 0].astype(np.float64)
    z = z - z.mean(axis=0, dtype=np.float64)
    # Both classes count the same, however rare one is.
    weight = np.where(sign > 0, 0.5 / (sign > 0).sum(), 0.5 / (sign < 0).sum())

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (z @ w[:-1] + w[-1])
        slope = -sign * weight * expit(-margin)
        gradient = np.append(z.T @ slope + 2 * _LOGISTIC_PENALTY * w[:-1], slope.sum())
        value = (weight * np.logaddexp(0, -margin)).sum() + _LOGISTIC_PENALTY * (w[:-1] ** 2).sum()
        return float(value), gradient

    start = np.zeros(z.shape[1] + 1)
    found: NDArray[np.float64] = minimize(loss, start, jac=True, method="L-BFGS-B").x[:-1]
    return found


def _lda(latents: NDArray[np.float32], has: NDArray[np.int8]) -> NDArray[np.float64]:
    within = np.concatenate([latents[has == v] - latents[has == v].mean(axis=0) for v in (1, -1)])
    n, d = within.shape
    covariance = (within.T @ within).astype(np.float64) / n
    trace, squared = np.trace(covariance), (covariance**2).sum()
    numerator = (1 - 2 / d) * squared + trace**2
    shrink = min(1.0, numerator / ((n + 1 - 2 / d) * (squared - trace**2 / d) + 1e-12))
    covariance = (1 - shrink) * covariance + shrink * trace / d * np.eye(d)
    found: NDArray[np.float64] = np.linalg.solve(covariance, _mean(latents, has))
    return found


def estimate(
    latents: NDArray[np.float32],
    labels: Labels,
    target: str,
    *,
    estimator: str = ESTIMATORS[0],
    versions: int = VERSIONS,
    group: int = GROUP,
    seed: int = 0,
    kinds: NDArray[np.floating] | None = None,
) -> tuple[NDArray[np.float32], float]:
    """Estimate the versions of one attribute.

    Parameters
    ----------
    latents
        (N, D) posterior means.
    labels
        What is known of the faces.
    target
        The attribute.
    estimator
        One of :data:`ESTIMATORS`.
    versions
        How many versions to make.
    group
        Faces in a group, at most half of a class in any one cell.
    seed
        Fixes the groups.
    kinds
        (N, K) how each face looks in what versions should differ in, in standard deviations.
        Groups with the attribute then lean towards a kind, a random one for each version.

    Returns
    -------
    (V, D) float32 versions, calibrated, and the gap between the classes in latent units.

    Raises
    ------
    UsageError
        If a class has fewer than two faces.
    """
    has = labels[target]
    if min(int((has > 0).sum()), int((has < 0).sum())) < 2:
        raise UsageError(f"{target}: needs at least two faces with and two without it")
    if estimator == "mean":
        labels = {target: has}
    cells, share = _cells(labels, target)
    rng = np.random.default_rng(seed)
    drawn = np.zeros((versions, latents.shape[1]))
    means = np.zeros(latents.shape[1])
    if kinds is not None:
        towards = rng.normal(size=(versions, kinds.shape[1]))
        towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    for (yes, no), weight in zip(cells, share, strict=True):
        means += weight * (latents[yes].mean(axis=0) - latents[no].mean(axis=0))
        for version in range(versions):
            for faces, sign in ((yes, 1), (no, -1)):
                count = max(1, min(round(group * weight), len(faces) // 2))
                odds = None
                if kinds is not None and sign > 0:
                    leaning = np.exp(_LEANING * kinds[faces] @ towards[version])
                    odds = leaning / leaning.sum()
                chosen = rng.choice(faces, count, replace=False, p=odds)
                drawn[version] += sign * weight * latents[chosen].mean(axis=0)
    raw = means
    if estimator == "ridge":
        raw = _ridge(latents, labels, target)
    elif estimator in ("logistic", "lda"):
        raw = {"logistic": _logistic, "lda": _lda}[estimator](latents, has)
    unit = raw / max(float(np.linalg.norm(raw)), 1e-12)
    gap = float(unit @ means)
    if estimator not in ("balanced", "mean"):
        drawn += gap * unit - means
    along = drawn @ unit
    # A version that hardly points along the direction is left at its own length.
    factor = np.where(along > 0.2 * gap, gap / np.maximum(along, 1e-12), 1.0)
    return (drawn * factor[:, None]).astype(np.float32), gap
