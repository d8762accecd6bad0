"""Pairs of photos of a person, neutral and smiling: found in a folder, and their landmarks."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.errors import UsageError
from faceflex.faces.find import FaceFinder
from faceflex.faces.lips import Lips, find_lips
from faceflex.photo import load_rgb

_MARGIN = 60  # Pixels around a picture that is cut so tightly that no face is found in it.


@dataclass(frozen=True)
class SmilePair:
    """Landmarks of a person, neutral and smiling.

    Attributes
    ----------
    name
        Of the neutral photo's file.
    landmarks
        (2, 68, 2) in pixels of the photos.
    lips
        The inner lips of both, in pixels of their aligned crops.
    """

    name: str
    landmarks: NDArray[np.float32]
    lips: tuple[Lips, Lips]

    @property
    def held_out(self) -> bool:
        """Whether the person is kept for measuring: a tenth of all, by the hash of the name."""
        return zlib.crc32(self.name.encode()) % 10 == 0


def pair_paths(folder: Path) -> list[tuple[Path, Path]]:
    """Return the neutral and smiling photos of each person in a folder.

    The layouts known are FEI's (``Na.jpg``, ``Nb.jpg``) and the London set's
    (``neutral_front/N_03.jpg``, ``smiling_front/N_08.jpg``).

    Raises
    ------
    UsageError
        If there are none.
    """
    pairs = [
        (path, path.with_name(f"{path.stem[:-1]}b{path.suffix}"))
        for path in sorted(folder.rglob("*a.jpg"))
    ]
    pairs += [
        (path, path.parents[1] / "smiling_front" / path.name.replace("_03", "_08"))
        for path in sorted(folder.rglob("neutral_front/*_03.jpg"))
    ]
    there = [pair for pair in pairs if pair[1].is_file()]
    if not there:
        raise UsageError(f"{folder}: no pairs of photos (Na.jpg and Nb.jpg, or the London set's)")
    return there


def read_pairs(
    folders: Sequence[Path],
    finder: FaceFinder,
    progress: Callable[[int, int], None] | None = None,
) -> list[SmilePair]:
    """Find landmarks and lips in the pairs of folders; pairs without a face are left out."""
    paths, pairs = [pair for folder in folders for pair in pair_paths(folder)], []
    for number, both in enumerate(paths):
        found = [_shape(load_rgb(path), finder) for path in both]
        known = [shape for shape in found if shape is not None]
        if len(known) == len(both):
            (neutral, closed), (smiling, apart) = known
            pairs.append(SmilePair(both[0].name, np.stack([neutral, smiling]), (closed, apart)))
        if progress:
            progress(number + 1, len(paths))
    return pairs


def _shape(rgb: NDArray[np.uint8], finder: FaceFinder) -> tuple[NDArray[np.float32], Lips] | None:
    """Return the largest face's landmarks (68, 2) and lips."""
    faces, shift = finder.find(rgb), 0
    if not faces:
        shift = _MARGIN
        rgb = cv2.copyMakeBorder(rgb, *(shift,) * 4, cv2.BORDER_REFLECT_101)
        faces = finder.find(rgb)
    if not faces:
        return None
    points = max(faces, key=lambda face: face.width).points
    points = finder.landmarks.refine(rgb, points)
    return np.float32(points - shift), find_lips(rgb, points)
