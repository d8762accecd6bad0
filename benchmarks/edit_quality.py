"""Measure edits on people that nothing was trained on, in three modes of composition.

    python benchmarks/edit_quality.py london/ UTKFace/ celeba/

The first folder holds pairs, ``neutral_front/NUMBER_03.jpg`` and ``smiling_front/NUMBER_08.jpg``.
Of the other sets 100 held-out faces each are taken, half of them smiling. For each mode, strength
and group one JSON line is printed, and ``--out`` gets all rows.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from faceflex.api import make_editor
from faceflex.compose.composer import MODES
from faceflex.data.readers import read_any
from faceflex.edit.editor import Editor
from faceflex.evaluate import measures
from faceflex.evaluate.edits import Instruments, Row, evaluate_photo, summarise
from faceflex.faces.landmark_groups import OUTER_LIPS
from faceflex.faces.mask import face_outline
from faceflex.faces.recognition import descriptor_distance
from faceflex.photo import load_rgb

STRENGTHS = (0.5, 1.0, 1.25, 1.5, 1.6, 1.75, 2.0, 2.5)


def pairs(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield neutral and smiling photo of each person."""
    for neutral in sorted((root / "neutral_front").glob("*.jpg")):
        yield neutral, root / "smiling_front" / neutral.name.replace("_03", "_08")


def wild(root: Path, editor: Editor, instruments: Instruments, count: int) -> dict[int, list[Path]]:
    """Return held-out photos of one face, ``count`` of people who do not smile (+1) and do (-1)."""
    found: dict[int, list[Path]] = {1: [], -1: []}
    # In an order that has nothing to do with who is on them: UTKFace's names begin with the age.
    records = sorted(read_any(root), key=lambda r: hashlib.sha256(r.path.name.encode()).digest())
    for record in records:
        if not record.held_out or min(len(v) for v in found.values()) >= count:
            continue
        picture = load_rgb(record.path)
        faces = editor.finder.find(picture)
        if len(faces) != 1:
            continue
        score = instruments.measure(picture, faces[0].points, "Smiling").score
        sign = -1 if score > 0.5 else 1
        if len(found[sign]) < count:
            found[sign].append(record.path)
    return found


def real_smiles(
    people: list[tuple[Path, Path]], editor: Editor, instruments: Instruments
) -> dict[str, Any]:
    """Return how people's real smiles differ from their neutral photos, in the same measures."""
    rows = []
    for pair in people:
        pictures = [load_rgb(path) for path in pair]
        seen = [
            instruments.measure(p, editor.finder.find(p)[0].points, "Smiling") for p in pictures
        ]
        hull, mouth = (
            [
                measures.sharpness(p, measures.area(p.shape, outline(s.points)))
                for p, s in zip(pictures, seen, strict=True)
            ]
            for outline in (face_outline, lambda points: points[OUTER_LIPS])
        )
        before, after = (
            measures.skin_colours(p, s.points) for p, s in zip(pictures, seen, strict=True)
        )
        rows.append(
            (
                seen[1].score > 0.8,
                descriptor_distance(seen[0].descriptor, seen[1].descriptor),
                hull[1] / hull[0],
                mouth[1] / mouth[0],
                float(np.sqrt(((after - before) ** 2).sum(axis=1)).mean()),
            )
        )
    table = np.array(rows, np.float64)
    middle = np.median(table, axis=0).round(4).tolist()
    return {
        "mode": "the real smile",
        "faces": len(rows),
        "passed": round(float(table[:, 0].mean()), 4),
        "identity_median": middle[1],
        "identity_99": round(float(np.percentile(table[:, 1], 99)), 4),
        "sharpness_hull": middle[2],
        "sharpness_mouth": middle[3],
        "colour_change": middle[4],
    }


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--count", type=int, default=50, help="faces of each set and direction")
    parser.add_argument("--out", type=Path, help="CSV of all rows")
    parser.add_argument("--model", default=None)
    parser.add_argument("--vectors", default=None)
    options = parser.parse_args()
    instruments = Instruments()
    first = make_editor(model=options.model, vectors=options.vectors)
    groups: dict[tuple[str, int], list[tuple[Path, Path | None]]] = {}
    people = list(pairs(options.pairs))
    if people:
        sys.stdout.write(json.dumps(real_smiles(people, first, instruments)) + "\n")
        groups["pairs", 1] = [(n, s) for n, s in people]
        groups["pairs", -1] = [(s, n) for n, s in people]
    chosen = [wild(root, first, instruments, options.count) for root in options.sets]
    for sign in (1, -1):
        if chosen:
            groups["wild", sign] = [(p, None) for found in chosen for p in found[sign]]
    everything: list[Row] = []
    for mode in options.mode or MODES:
        editor = make_editor(model=options.model, vectors=options.vectors, mode=mode)
        for (group, sign), photos in groups.items():
            rows: list[Row] = []
            for path, aim in photos:
                real = load_rgb(aim) if aim else None
                values = [sign * s for s in STRENGTHS]
                picture = load_rgb(path)
                found = evaluate_photo(
                    editor, instruments, str(path), picture, "Smiling", values, real=real
                )
                rows += [{"mode": mode, "group": group, **row} for row, _ in found]
            everything += rows
            summary = summarise(rows)
            about = {"mode": mode, "group": group, "monotone": summary["monotone"]}
            for line in summary["strengths"]:
                mark = {"chosen": line["strength"] == summary["chosen"]}
                sys.stdout.write(json.dumps(about | line | mark) + "\n")
            sys.stdout.flush()
    if options.out:
        names = list(dict.fromkeys(k for row in everything for k in row))
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(everything)


if __name__ == "__main__":
    main()
