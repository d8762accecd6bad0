"""Measures of generated faces: how much they differ, and whether they are copies."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.photo.grid import captioned_grid

SIDE = 32
"""Side in pixels at which faces are compared: what they are, not their grain."""
_CHUNK = 4096
# The middle of an aligned crop, as shares of its side: without hair and what is behind.
_FACE = slice(round(0.16 * SIDE), round(0.97 * SIDE)), slice(round(0.14 * SIDE), round(0.86 * SIDE))

Faces = NDArray[np.uint8]


def face_vectors(faces: Faces) -> NDArray[np.float32]:
    """Return the small middles of aligned faces (N, S, S, 3) uint8, (N, D) in gray levels."""
    small = [cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[_FACE] for f in faces]
    return np.array(small, np.float32).reshape(len(faces), -1)


def diversity(faces: Faces) -> float:
    """Return the mean distance between two of the faces (N, S, S, 3), in gray levels.

    The distance is the root of the mean squared difference of their small middles.

    Examples
    --------
    >>> gray = np.full((2, 64, 64, 3), 100, np.uint8)
    >>> gray[1] += 20
    >>> diversity(gray)
    20.0
    """
    vectors = face_vectors(faces).astype(np.float64)
    n = len(vectors)
    if n < 2:
        return 0.0
    squares = np.square(vectors).sum(axis=1)
    apart = squares[:, None] + squares[None] - 2 * vectors @ vectors.T
    distances = np.sqrt(np.maximum(apart, 0) / vectors.shape[1])
    np.fill_diagonal(distances, 0)
    return float(distances.sum() / (n * (n - 1)))


def nearest(
    faces: Faces, others: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find, for each face, the nearest of others.

    Parameters
    ----------
    faces
        (N, S, S, 3) uint8.
    others
        (M, D) from :func:`face_vectors`.

    Returns
    -------
    (N,) which of the others, and (N,) distances in gray levels.
    """
    vectors = face_vectors(faces).astype(np.float64)
    best = np.full(len(faces), np.inf)
    which = np.zeros(len(faces), np.intp)
    for start in range(0, len(others), _CHUNK):
        part = others[start : start + _CHUNK].astype(np.float64)
        apart = (
            np.square(vectors).sum(axis=1)[:, None]
            + np.square(part).sum(axis=1)[None]
            - 2 * vectors @ part.T
        )
        place = apart.argmin(axis=1)
        found = apart[np.arange(len(faces)), place]
        better = found < best
        best[better], which[better] = found[better], place[better] + start
    return which, np.sqrt(np.maximum(best, 0) / vectors.shape[1])


def pairs_picture(
    faces: Faces, neighbours: Faces, distances: NDArray[np.floating], columns: int = 8
) -> NDArray[np.uint8]:
    """Draw each face above its neighbour and their distance; return (H, W, 3) uint8."""
    rows = []
    for start in range(0, len(faces), columns):
        part = slice(start, start + columns)
        rows.append([("generated", face) for face in faces[part]])
        rows.append(
            [
                (f"nearest, {distance:.1f}", face)
                for face, distance in zip(neighbours[part], distances[part], strict=True)
            ]
        )
    return captioned_grid(rows)
