"""How often the judge sees a mustache that was put on held-out men who have none.

    python benchmarks/mustache.py celeba/ UTKFace/ [--faces 40] [--strengths 1 1.5 2]

A man has none if neither his label (CelebA's) nor the judge says so. The judge says so from the
score at which it errs equally often either way on faces that it was not trained on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from faceflex import make_editor
from faceflex.assets import resolve
from faceflex.data.readers import read_celeba, read_utkface
from faceflex.data.records import Record
from faceflex.evaluate.vectors import logits, thresholds
from faceflex.faces.align import align
from faceflex.faces.find import Face
from faceflex.faces.recognition import FaceDescriptor
from faceflex.models.attribute_classifier import load_classifier
from faceflex.photo import load_rgb
from faceflex.train.classifier import is_classifier_held_out


def men(records: list[Record], seed: int) -> list[Record]:
    """Return held-out grown men without a mustache, as far as labels say, in random order."""
    found = []
    for r in records:
        if r.points is None or not r.held_out or not r.labels:
            continue
        if r.source == "celeba":
            if r.labels["Male"] > 0 and r.labels["Mustache"] < 0 and r.labels["Goatee"] < 0:
                found.append(r)
        elif r.labels["gender"] == 0 and r.labels["age"] >= 18:
            found.append(r)
    return [found[n] for n in np.random.default_rng(seed).permutation(len(found))]


def main() -> None:
    """Edit, and print a JSON line for each set and strength."""
    parser = argparse.ArgumentParser()
    parser.add_argument("celeba", type=Path)
    parser.add_argument("utkface", type=Path)
    parser.add_argument("--faces", type=int, default=40)
    parser.add_argument("--strengths", type=float, nargs="+", default=[1, 1.5, 2])
    options = parser.parse_args()
    judge = load_classifier(resolve("judge"))
    column = judge.config.names.index("Mustache")
    celeba = [r for r in read_celeba(options.celeba) if r.points is not None]
    unseen = [r for r in celeba if r.held_out or is_classifier_held_out(r.path.name)]
    cut, auc = thresholds(judge, unseen)["Mustache"]
    sys.stdout.write(json.dumps({"auc": round(auc, 3), "cut": round(cut, 2)}) + "\n")
    describe, editor = FaceDescriptor.default(), make_editor()

    def seen(picture: np.ndarray, points: np.ndarray) -> float:
        return float(logits(judge.scores(align(picture, points).crop[None]))[0, column])

    for name, records in (("celeba", celeba), ("utkface", list(read_utkface(options.utkface)))):
        after, far = [], []
        for record in men(records, 1):
            rgb, points = load_rgb(record.path), record.points
            if seen(rgb, points) >= cut:
                continue
            opened = editor.open(rgb, faces=[Face.at(points)])
            pictures = list(opened.render([opened.shot(Mustache=s) for s in options.strengths]))
            after.append([seen(p, points) for p in pictures])
            before = describe(rgb, points)
            far.append([np.linalg.norm(describe(p, points) - before) for p in pictures])
            if len(after) == options.faces:
                break
        for n, strength in enumerate(options.strengths):
            row = {"set": name, "men": len(after), "strength": strength}
            row["judged"] = round(float((np.array(after)[:, n] >= cut).mean()), 3)
            row["identity_distance"] = round(float(np.median(np.array(far)[:, n])), 3)
            sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
