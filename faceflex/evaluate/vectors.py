"""How well attributes can be edited: whether a classifier sees them, and what else changes.

``faceflex evaluate vectors``: edits photos of faces that were held out, with each vector file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.compose.composer import Composer
from faceflex.data.readers import read_celeba
from faceflex.data.records import Record
from faceflex.edit.editor import Editor, OpenPhoto
from faceflex.evaluate import measures
from faceflex.faces import Face
from faceflex.faces.align import align
from faceflex.faces.find import FaceFinder
from faceflex.faces.recognition import FaceDescriptor, descriptor_distance
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.methods.directions import auc_score
from faceflex.methods.vectors import AttributeVectors
from faceflex.models.attribute_classifier import AttributeClassifier, load_classifier
from faceflex.photo import load_rgb
from faceflex.train.classifier import is_classifier_held_out

SUCCESS_AT = 2.0
"""Strength at which it is asked whether an edit succeeded."""


def logits(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the log odds of probabilities."""
    p = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def thresholds(
    classifier: AttributeClassifier, records: Sequence[Record]
) -> dict[str, tuple[float, float]]:
    """Return each attribute's logit of equal error rate: false alarms are as frequent as misses.

    Parameters
    ----------
    classifier
        The classifier.
    records
        Labelled pictures that it was not trained on, with landmarks.

    Returns
    -------
    By name, that logit and the classifier's AUC; where there are five faces of either class.
    """
    crops, aligned = [], []
    for record in records:
        if record.points is not None:
            crops.append(align(load_rgb(record.path), record.points).crop)
            aligned.append(record)
    outputs = logits(classifier.scores(np.stack(crops)))
    found = {}
    for column, name in enumerate(classifier.config.names):
        if not all(name in r.labels for r in aligned):
            continue
        truth = np.array([r.labels[name] > 0 for r in aligned])
        if min(int(truth.sum()), int((~truth).sum())) < 5:
            continue
        cuts = np.sort(outputs[:, column])
        missed = np.array([(outputs[truth, column] < c).mean() for c in cuts])
        false = np.array([(outputs[~truth, column] >= c).mean() for c in cuts])
        cut = float(cuts[np.abs(missed - false).argmin()])
        found[name] = (cut, auc_score(outputs[:, column], truth))
    return found


class Subjects:
    """Photos of one face each that are edited again and again; opened when first needed.

    Parameters
    ----------
    editor
        Edits them.
    records
        Which; with landmarks.
    """

    def __init__(self, editor: Editor, records: Sequence[Record]) -> None:
        self.editor, self.records = editor, list(records)
        self._opened: dict[int, OpenPhoto] = {}

    def opened(self, number: int) -> OpenPhoto:
        """Return a photo whose face is ready to be edited."""
        if number not in self._opened:
            record = self.records[number]
            assert record.points is not None
            face = Face.at(record.points)
            rgb = load_rgb(record.path)
            self._opened[number] = self.editor.open(rgb, name=record.path.name, faces=[face])
        return self._opened[number]

    def edited(
        self, attribute: str, strengths: Sequence[float], which: Sequence[int]
    ) -> dict[float, list[NDArray[np.uint8]]]:
        """Return the photos ``which``, edited, for each strength."""
        edited: dict[float, list[NDArray[np.uint8]]] = {s: [] for s in strengths}
        for number in which:
            opened = self.opened(number)
            shots = [opened.shot(**{attribute: s}) for s in strengths]
            for strength, picture in zip(strengths, opened.render(shots), strict=True):
                edited[strength].append(picture)
        return edited


def measure(
    subjects: Subjects,
    classifier: AttributeClassifier,
    attribute: str,
    strengths: Sequence[float],
    which: Sequence[int],
    cut: float,
    watched: Sequence[str] = (),
) -> list[dict[str, float]]:
    """Edit an attribute in, and measure what the classifier and the descriptor see.

    Parameters
    ----------
    subjects
        Photos.
    classifier
        Measures; took no part in editing.
    attribute, strengths
        What is edited, and how much.
    which
        Numbers of the photos that are.
    cut
        Logit above which a face counts as having the attribute; see :func:`thresholds`.
    watched
        Other attributes whose change is returned by name.

    Returns
    -------
    For each strength: ``passed``, the share of faces that the classifier puts above ``cut`` after
    the edit, of those that it did not before; ``gain`` of the target's logit; ``leak_mean`` and
    ``leak_worst``, mean absolute change of the others' logits, averaged over them and that of the
    worst; ``identity``, median distance; ``colour``, median difference of the skin; and the mean
    change of each ``watched`` logit.
    """
    names = classifier.config.names
    column = names.index(attribute)
    others = [i for i in range(len(names)) if i != column]
    photos = [subjects.opened(i).rgb for i in which]
    points = [subjects.opened(i).faces[0].face.points for i in which]

    def inspect(pictures: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float64], list[Any]]:
        pairs = list(zip(pictures, points, strict=True))
        crops = np.stack([align(picture, p).crop for picture, p in pairs])
        descriptors = [FaceDescriptor.default()(*pair) for pair in pairs]
        return logits(classifier.scores(crops)), descriptors

    before, descriptors = inspect(photos)
    lacking, rows = before[:, column] <= cut, []
    for strength, pictures in subjects.edited(attribute, strengths, which).items():
        after, new_descriptors = inspect(pictures)
        leak = np.abs(after - before)[:, others].mean(axis=0)
        distances = [
            descriptor_distance(*t) for t in zip(descriptors, new_descriptors, strict=True)
        ]
        colours = [measures.colour_change(*t) for t in zip(photos, pictures, points, strict=True)]
        rows.append(
            {
                "strength": strength,
                "passed": float((after[:, column] > cut)[lacking].mean()) if lacking.any() else 0.0,
                "gain": float((after - before)[:, column].mean()),
                "leak_mean": float(leak.mean()),
                "leak_worst": float(leak.max()),
                "identity": float(np.median(distances)),
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


def evaluate_vectors(
    data: Path,
    files: Sequence[str],
    *,
    model: str = "vae",
    attributes: Sequence[str] = (),
    condition_on: Sequence[str] = (),
    watched: Sequence[str] = (),
    faces: int = 40,
    strengths: Sequence[float] = (1.0, 2.0, 3.0),
    gain: float = 3.0,
    write: bool = False,
) -> Iterator[dict[str, Any]]:
    """Measure how well each attribute of vector files can be edited, on held-out faces.

    Parameters
    ----------
    data
        CelebA's folder, with landmarks beside it.
    files
        Vector files, or registered names.
    model
        Their face model.
    attributes
        Which; all by default.
    condition_on
        Attributes that edits of others should leave as they are.
    watched
        Attributes whose change is told by name.
    faces
        How many for each attribute.
    strengths
        What edits are made.
    gain
        Gain of the target's logit at which files are compared.
    write
        Write how often edits succeeded into the files, where ``faceflex attributes`` finds it.

    Yields
    ------
    A row for each file and attribute, as :func:`comparison` takes them.
    """
    classifier = load_classifier(resolve("judge"))
    records = [r for r in read_celeba(data) if r.points is not None]
    unseen = [r for r in records if r.held_out or is_classifier_held_out(r.path.name)]
    cuts = thresholds(classifier, unseen)
    pool = [r for r in records if r.held_out]
    pool = [pool[i] for i in np.random.default_rng(0).permutation(len(pool))]
    for file in files:
        method = AttributeVectorMethod(model, file, condition_on=condition_on)
        subjects = Subjects(Editor(FaceFinder(), method, Composer()), pool)
        vectors = AttributeVectors.load(resolve(file), method.fingerprints["model"])
        for name in attributes or vectors.names:
            if name not in cuts or name in method.vectors.conditions:
                continue
            cut, auc = cuts[name]
            which = [i for i, r in enumerate(pool) if r.labels[name] < 0][:faces]
            if not which:
                continue
            rows = measure(subjects, classifier, name, strengths, which, cut, watched)
            at = next((r for r in rows if r["strength"] == SUCCESS_AT), None)
            if at is not None:
                success, judged = round(at["passed"], 3), round(auc, 3)
                vectors.info[name] = replace(vectors.info[name], success=success, judged=judged)
            yield {
                "file": file,
                "attribute": name,
                "faces": len(which),
                "spread": spread(vectors, name),
                "matched": at_gain(rows, gain),
                "rows": rows,
            }
        if write:
            vectors.save(resolve(file))
