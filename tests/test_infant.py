"""Whether landmarks are an infant's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceflex.errors import UsageError
from faceflex.faces.align import template
from faceflex.faces.infant import child_score, infant_score, is_child, is_infant
from faceflex.methods.latent_steps import FaceCode, keeps_lips_closed, opening_share
from faceflex.train.infants import fit_infants


def rounder(points: np.ndarray, by: float) -> np.ndarray:
    """Return a face with a shorter nose and chin and lower eyes, as infants have."""
    moved = points.copy()
    moved[27:68, 1] += by * 0.15 * (points[8, 1] - points[27:68, 1])
    return moved


def test_people_of_all_examples_are_no_infants(editor, portrait, smile):
    for photo in (portrait.rgb, smile):
        face = editor.open(photo).faces[0]
        assert not is_infant(face.landmarks)
        assert not is_child(face.landmarks)


def test_the_fit_tells_the_shapes_that_it_was_shown():
    rng = np.random.default_rng(0)
    old = template() + rng.normal(0, 1.5, (60, 68, 2))
    young = np.stack([rounder(p, 1.0) for p in template() + rng.normal(0, 1.5, (30, 68, 2))])
    points, ages = np.concatenate([old, young]), np.repeat([30.0, 1.0], [60, 30])
    weights = fit_infants(points, ages)
    scores = (points * weights[:68]).sum(axis=(1, 2)) + weights[68, 0]
    assert ((scores > 0) == (ages < 2)).mean() > 0.97
    with pytest.raises(UsageError, match="infants"):
        fit_infants(old, np.full(60, 30.0))


def test_the_score_is_a_sum_over_landmarks():
    points = np.array(template())
    shifted = points.copy()
    shifted[30] += 1
    twice = points.copy()
    twice[30] += 2
    step = infant_score(shifted) - infant_score(points)
    assert infant_score(twice) - infant_score(points) == pytest.approx(2 * step)


def test_an_infant_smiles_with_closed_lips(editor, portrait):
    opened = editor.open(portrait.rgb)
    (code,) = editor.method.encode(opened.faces, portrait.rgb)
    assert not keeps_lips_closed(code)
    shape = code.face.landmarks.copy()
    step = np.zeros_like(shape)
    for point in range(17, 48):  # Move brows, nose and eyes to where an infant has them.
        for axis in (0, 1):
            moved = shape.copy()
            moved[point, axis] += 1
            step[point, axis] = infant_score(moved) - infant_score(shape)
    far = 1.0
    while not is_infant(shape + far * step):
        far *= 1.5
    infant = replace(code, face=replace(code.face, landmarks=np.float32(shape + far * step)))
    assert keeps_lips_closed(infant)
    for one, gap in ((code, 3.0), (infant, 0.0)):
        ((change,),) = next(editor.method.changes([one], [opened.shot(Smiling=1.0)]))
        assert (change.lips.gap > 1.5) == (gap > 0)


def test_children_are_told_and_part_their_lips_less(editor, small_portrait):
    face = editor.open(small_portrait).faces[0]
    young = next(p for k in range(1, 20) if is_child(p := rounder(template(), 0.25 * k)))
    assert child_score(young) > child_score(template())
    code = FaceCode(face, np.zeros(2), np.zeros((1, 1, 3)), None)
    child = replace(code, face=replace(face, landmarks=np.float32(young)))
    assert opening_share(child) < opening_share(code) == 1
    laugh = replace(face.lips, upper=face.lips.upper - 4, lower=face.lips.lower + 4)
    assert opening_share(replace(code, face=replace(face, lips=laugh))) < 0.5
