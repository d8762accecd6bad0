"""Fit the weights by which landmarks tell an infant's face, or a small child's.

Run as ``python -m faceflex.train.infants UTKFace/ infant68.csv``, or with ``children`` behind it
for ``child68.csv``; it says how often it is right on the held-out twentieth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from faceflex.data.readers import read_utkface
from faceflex.data.template import mirrored
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE, estimate_similarity, transform_points
from faceflex.faces.infant import CHILD, SURE

INFANTS, CHILDREN = (1.5, 2.5), (7.5, 11.5)
"""Years: who is younger than the first number is one, who is older than the second is not."""

_WEIGHT_DECAY = 2e-3

Floats = NDArray[np.float64]


def fit_infants(
    points: NDArray[np.floating],
    ages: NDArray[np.floating],
    years: tuple[float, float] = INFANTS,
) -> Floats:
    """Fit logistic regression with ridge (L-BFGS).

    Parameters
    ----------
    points
        (N, 68, 2) landmarks in pixels of the crop.
    ages
        (N,) in years.
    years
        :data:`INFANTS` or :data:`CHILDREN`.

    Returns
    -------
    (69, 2): weights of the landmarks; the last row begins with the intercept.

    Raises
    ------
    UsageError
        If there are no infants, or nobody else.
    """
    known = (ages < years[0]) | (ages > years[1])
    both = np.concatenate([points[known], mirrored(points[known], SIZE)])
    truth = np.tile(ages[known] < years[0], 2).astype(np.float64)
    if not 0 < truth.mean() < 1:
        raise UsageError("infants and older people are needed")
    flat = both.reshape(len(both), -1)
    mean, deviation = flat.mean(axis=0), flat.std(axis=0) + 1e-9
    x = np.column_stack([(flat - mean) / deviation, np.ones(len(flat))])

    def loss(w: Floats) -> tuple[float, Floats]:
        odds = x @ w
        decay = np.append(2 * _WEIGHT_DECAY * w[:-1], 0.0)
        value = float((np.logaddexp(0, odds) - truth * odds).mean() + 0.5 * decay @ w)
        return value, x.T @ (expit(odds) - truth) / len(x) + decay

    w = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    weights = w[:-1] / deviation
    intercept = w[-1] - weights @ mean
    return np.concatenate([weights.reshape(68, 2), [[intercept, 0.0]]])


def main() -> None:
    """Fit, measure and write."""
    parser = argparse.ArgumentParser(prog="python -m faceflex.train.infants")
    parser.add_argument("utkface", type=Path, help="UTKFace, landmarks beside it")
    parser.add_argument("out", type=Path)
    parser.add_argument("who", nargs="?", choices=("infants", "children"), default="infants")
    options = parser.parse_args()
    records, aligned = [], []
    for record in read_utkface(options.utkface):
        if record.points is not None and record.labels:
            records.append(record)
            aligned.append(transform_points(estimate_similarity(record.points), record.points))
    points = np.stack(aligned)
    ages = np.array([r.labels["age"] for r in records])
    held_out = np.array([r.held_out for r in records])
    years, sure = (CHILDREN, CHILD) if options.who == "children" else (INFANTS, SURE)
    weights = fit_infants(points[~held_out], ages[~held_out], years)
    np.savetxt(options.out, weights, fmt="%.5f", delimiter=",")
    taken = (points * weights[:68]).sum(axis=(1, 2)) + weights[68, 0] > sure
    for low, high in ((0, 2), (2, 3), (3, 5), (5, 9), (9, 14), (14, 200)):
        group = held_out & (ages >= low) & (ages < high)
        share = float(taken[group].mean())
        sys.stdout.write(f"{low} to {high - 1} years: {share:.3f} of {group.sum()}\n")


if __name__ == "__main__":
    main()
