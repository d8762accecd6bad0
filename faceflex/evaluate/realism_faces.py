"""What the networks that measure realism look at: windows of aligned faces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import compose_affine, estimate_similarity, warp
from faceflex.faces.find import FaceFinder
from faceflex.faces.landmarks import LandmarkModel

MARGIN = 4
"""Pixels that a window is larger by on each side, so that training can shift it."""

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Place:
    """A window of the aligned face, and the part of it that edits change.

    Attributes
    ----------
    left, top, width, height
        The window, in pixels of the 128-pixel crop.
    scale
        Pixels of the window to one of the crop.
    cover
        Left, top, right and bottom, in pixels of the crop, of what the control covers.
    """

    left: float
    top: float
    width: float
    height: float
    scale: float
    cover: tuple[float, float, float, float]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a window with its margin, in its own pixels."""
        height, width = (round(n * self.scale) for n in (self.height, self.width))
        return height + 2 * MARGIN, width + 2 * MARGIN

    @property
    def covered(self) -> tuple[slice, slice]:
        """Rows and columns of the window, with its margin, that the control covers."""
        left, top, right, bottom = self.cover
        rows, columns = (
            slice(*(round((edge - low) * self.scale) + MARGIN for edge in edges))
            for edges, low in (((top, bottom), self.top), ((left, right), self.left))
        )
        return rows, columns


PLACES = {
    "mouth": Place(28.5, 61.5, 70, 60, 1.0, (33, 76, 94, 114)),
    "face": Place(-4.5, -4.5, 136, 136, 0.75, (5, 5, 122, 126)),
}
"""By name: the ``mouth``, from the tip of the nose to the chin; the whole ``face``, of which the
control leaves the surroundings alone."""


@dataclass(frozen=True)
class RealismFace:
    """A face of a photo, cut for :func:`faceflex.evaluate.realism.realism_auc`.

    Attributes
    ----------
    window
        (H, W, 3) uint8, of a :class:`Place`, with its margin.
    person
        Whom it shows: faces of one person are never both in the training and in the test part of a
        fold.
    """

    window: Pictures
    person: str


def cut_face(
    picture: Pictures, points: NDArray[np.floating], person: str, place: str = "mouth"
) -> RealismFace:
    """Cut the window of a face out of a picture.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 RGB.
    points
        (68, 2) landmarks in its pixels: those of the picture itself, not those of the photo that it
        was made from.
    person
        Whom it shows; see :func:`person_of`.
    place
        A name of :data:`PLACES`.
    """
    spec = PLACES[place]
    height, width = spec.shape
    s = spec.scale
    left, top = spec.left - MARGIN / s, spec.top - MARGIN / s
    to_window = np.array([[s, 0, (0.5 - left) * s - 0.5], [0, s, (0.5 - top) * s - 0.5]])
    matrix = compose_affine(to_window, estimate_similarity(points))
    square, _ = warp(picture, matrix, max(height, width))
    return RealismFace(square[:height, :width].copy(), person)


def find_realism_faces(
    picture: Pictures,
    person: str,
    *,
    finder: FaceFinder,
    landmarks: LandmarkModel,
    place: str = "mouth",
) -> Iterator[RealismFace]:
    """Find the faces of a picture and cut their windows.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 RGB.
    person
        Whom it shows; all its faces count as one person.
    finder, landmarks
        What finds faces (those of which it is less sure than its ``min_score`` are left out), and
        the predictor that measures their landmarks.
    place
        A name of :data:`PLACES`.
    """
    for face in finder.find(picture):
        if face.score >= finder.min_score:
            points = landmarks.find_again(picture, face.points)
            yield cut_face(picture, points, person, place)


def person_of(name: str, pattern: str | None = None) -> str:
    """Return whom a photo shows, by its name: an edit and the photo that it was made from agree.

    Parameters
    ----------
    name
        Of the photo.
    pattern
        Regular expression that finds, in the name with its folders, what names the person (its
        first group, if it has one). By default, and where it does not match, that is the file's
        name without suffix and ``-edited``.

    Examples
    --------
    >>> person_of("photos/anna.jpg"), person_of("out/anna-edited.png")
    ('anna', 'anna')
    >>> person_of("london/030_08.jpg", r"([0-9]+)_[0-9]+")
    '030'
    """
    found = re.search(pattern, name) if pattern else None
    if found is None:
        return PurePath(name).stem.removesuffix("-edited")
    return found[found.re.groups and 1] or ""
