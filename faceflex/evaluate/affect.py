"""Measure edits by valence and arousal: what a judge sees over the plane, and what else changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.data.records import Record
from faceflex.edit.editor import Editor
from faceflex.edit.plane import sheet_values
from faceflex.errors import FaceflexError, UsageError
from faceflex.faces import Face
from faceflex.faces.align import align
from faceflex.faces.recognition import FaceDescriptor, descriptor_distance
from faceflex.methods.affect_controls import AROUSAL, VALENCE
from faceflex.models.affect_regressor import AffectRegressor
from faceflex.models.attribute_classifier import load_classifier
from faceflex.photo import load_rgb
from faceflex.train.plane import concordance

HALF = 0.5
"""Valence and arousal, up to which identity is measured."""

_YOUNGEST, _NO_SMILE = 15, 0.2  # Years, and the classifier's score.

Progress = Callable[[int, int], None]


def evaluate_affect(
    records: Sequence[Record],
    editor: Editor,
    judge: AffectRegressor,
    *,
    steps: int = 7,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Edit faces to places all over the plane, and measure what becomes of them.

    Parameters
    ----------
    records
        Photos with landmarks of one face; those that cannot be edited are left out.
    editor
        Edits by valence and arousal.
    judge
        Judges edits; a network that saw no face that took part in making them.
    steps
        Places along a side of the plane.
    progress
        Called with (photos done, photos in all).

    Returns
    -------
    ``ccc`` of asked and judged valence and arousal over all faces and places; ``slope`` of the
    judged against the asked; ``monotone``, the share of neighbours that differ in the asked
    direction, of single faces and of the faces' ``mean``; ``identity``, the median distance at
    +-0.5; and the number of ``faces``.

    Raises
    ------
    UsageError
        If no photo could be edited.
    """
    values = sheet_values(steps)
    places = [(v, a) for v in values for a in values]
    judged, identities = [], []
    for number, record in enumerate(records, start=1):
        one = _judge_face(record, editor, judge, places)
        if one is not None:
            judged.append(one[0])
            identities += one[1]
        if progress:
            progress(number, len(records))
    if not judged:
        raise UsageError("no photo with landmarks could be edited")
    seen = np.array(judged)  # (faces, places, 2)
    return summarize(seen, np.array(places), steps, identities)


def not_smiling(records: Sequence[Record], most: int) -> list[Record]:
    """Return the first grown-up faces of which the attribute classifier sees that none smiles."""
    classifier = load_classifier(resolve("judge"))
    smiling = classifier.config.names.index("Smiling")
    chosen: list[Record] = []
    for record in records:
        if len(chosen) == most:
            break
        if record.points is None or not record.labels.get("age", _YOUNGEST) >= _YOUNGEST:
            continue
        try:
            crop = align(load_rgb(record.path), record.points).crop
        except (FaceflexError, ValueError):
            continue
        if classifier.scores(crop[None])[0, smiling] < _NO_SMILE:
            chosen.append(record)
    return chosen


def _judge_face(
    record: Record,
    editor: Editor,
    judge: AffectRegressor,
    places: Sequence[tuple[float, float]],
) -> tuple[NDArray[np.float32], list[float]] | None:
    """Return what the judge sees of a face at all places (P, 2), and identity distances at 0.5."""
    if record.points is None:
        return None
    try:
        rgb = load_rgb(record.path)
        face = Face.at(record.points)
        opened = editor.open(rgb, ["1"], faces=[face])
    except FaceflexError:
        return None
    if opened.faces[0].region is None:
        return None
    corners = [(v, a) for v in (HALF, -HALF) for a in (HALF, -HALF)]
    shots = [opened.shot(**{VALENCE: v, AROUSAL: a}) for v, a in (*places, *corners)]
    crops, distances = [], []
    descriptor = FaceDescriptor.default()
    own = descriptor(rgb, record.points)
    for number, picture in enumerate(opened.render(shots)):
        if number < len(places):
            crops.append(align(picture, record.points).crop)
        else:
            distances.append(descriptor_distance(own, descriptor(picture, record.points)))
    return judge.estimate(np.array(crops)), distances


def summarize(
    judged: NDArray[np.floating],
    places: NDArray[np.floating],
    steps: int,
    identities: Sequence[float],
) -> dict[str, Any]:
    """Return the figures of :func:`evaluate_affect`.

    Parameters
    ----------
    judged
        (F, steps * steps, 2) what a judge sees of each face at each place.
    places
        (steps * steps, 2) valence and arousal that were asked for, both falling.
    steps
        Places along a side.
    identities
        Identity distances.

    Examples
    --------
    >>> places = np.array([(v, a) for v in (0.5, -0.5) for a in (0.5, -0.5)])
    >>> figures = summarize(places[None] / 2, places, 2, [0.1, 0.3])
    >>> figures["ccc"], figures["monotone"]["valence"], figures["identity"]
    ({'valence': 0.8, 'arousal': 0.8}, 1.0, 0.2)
    """
    asked = np.broadcast_to(places, judged.shape)
    grids = judged.reshape(len(judged), steps, steps, 2)
    figures: dict[str, Any] = {"ccc": {}, "slope": {}, "monotone": {}, "monotone_mean": {}}
    for k, name in enumerate((VALENCE, AROUSAL)):
        x, y = asked[..., k].ravel(), judged[..., k].ravel()
        figures["ccc"][name] = round(concordance(x, y), 3)
        figures["slope"][name] = round(float(np.polyfit(x, y, 1)[0]), 3)
        # Valence falls along the rows of a grid, arousal along its columns.
        falls = -np.diff(grids[..., k], axis=1 + k) > 0
        figures["monotone"][name] = round(float(falls.mean()), 3)
        mean = -np.diff(grids[..., k].mean(axis=0), axis=k) > 0
        figures["monotone_mean"][name] = round(float(mean.mean()), 3)
    figures["identity"] = round(float(np.median(identities)), 3) if len(identities) else None
    figures["faces"] = len(judged)
    return figures
