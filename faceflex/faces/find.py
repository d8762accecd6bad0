"""Detection and landmarks together: the faces of a photo, numbered left to right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.faces import MIN_SCORE
from faceflex.faces.align import estimate_similarity, warp
from faceflex.faces.detect import Detection, detect, look_again
from faceflex.faces.landmarks import FRAME, LandmarkModel, frame_box, frame_template

_MIN_SIDE = 12.0


@dataclass(frozen=True)
class Face:
    """A face in a photo.

    Attributes
    ----------
    index
        Its number, 1 for the leftmost.
    box
        Left, top, right, bottom of the detector's box in pixels of the photo; may reach outside.
    score
        The detector's confidence; see :class:`faceflex.faces.detect.Detection`.
    points
        (68, 2) float32 landmarks in pixels of the photo.
    """

    index: int
    box: tuple[int, int, int, int]
    score: float
    points: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Width of the box in pixels."""
        return self.box[2] - self.box[0]


def find_faces(
    image: NDArray[np.uint8],
    model: LandmarkModel | Path | None = None,
    detector: str = "hog",
) -> list[Face]:
    """Find all faces of a photo.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB photo.
    model
        Landmark predictor or its file; the bundled one by default.
    detector
        As for :func:`faceflex.faces.detect.detect`.

    Returns
    -------
    Faces, left to right; empty when there is none.
    """
    if not isinstance(model, LandmarkModel):
        from faceflex.assets import resolve

        model = LandmarkModel(model or resolve("landmarks68"))
    known: dict[Detection, NDArray[np.float32]] = {}

    def points_of(one: Detection) -> NDArray[np.float32]:
        if one not in known:
            known[one] = model.find(image, one.centre, one.side, one.degrees)
        return known[one]

    def is_face(one: Detection) -> bool:
        if detector != "hog":
            return True
        frame, _ = warp(image, estimate_similarity(points_of(one), frame_template()), FRAME)
        x, y, side = frame_box()
        return look_again(frame, (x, y), side)

    found = [d for d in detect(image, detector, is_face) if d.side >= _MIN_SIDE]
    found.sort(key=lambda d: d.centre)
    faces = []
    for number, one in enumerate(found, start=1):
        (x, y), half = one.centre, one.side / 2
        box = (round(x - half), round(y - half), round(x + half), round(y + half))
        faces.append(Face(number, box, one.score, points_of(one)))
    return faces


class FaceFinder:
    """Detector and landmark predictor together; loads its files when first needed.

    Sent to another process, it loads them there.

    Parameters
    ----------
    landmark_model
        Registered name or path of a landmark predictor.
    detector
        ``hog`` or ``cnn``.
    min_score
        A face of which the detector is less sure than this is left alone unless it is chosen.
    """

    def __init__(
        self,
        landmark_model: str | Path = "landmarks68",
        detector: str = "hog",
        min_score: float = MIN_SCORE,
    ) -> None:
        self._landmark_model = landmark_model
        self.detector, self.min_score = detector, min_score

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared_finder, (self._landmark_model, self.detector, self.min_score)

    @cached_property
    def landmarks(self) -> LandmarkModel:
        """The landmark predictor."""
        from faceflex.assets import resolve

        return LandmarkModel(resolve(self._landmark_model))

    def find(self, image: NDArray[np.uint8]) -> list[Face]:
        """Find all faces of an (H, W, 3) uint8 RGB photo, left to right."""
        return find_faces(image, self.landmarks, self.detector)


@lru_cache(maxsize=2)
def _shared_finder(landmark_model: str | Path, detector: str, min_score: float) -> FaceFinder:
    """Return this process' finder of such a kind."""
    return FaceFinder(landmark_model, detector, min_score)
