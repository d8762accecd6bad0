"""Who smiles in a face set, and whether the smile dial changes who somebody seems to be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.data.cache import align_record
from faceflex.data.records import Record
from faceflex.edit.editor import Editor
from faceflex.errors import FaceflexError
from faceflex.faces import Face
from faceflex.faces.align import align
from faceflex.models.attribute_classifier import AttributeClassifier
from faceflex.models.degree_regressor import DegreeRegressor

AGES = ((0, 12), (13, 19), (20, 39), (40, 59), (60, 116))
GENDERS, GROUPS = ("male", "female"), ("White", "Black", "Asian", "Indian", "other")
"""UTKFace's own labels; they are what somebody wrote down."""

Row = dict[str, Any]


def age_range(years: float) -> str:
    """Return the range of ages that some years are in.

    Examples
    --------
    >>> age_range(25), age_range(60)
    ('20-39', '60-116')
    """
    return next(f"{low}-{high}" for low, high in AGES if years <= high or high == AGES[-1][1])


@dataclass(frozen=True)
class Person:
    """What is known of a face: its groups, and how much it smiles."""

    gender: str
    age: str
    group: str
    degree: float


def persons(names: Sequence[Mapping[str, float]], degrees: Sequence[float]) -> list[Person]:
    """Return persons of UTKFace's labels (``age``, ``gender``, ``race``) and degrees."""
    return [
        Person(
            GENDERS[int(row["gender"] == 1)],
            age_range(row["age"]),
            GROUPS[min(int(row["race"]), len(GROUPS) - 1)],
            float(degree),
        )
        for row, degree in zip(names, degrees, strict=True)
        if "age" in row
    ]


def smile_table(people: Sequence[Person]) -> list[Row]:
    """Count smiles by sex, age and ethnic group: all, by one, and by all three.

    Returns
    -------
    For each cell with a face: ``gender``, ``age`` and ``group`` (``all`` where any), ``faces``,
    ``smiling`` (the share of degrees above 0) with the ends ``low`` and ``high`` of its 95 %
    interval (Wilson 1927), and the mean ``degree``.
    """
    cells: dict[tuple[str, str, str], list[float]] = {}
    for p in people:
        keys = {("all", "all", "all"), (p.gender, "all", "all"), ("all", p.age, "all")}
        keys |= {("all", "all", p.group), (p.gender, p.age, p.group)}
        for key in keys:
            cells.setdefault(key, []).append(p.degree)
    rows = []
    for gender, age, group in sorted(cells, key=_order):
        degrees = np.array(cells[gender, age, group])
        share = float((degrees > 0).mean())
        low, high = wilson(share, len(degrees))
        row: Row = {"gender": gender, "age": age, "group": group, "faces": len(degrees)}
        row |= {"smiling": round(share, 4), "low": round(low, 4), "high": round(high, 4)}
        rows.append(row | {"degree": round(float(degrees.mean()), 4)})
    return rows


def _order(key: tuple[str, str, str]) -> tuple[int, int, int, int]:
    gender, age, group = key
    ages = [f"{low}-{high}" for low, high in AGES]
    places = (["all", *GENDERS].index(gender), ["all", *ages].index(age))
    return -key.count("all"), *places, ["all", *GROUPS].index(group)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of ``count``.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    z2 = 1.96**2 / count
    middle, half = share + z2 / 2, math.sqrt(z2 * (share * (1 - share) + z2 / 4))
    return (middle - half) / (1 + z2), (middle + half) / (1 + z2)


def edit_scores(
    editor: Editor,
    classifier: AttributeClassifier,
    records: Sequence[Record],
    degrees: Sequence[float],
    names: Sequence[str],
    regressor: DegreeRegressor,
) -> Iterator[NDArray[np.float32]]:
    """Edit photos of one face, and judge them before and after.

    Parameters
    ----------
    editor
        Of the smile dial.
    classifier
        The judge, which takes no part in edits.
    records
        Photos; those that cannot be read are left out.
    degrees
        The degrees to set.
    names
        Attributes to judge.
    regressor
        Judges degrees.

    Yields
    ------
    For each photo (1 + len(degrees), len(names) + 1) scores: of the photo, and of its edits; the
    last column are judged degrees.
    """
    from faceflex.photo import load_rgb

    columns = [classifier.config.names.index(name) for name in names]
    for record in records:
        try:
            rgb = load_rgb(record.path)
            points = record.points
            if points is None or isinstance(align_record(record), str):
                continue
            opened = editor.open(rgb, name=record.path.name, faces=[Face.at(points)])
        except FaceflexError:
            continue
        shots = [opened.shot(Smile=degree) for degree in degrees]
        pictures = [rgb, *opened.render(shots)]
        crops = np.stack([align(picture, points).crop for picture in pictures])
        judged = classifier.scores(crops)[:, columns]
        yield np.column_stack([judged, regressor.degrees(crops)])


def drift(scores: NDArray[np.float32], degrees: Sequence[float], names: Sequence[str]) -> list[Row]:
    """Summarise how scores (N, 1 + degrees, names) change from the photo to each edit.

    Returns
    -------
    For each attribute and degree the mean change with the ends of its 95 % interval, from 2,000
    bootstrap samples of the faces.
    """
    rng = np.random.default_rng(0)
    draws = rng.integers(len(scores), size=(2000, len(scores)))
    rows = []
    for k, name in enumerate(names):
        for i, degree in enumerate(degrees, start=1):
            change = (scores[:, i, k] - scores[:, 0, k]).astype(np.float64)
            low, high = np.percentile(change[draws].mean(axis=1), [2.5, 97.5])
            row: Row = {"judged": name, "degree": degree, "faces": len(change)}
            row |= {"change": round(float(change.mean()), 4), "low": round(float(low), 4)}
            rows.append(row | {"high": round(float(high), 4)})
    return rows


def dial_quality(scores: NDArray[np.float32], degrees: Sequence[float]) -> Row:
    """Say how well a judge sees the degrees that were asked for.

    Parameters
    ----------
    scores
        (N, 1 + degrees) of *Smiling*, or judged degrees: of the photos, and of their edits.
    degrees
        What was asked for, rising.

    Returns
    -------
    ``spearman``: rank correlation of degrees and scores over all edits; ``monotone``: share of the
    faces whose score nowhere falls by more than 0.02 as the degree rises.
    """
    from scipy.stats import spearmanr

    edited = scores[:, 1:].astype(np.float64)
    asked = np.tile(np.array(degrees), len(edited))
    return {
        "faces": len(edited),
        "spearman": round(float(spearmanr(asked, edited.ravel()).statistic), 4),
        "monotone": round(float((np.diff(edited, axis=1) > -0.02).all(axis=1).mean()), 4),
        "mean_score": {
            f"{d:g}": round(float(v), 4) for d, v in zip(degrees, edited.mean(0), strict=True)
        },
    }


def labels_of_name(name: str) -> dict[str, float]:
    """Return UTKFace's labels in a file's name; none where it has none.

    Examples
    --------
    >>> labels_of_name("26_1_2_20170116174525125.jpg.chip.jpg")
    {'age': 26.0, 'gender': 1.0, 'race': 2.0}
    """
    keys, parts = ("age", "gender", "race"), name.split("_")[:3]
    labels = {k: float(p) for k, p in zip(keys, parts, strict=False) if p.isdigit()}
    return labels if len(labels) == 3 else {}
