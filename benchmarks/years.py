"""How many years *Young* moves a face, as a reader of its own sees them.

    python benchmarks/years.py UTKFace/ [--faces 24] [--strengths -4 -2 2 4]

The reader is ridge regression of UTKFace's ages on dlib's face descriptor, which has no part in
editing: fitted to a sample balanced by age, tested on held-out faces, of which those of 22 to 60
years are edited. It regresses to the mean, so its years are on the low side.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from faceflex import make_editor
from faceflex.data.readers import read_utkface
from faceflex.data.records import Record
from faceflex.errors import FaceflexError
from faceflex.faces.recognition import FaceDescriptor
from faceflex.photo import load_rgb

_DECADE, _OF_EACH, _RIDGE = 8, 200, 0.3


def balanced(records: list[Record], rng: np.random.Generator) -> list[Record]:
    """Return up to 200 faces of each eight years from 14 to 85, in random order."""
    order = [records[n] for n in rng.permutation(len(records))]
    sample = []
    for low in range(14, 86, _DECADE):
        group = [r for r in order if low <= r.labels["age"] < low + _DECADE]
        sample += group[:_OF_EACH]
    return [sample[n] for n in rng.permutation(len(sample))]


def main() -> None:
    """Fit the reader, edit, and print one JSON line for each strength."""
    parser = argparse.ArgumentParser()
    parser.add_argument("utkface", type=Path)
    parser.add_argument("--faces", type=int, default=24)
    parser.add_argument("--strengths", type=float, nargs="+", default=[-4, -2, 2, 4])
    options = parser.parse_args()
    known = [r for r in read_utkface(options.utkface) if r.points is not None and r.labels]
    rng = np.random.default_rng(0)
    records = balanced([r for r in known if not r.held_out], rng)
    half = len(records)
    records += balanced([r for r in known if r.held_out], rng)
    describe = FaceDescriptor.default()
    codes = np.stack([np.append(describe(load_rgb(r.path), r.points), 1.0) for r in records])
    ages = np.array([r.labels["age"] for r in records])
    x, y = codes[:half], ages[:half]
    weights = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)
    off = codes[half:] @ weights - ages[half:]
    sys.stdout.write(
        json.dumps({"faces": half, "mean_absolute_error": round(float(np.abs(off).mean()), 2)})
        + "\n"
    )
    editor, moved, far = make_editor(), [], []
    chosen = [n for n in range(half, len(records)) if 22 <= ages[n] <= 60]
    for number in chosen:
        record = records[number]
        try:
            opened = editor.open(load_rgb(record.path))
        except FaceflexError:
            continue
        shots = [opened.shot(Young=s) for s in options.strengths]
        after = np.stack([describe(picture, record.points) for picture in opened.render(shots)])
        moved.append((after - codes[number, :-1]) @ weights[:-1])
        far.append(np.linalg.norm(after - codes[number, :-1], axis=1))
        if len(moved) == options.faces:
            break
    for n, strength in enumerate(options.strengths):
        years, distance = np.array(moved)[:, n], np.array(far)[:, n]
        row = {"strength": strength, "years": round(float(np.median(years)), 1)}
        row["quartiles"] = np.percentile(years, [25, 75]).round(1).tolist()
        row["identity_distance"] = round(float(np.median(distance)), 3)
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
