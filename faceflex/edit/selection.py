"""Which faces of a photo are edited."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from faceflex.errors import NoFaceError, UsageError

if TYPE_CHECKING:
    from faceflex.faces import Face

NO_FACE = "no face found; frontal faces of 40 pixels and more are (`detector` cnn finds more)"


def choose_faces(
    faces: Sequence[Face], selectors: Sequence[str], photo: str, min_score: float = -math.inf
) -> list[Face]:
    """Choose faces by number, ``largest``, or a point ``x,y``.

    Parameters
    ----------
    faces
        All faces of the photo.
    selectors
        What to choose; when empty, all faces with ``min_score``.
    photo
        The photo's name, for messages.
    min_score
        A face of which the detector is less sure is chosen only by name.

    Returns
    -------
    Chosen faces, left to right, each once.

    Raises
    ------
    NoFaceError
        If the photo has no such face.
    UsageError
        If a selector makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from faceflex.faces import Face
    >>> points = np.zeros((68, 2), np.float32)
    >>> faces = [Face(1, (0, 0, 50, 50), 1.0, points), Face(2, (90, 0, 190, 100), 0.4, points)]
    >>> [face.index for face in choose_faces(faces, ["largest"], "party.jpg")]
    [2]
    >>> [face.index for face in choose_faces(faces, ["20,30"], "party.jpg")]
    [1]
    >>> choose_faces(faces, ["3"], "party.jpg")
    Traceback (most recent call last):
        ...
    faceflex.errors.NoFaceError: party.jpg: has no face 3; it has 1 to 2
    """
    if not faces:
        raise NoFaceError(f"{photo}: {NO_FACE}")
    if not selectors:
        chosen = [f for f in faces if f.score >= min_score]
        if not chosen:
            best = max(f.score for f in faces)
            raise NoFaceError(
                f"{photo}: what was found looks too little like a face (score {best:.2f}, of"
                f" {min_score:g}); choose it with `face`, or lower `min_score`"
            )
        return chosen
    numbers = {_choose(faces, one.strip().lower(), photo).index for one in selectors}
    return [f for f in faces if f.index in numbers]


def check_selector(text: str) -> None:
    """Raise ``UsageError`` unless ``text`` is a number, ``largest`` or a point ``x,y``."""
    parts = text.strip().lower().split(",")
    good = parts == ["largest"] or (parts[0].isdigit() and len(parts) == 1 and int(parts[0]) > 0)
    if len(parts) == 2:
        try:
            good = all(math.isfinite(float(p)) for p in parts)
        except ValueError:
            good = False
    if not good:
        raise UsageError(f"`face` {text}: use a number from 1, 'largest', or a point like 120,80")


def _choose(faces: Sequence[Face], text: str, photo: str) -> Face:
    check_selector(text)
    if text == "largest":
        return max(faces, key=lambda f: f.width)
    if "," not in text:
        for face in faces:
            if face.index == int(text):
                return face
        raise NoFaceError(f"{photo}: has no face {text}; it has 1 to {len(faces)}")
    x, y = (float(p) for p in text.split(","))
    hits = [f for f in faces if f.box[0] <= x <= f.box[2] and f.box[1] <= y <= f.box[3]]
    if not hits:
        raise NoFaceError(f"{photo}: no face at {text}; see: faceflex faces {photo}")
    return min(hits, key=lambda f: f.width)
