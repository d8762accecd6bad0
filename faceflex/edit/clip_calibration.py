"""How far each face's smile is raised in a clip, so that it shows: found by a classifier.

Real smiles range from broad ones to ones that nobody would notice in a photo, and the same motion
shows more in one face than in another. So the end of a clip is composed, its faces are aligned anew
and judged; those that are not seen to smile are boosted step by step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from faceflex.edit.editor import OpenPhoto, Steps
from faceflex.faces.align import align
from faceflex.faces.aligned_face import AlignedFace
from faceflex.methods.base import Shot

CONTROL, ATTRIBUTE = "boost", "Smiling"
UNTIL = 0.65
"""The classifier's score from which a face is surely seen to smile."""
HOPELESS, RESIGNED = 0.35, 0.5
"""Faces that score less with the largest boost get this one: a smile that is not overdone."""
BOOSTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def find_boosts(opened: OpenPhoto, last: Shot) -> tuple[float, ...]:
    """Find the smallest boost of each face with which it is seen to smile.

    Parameters
    ----------
    opened
        The photo.
    last
        The moment of the clip at which the smile is to be seen.

    Returns
    -------
    A boost for each face: 0 where the method has none, or nothing can judge; a moderate one where
    none helps.
    """
    scorer, count = opened.editor.scorer, len(opened.faces)
    found = [0.0] * count
    if scorer is None or CONTROL not in opened.editor.method.controls:
        return tuple(found)
    quicker, waiting = opened.for_clips(), list(range(count))
    for boost in BOOSTS:
        for number in waiting:
            found[number] = boost
        steps = opened.steps_for_each([boosted(last, b) for b in found])
        picture = quicker.compose(steps)
        scores = {
            n: scorer.score(_crop_of(opened, picture, opened.faces[n]), ATTRIBUTE) for n in waiting
        }
        waiting = [n for n in waiting if scores[n] < UNTIL]
        if not waiting:
            break
    for number in waiting:  # Whom nothing helps is not to grimace.
        if scores[number] < HOPELESS:
            found[number] = RESIGNED
    return tuple(found)


def boosted(shot: Shot, boost: float) -> Shot:
    """Return a shot with a boost."""
    return replace(shot, settings=(*shot.settings, (CONTROL, boost))) if boost else shot


def boosted_changes(
    opened: OpenPhoto, shots: Sequence[Shot], boosts: Sequence[float]
) -> Iterator[Steps]:
    """Yield, for each shot, what is done to each face, boosted."""
    if not any(boosts):
        yield from opened.changes(shots)
        return
    for shot in shots:
        yield opened.steps_for_each([boosted(shot, b) for b in boosts])


def _crop_of(opened: OpenPhoto, picture: NDArray[np.uint8], face: AlignedFace) -> NDArray[np.uint8]:
    landmarks = opened.editor.finder.landmarks
    points = landmarks.find_again(picture, face.face.points)
    return align(picture, points).crop
