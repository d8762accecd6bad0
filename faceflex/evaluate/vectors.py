"""How well attributes can be edited: whether the judge sees them, and what else changes.

Run as ``python -m faceflex.evaluate.vectors celeba/ FILE...``: edits photos of faces that were
held out, with each vector file, and prints a JSON object for each file and attribute. With
``--write``, how often edits succeeded is written into the file, where ``faceflex attributes`` finds
it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.data.readers import read_celeba
from faceflex.data.records import Record
from faceflex.edit.editor import Editor
from faceflex.evaluate import measures
from faceflex.faces import Face
from faceflex.faces.align import align
from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.recognition import FaceDescriptor, distance
from faceflex.methods.directions import auc_score
from faceflex.methods.vectors import AttributeVectors
from faceflex.models.attribute_classifier import AttributeClassifier, load_classifier
from faceflex.photo import load_rgb
from faceflex.train.judge import is_kept_from_judge

SUCCESS_AT = 2.0
"""Strength at which it is asked whether an edit succeeded."""

Rows = dict[float, list[dict[str, Any]]]


def logits(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the log odds of probabilities."""
    p = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def thresholds(
    judge: AttributeClassifier, records: Sequence[Record]
) -> dict[str, tuple[float, float]]:
    """Return, for each attribute, the logit at which the judge errs equally often either way.

    Parameters
    ----------
    judge
        The judge.
    records
        Labelled pictures that it was not trained on, with landmarks.

    Returns
    -------
    By name, that logit and the judge's AUC; where there are five faces of either class.
    """
    crops, kept = [], []
    for record in records:
        if record.points is not None:
            crops.append(align(load_rgb(record.path), record.points).crop)
            kept.append(record)
    told = logits(judge.scores(np.stack(crops)))
    found = {}
    for column, name in enumerate(judge.config.names):
        if not all(name in r.labels for r in kept):
            continue
        truth = np.array([r.labels[name] > 0 for r in kept])
        if min(int(truth.sum()), int((~truth).sum())) < 5:
            continue
        cuts = np.sort(told[:, column])
        missed = np.array([(told[truth, column] < c).mean() for c in cuts])
        false = np.array([(told[~truth, column] >= c).mean() for c in cuts])
        cut = float(cuts[np.abs(missed - false).argmin()])
        found[name] = (cut, auc_score(told[:, column], truth))
    return found


class Subjects:
    """Photos of one face each that are edited again and again.

    Parameters
    ----------
    editor
        Prepares them.
    records
        Which; with landmarks.
    """

    def __init__(self, editor: Editor, records: Sequence[Record]) -> None:
        self.records, self.rgb = list(records), [load_rgb(r.path) for r in records]
        self.prepared: list[AlignedFace] = []
        for record, rgb in zip(self.records, self.rgb, strict=True):
            points = record.points
            assert points is not None
            low, high = points.min(axis=0), points.max(axis=0)
            box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
            self.prepared += editor.prepare(rgb, [Face(1, box, 1.0, points)])

    def edited(
        self, editor: Editor, attribute: str, strengths: Sequence[float], which: Sequence[int]
    ) -> dict[float, list[NDArray[np.uint8]]]:
        """Return the photos ``which``, edited, for each strength."""
        edits = [editor.edit_of({attribute: s}) for s in strengths]
        found: dict[float, list[NDArray[np.uint8]]] = {s: [] for s in strengths}
        for i in which:
            made = editor.render(self.rgb[i], [self.prepared[i]], edits)
            for strength, picture in zip(strengths, made, strict=True):
                found[strength].append(picture)
        return found


def measure(
    subjects: Subjects,
    editor: Editor,
    judge: AttributeClassifier,
    attribute: str,
    strengths: Sequence[float],
    which: Sequence[int],
    cut: float,
    watched: Sequence[str] = (),
) -> list[dict[str, float]]:
    """Edit an attribute in, and measure what the judge and the descriptor see.

    Returns
    -------
    For each strength: ``passed``, the share of faces that the judge puts above ``cut`` after
    the edit, of those that it did not before;
    ``gain`` of the target's logit; ``leak_mean`` and ``leak_worst``, mean absolute change of the
    others' logits, averaged over them and that of the worst; ``identity``, median distance;
    ``colour``, median difference of the skin; and the mean change of each ``watched`` logit.
    """
    names = judge.config.names
    column = names.index(attribute)
    others = [i for i in range(len(names)) if i != column]
    points = [subjects.prepared[i].face.points for i in which]

    def look(pictures: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float64], list[Any]]:
        pairs = list(zip(pictures, points, strict=True))
        crops = np.stack([align(picture, p).crop for picture, p in pairs])
        return logits(judge.scores(crops)), [FaceDescriptor.default()(*pair) for pair in pairs]

    photos = [subjects.rgb[i] for i in which]
    before, who = look(photos)
    unseen, rows = before[:, column] <= cut, []
    for strength, pictures in subjects.edited(editor, attribute, strengths, which).items():
        after, then = look(pictures)
        leak = np.abs(after - before)[:, others].mean(axis=0)
        colours = [measures.colour_change(*t) for t in zip(photos, pictures, points, strict=True)]
        rows.append(
            {
                "strength": strength,
                "passed": float((after[:, column] > cut)[unseen].mean()) if unseen.any() else 0.0,
                "gain": float((after - before)[:, column].mean()),
                "leak_mean": float(leak.mean()),
                "leak_worst": float(leak.max()),
                "identity": float(np.median([distance(*t) for t in zip(who, then, strict=True)])),
                "colour": float(np.median(colours)),
            }
            | {n: float((after - before)[:, names.index(n)].mean()) for n in watched}
        )
    return rows


def at_gain(rows: Sequence[dict[str, float]], gain: float) -> dict[str, float] | None:
    """Interpolate the figures at the strength where the target's logit has gained ``gain``."""
    table = [dict.fromkeys(rows[0], 0.0), *rows]
    for low, high in pairwise(table):
        if low["gain"] <= gain <= high["gain"] and high["gain"] > low["gain"]:
            share = (gain - low["gain"]) / (high["gain"] - low["gain"])
            return {k: low[k] + share * (high[k] - low[k]) for k in low}
    return None


def spread(vectors: AttributeVectors, attribute: str) -> float | None:
    """Return how far versions differ in what they do to the mouth.

    Returns
    -------
    Mean distance of landmarks 48 to 67 between pairs of versions at strength 1, in pixels of the
    crop; None when landmarks cannot be read from these latents.
    """
    shifts = [vectors.landmark_shift(row) for row in vectors.versions[attribute]]
    mouths = np.array([s[48:68] for s in shifts if s is not None])
    if len(mouths) < 2:
        return None
    apart = np.linalg.norm(mouths[:, None] - mouths[None], axis=3).mean(axis=2)
    return float(apart.sum() / (len(mouths) * (len(mouths) - 1)))


def comparison(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return a Markdown table of files, over the attributes that reach the gain in all of them."""
    files = list(dict.fromkeys(line["file"] for line in lines))
    reached: dict[str, dict[str, dict[str, float]]] = {}
    for line in lines:
        if line["matched"] is not None:
            reached.setdefault(line["attribute"], {})[line["file"]] = line["matched"]
    common = [found for found in reached.values() if len(found) == len(files)]
    if not common:
        return []
    columns = ("strength", "passed", "leak_mean", "leak_worst", "identity", "colour")
    table = [f"| file | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for file in files:
        means = [float(np.mean([found[file][c] for found in common])) for c in columns]
        table.append(f"| {file} | {' | '.join(f'{v:.3f}' for v in means)} |")
    return [f"{len(common)} attributes reach the gain with every file", *table]


def main() -> None:
    """Print the figures of vector files, and a table of them on standard error."""
    parser = argparse.ArgumentParser(prog="python -m faceflex.evaluate.vectors")
    parser.add_argument("data", type=Path, help="CelebA's folder, with landmarks beside it")
    parser.add_argument("files", nargs="+", help="vector files, or registered names")
    parser.add_argument("--model", default="vae", help="their face model")
    parser.add_argument("--attr", action="append", help="attribute; all by default; repeatable")
    parser.add_argument("--keep", action="append", default=[], help="as for edit; repeatable")
    parser.add_argument("--watch", action="append", default=[], help="tell its change; repeatable")
    parser.add_argument("--faces", type=int, default=40, help="faces for each attribute")
    parser.add_argument("--strengths", type=float, nargs="+", default=[1.0, 2.0, 3.0])
    parser.add_argument("--gain", type=float, default=3.0, help="gain of the logit to compare at")
    parser.add_argument("--write", action="store_true", help="write successes into the files")
    options = parser.parse_args()
    judge = load_classifier(resolve("judge"))
    records = [r for r in read_celeba(options.data) if r.points is not None]
    fresh = [r for r in records if r.held_out or is_kept_from_judge(r.path.name)]
    cuts = thresholds(judge, fresh)
    rng = np.random.default_rng(0)
    pool = [r for r in records if r.held_out]
    pool = [pool[i] for i in rng.permutation(len(pool))]
    subjects = Subjects(Editor(options.model, options.files[0]), pool)
    lines: list[dict[str, Any]] = []
    for file in options.files:
        editor = Editor(options.model, file, keep=options.keep)
        known = AttributeVectors.load(resolve(file), editor.model_id)
        for name in options.attr or known.names:
            if name not in cuts or name in editor.vectors.kept:
                continue
            which = [i for i, r in enumerate(pool) if r.labels[name] < 0][: options.faces]
            rows = measure(
                subjects,
                editor,
                judge,
                name,
                options.strengths,
                which,
                cuts[name][0],
                options.watch,
            )
            at = next((r for r in rows if r["strength"] == SUCCESS_AT), None)
            if at is not None:
                info = replace(
                    known.info[name],
                    success=round(at["passed"], 3),
                    judged=round(cuts[name][1], 3),
                )
                known.info[name] = info
            line: dict[str, Any] = {"file": file, "attribute": name, "faces": len(which)}
            line |= {"spread": spread(known, name)}
            line |= {"matched": at_gain(rows, options.gain), "rows": rows}
            lines.append(line)
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        if options.write:
            known.save(resolve(file))
    sys.stderr.write("\n".join(comparison(lines)) + "\n")


if __name__ == "__main__":
    main()
