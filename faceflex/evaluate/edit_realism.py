"""Realism of the edits that an evaluation makes: their faces, collected by strength."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from faceflex.evaluate.realism import Realism, check_faces, realism_auc
from faceflex.evaluate.realism_faces import RealismFace, cut_face
from faceflex.faces.landmarks import LandmarkModel


class EditRealism:
    """Collects edited faces, and measures how well they are told from real ones.

    Parameters
    ----------
    real
        Faces of photos that show what the edits should; 20 or more.
    place
        Where they were cut; see :data:`~faceflex.evaluate.realism_faces.PLACES`.
    landmarks
        The predictor that measures.

    Raises
    ------
    UsageError
        If there are too few.
    """

    def __init__(self, real: Sequence[RealismFace], place: str, landmarks: LandmarkModel) -> None:
        check_faces(real, "real")
        self._real, self._place, self._landmarks = real, place, landmarks
        self._edited: dict[float, list[RealismFace]] = {}

    def add(
        self, strength: float, picture: NDArray[np.uint8], points: NDArray[np.floating], person: str
    ) -> None:
        """Add the face near ``points`` (68, 2) of an edited (H, W, 3) uint8 picture."""
        found = self._landmarks.find_again(picture, points)
        face = cut_face(picture, found, person, self._place)
        self._edited.setdefault(strength, []).append(face)

    def measure(self, progress: Callable[[int, int], None] | None = None) -> dict[float, Realism]:
        """Return the realism of each strength, in the order in which they were added.

        Parameters
        ----------
        progress
            Called with the number of trainings done, and of all.

        Raises
        ------
        UsageError
            If there are too few edited faces.
        """
        for faces in self._edited.values():
            check_faces(faces, "edited")
        count = len(self._edited)

        def advance(number: int) -> Callable[[int, int], None] | None:
            return progress and (lambda done, all_: progress(number * all_ + done, count * all_))

        return {
            strength: realism_auc(self._real, faces, place=self._place, progress=advance(number))
            for number, (strength, faces) in enumerate(self._edited.items())
        }
