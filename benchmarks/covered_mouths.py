"""Fit and measure what tells a covered mouth (faceflex/faces/covered.py).

    python benchmarks/covered_mouths.py benchmarks/covered_mouths.csv UTKFace/ 300w/

``covered_mouths.csv`` names the pictures whose mouths something covers, as an eye marked them, and
those where it is hard to say, which are left out. All others of a sample of both sets count as
mouths in view. In five folds of pictures (crc32 of the name), nobody is scored by a fit to himself;
the last lines are the weights of a fit to all.
"""

from __future__ import annotations

import argparse
import csv
import sys
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from faceflex import make_editor
from faceflex.faces.align import align, estimate_similarity, transform_points
from faceflex.faces.covered import covered_features
from faceflex.photo import load_rgb

FOLDS, WEIGHT_DECAY, COVERED_SHARE = 5, 3e-3, 0.1
YOUNGEST, SAMPLE = 3, 7000
Floats = NDArray[np.float64]


def faces(utkface: Path, wild: Path) -> list[tuple[Path, Floats]]:
    """Return pictures and landmarks (68, 2): a sample of UTKFace by a hash, and all of 300-W."""
    with np.load(utkface.parent / "utkface_landmarks68.npz") as table:
        known = zip(table["name"].tolist(), table["points"], strict=True)
        people = [(utkface / n, p) for n, p in known if int(n.split("_")[0]) >= YOUNGEST]
    people.sort(key=lambda pair: zlib.crc32(pair[0].name.encode() + b"occ"))
    with (wild / "landmarks68.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    others = [(wild / "images" / r[0], np.array(r[1:137], float).reshape(68, 2)) for r in rows]
    return [*others, *people[:SAMPLE]]


def fit(x: Floats, covered: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Fit logistic regression with ridge; covered mouths weigh a tenth of all others together."""
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-9
    a = np.column_stack([(x - mean) / deviation, np.ones(len(x))])
    weight = np.where(covered, COVERED_SHARE * (~covered).sum() / max(covered.sum(), 1), 1.0)

    def loss(w: Floats) -> tuple[float, Floats]:
        odds, decay = a @ w, np.append(2 * WEIGHT_DECAY * w[:-1], 0.0)
        value = float((weight * (np.logaddexp(0, odds) - covered * odds)).mean() + decay @ w / 2)
        return value, a.T @ (weight * (expit(odds) - covered)) / len(a) + decay

    w = minimize(loss, np.zeros(a.shape[1]), jac=True, method="L-BFGS-B").x
    return mean, deviation, w


def score(model: tuple[Floats, Floats, Floats], x: Floats) -> Floats:
    """Return log odds (N,)."""
    mean, deviation, w = model
    return (x - mean) / deviation @ w[:-1] + w[-1]


def report(names: list[str], x: Floats, marks: dict[str, str]) -> None:
    """Print recall and lift at false alarms of 1, 2 and 3 %, and the weights."""
    known = np.array([marks.get(n, "") != "unsure" for n in names]) & np.isfinite(x).all(axis=1)
    names, x = [n for n, k in zip(names, known, strict=True) if k], x[known]
    covered = np.array([marks.get(n) == "covered" for n in names])
    fold = np.array([zlib.crc32(n.encode()) % FOLDS for n in names])
    scores = np.zeros(len(x))
    for k in range(FOLDS):
        scores[fold == k] = score(fit(x[fold != k], covered[fold != k]), x[fold == k])
    auc = float((scores[covered][:, None] > scores[~covered]).mean())
    sys.stdout.write(f"{covered.sum()} covered of {len(x)}; AUC {auc:.3f}\n")
    for alarms in (0.01, 0.02, 0.03):
        above = scores > np.quantile(scores[~covered], 1 - alarms)
        hit, lost = covered[above].mean(), covered[~above].mean()
        sys.stdout.write(
            f"false alarms {alarms:.0%}: finds {above[covered].mean():.0%}; covered with the"
            f" warning {hit:.1%}, without {lost:.3%}\n"
        )
    model = fit(x, covered)
    own = score(model, x)
    for part, value in zip(("mean", "deviation", "weights"), model, strict=True):
        sys.stdout.write(f"{part}: {value.round(3).tolist()}\n")
    points = np.quantile(own[~covered], (0.97, 0.98, 0.985, 0.99)).round(2).tolist()
    sys.stdout.write(f"log odds of the 97, 98, 98.5 and 99 % of mouths in view: {points}\n")


def main() -> None:
    """Read, encode, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marks", type=Path)
    parser.add_argument("utkface", type=Path)
    parser.add_argument("wild", type=Path, help="300w/, with images/ and landmarks68.csv")
    options = parser.parse_args()
    with options.marks.open(encoding="utf-8") as file:
        marks = {row["name"]: row["mouth"] for row in csv.DictReader(file)}
    codec = make_editor(device="cpu").method.codec
    names, rows = [], []
    for path, points in faces(options.utkface, options.wild):
        crop = align(load_rgb(path), points).crop
        (decoded,) = codec.decode(codec.encode(crop[None]))
        landmarks = transform_points(estimate_similarity(points), points)
        names.append(path.name)
        rows.append(covered_features(crop, decoded, landmarks))
    report(names, np.array(rows), marks)


if __name__ == "__main__":
    main()
