"""Measure edits on people that nothing was trained on, by three ways of putting them in.

    python benchmarks/edit_quality.py london/ UTKFace/ celeba/

The first folder holds pairs, ``neutral_front/NUMBER_03.jpg`` and ``smiling_front/NUMBER_08.jpg``.
Of the other sets 100 held-out faces each are taken, half of them smiling. For each method, strength
and group one JSON line is printed, and ``--out`` gets all rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from faceflex.data.readers import read_any
from faceflex.editor import METHODS, Editor
from faceflex.evaluate.edits import Instruments, Row, evaluate_photo, summarise
from faceflex.photo import load_rgb

STRENGTHS = (0.5, 1.0, 1.25, 1.5, 1.6, 1.75, 2.0, 2.5)


def pairs(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield neutral and smiling photo of each person."""
    for neutral in sorted((root / "neutral_front").glob("*.jpg")):
        yield neutral, root / "smiling_front" / neutral.name.replace("_03", "_08")


def wild(root: Path, editor: Editor, tools: Instruments, count: int) -> dict[int, list[Path]]:
    """Return held-out photos of one face, ``count`` of people who do not smile (+1) and do (-1)."""
    found: dict[int, list[Path]] = {1: [], -1: []}
    for record in read_any(root):
        if not record.held_out or min(len(v) for v in found.values()) >= count:
            continue
        picture = load_rgb(record.path)
        faces = editor.find_faces(picture)
        if len(faces) != 1:
            continue
        score = tools.look(picture, faces[0].points, "Smiling").score
        sign = -1 if score > 0.5 else 1
        if len(found[sign]) < count:
            found[sign].append(record.path)
    return found


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--method", action="append", choices=METHODS)
    parser.add_argument("--count", type=int, default=50, help="faces of each set and direction")
    parser.add_argument("--out", type=Path, help="CSV of all rows")
    parser.add_argument("--model", default="vae")
    parser.add_argument("--vectors", default="vectors")
    options = parser.parse_args()
    tools = Instruments()
    first = Editor(options.model, options.vectors)
    groups: dict[tuple[str, int], list[tuple[Path, Path | None]]] = {}
    people = list(pairs(options.pairs))
    if people:
        groups["pairs", 1] = [(n, s) for n, s in people]
        groups["pairs", -1] = [(s, n) for n, s in people]
    chosen = [wild(root, first, tools, options.count) for root in options.sets]
    for sign in (1, -1):
        if chosen:
            groups["wild", sign] = [(p, None) for found in chosen for p in found[sign]]
    everything: list[Row] = []
    for method in options.method or METHODS:
        editor = Editor(options.model, options.vectors, method=method)
        for (group, sign), photos in groups.items():
            rows: list[Row] = []
            for path, aim in photos:
                real = load_rgb(aim) if aim else None
                values = [sign * s for s in STRENGTHS]
                picture = load_rgb(path)
                found = evaluate_photo(
                    editor, tools, str(path), picture, "Smiling", values, real=real
                )
                rows += [{"method": method, "group": group, **row} for row, _ in found]
            everything += rows
            summary = summarise(rows)
            about = {"method": method, "group": group, "monotone": summary["monotone"]}
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
