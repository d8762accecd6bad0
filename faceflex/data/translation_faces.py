"""Faces with their landmarks, neutral and smiling, for the translation between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.data.smile_pairs import SmilePair, pair_paths
from faceflex.faces.align import align, transform_points
from faceflex.faces.landmark_pictures import PICTURE, draw_landmarks
from faceflex.photo import load_rgb


@dataclass(frozen=True)
class FaceStates:
    """A person's faces in one video, or pair: the first is neutral.

    Attributes
    ----------
    faces
        (n, 64, 64, 3) uint8.
    landmarks
        (n, 64, 64) uint8 landmark pictures, 0 and 1.
    held_out
        Whether the person is kept for measuring.
    """

    faces: NDArray[np.uint8]
    landmarks: NDArray[np.uint8]
    held_out: bool = False


def small_face(rgb: NDArray[np.uint8], points: NDArray[np.floating]) -> FaceStates:
    """Return one state: a face of a photo, by its landmarks (68, 2)."""
    aligned = align(rgb, points)
    return state_of(aligned.crop, transform_points(aligned.matrix, points))


def state_of(crop: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> FaceStates:
    """Return one state of an aligned crop (128, 128, 3) and its landmarks (68, 2)."""
    face = cv2.resize(crop, (PICTURE, PICTURE), interpolation=cv2.INTER_AREA)
    return FaceStates(face[None], draw_landmarks(landmarks)[None])


def joined(states: Sequence[FaceStates], *, held_out: bool) -> FaceStates:
    """Join the states of one person."""
    return FaceStates(
        np.concatenate([s.faces for s in states]),
        np.concatenate([s.landmarks for s in states]),
        held_out,
    )


def pair_states(folders: Sequence[Path], pairs: Sequence[SmilePair]) -> list[FaceStates]:
    """Return neutral and smiling faces of pairs whose landmarks are known."""
    known = {pair.name: pair for pair in pairs}
    found = []
    for folder in folders:
        for paths in pair_paths(folder):
            pair = known.get(paths[0].name)
            if pair is not None:
                both = zip(paths, pair.landmarks, strict=True)
                states = [small_face(load_rgb(path), points) for path, points in both]
                found.append(joined(states, held_out=pair.held_out))
    return found
