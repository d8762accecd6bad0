"""Detection and landmarks combined: the faces of a photo, numbered left to right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.faces import MIN_SCORE
from faceflex.faces.align import estimate_similarity, warp
from faceflex.faces.detect import Detection, confirm_detection, detect
from faceflex.faces.landmarks import FRAME, LandmarkModel, frame_box, frame_template

_MIN_SIDE = 12.0


@dataclass(frozen=True)
class Face:
    """A face in a photo.

    Attributes
    ----------
    index
        Number of the face, from 1 at the left.
    box
        Left, top, right, bottom of the detection in pixels of the photo; may exceed it.
    score
        The detector's confidence; see :class:`faceflex.faces.detect.Detection`.
    points
        (68, 2) float32 landmarks in pixels of the photo.
    """

    index: int
    box: tuple[int, int, int, int]
    score: float
    points: NDArray[np.float32]

    @classmethod
    def at(cls, points: NDArray[np.float32]) -> Face:
        """Return a face whose (68, 2) landmarks are known; its box holds them."""
        low, high = points.min(axis=0), points.max(axis=0)
        return cls(1, (int(low[0]), int(low[1]), int(high[0]), int(high[1])), 1.0, points)

    @property
    def width(self) -> int:
        """Width of the box in pixels of the photo."""
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
        Landmark predictor, or its file; the bundled one by default.
    detector
        As for :func:`faceflex.faces.detect.detect`.

    Returns
    -------
    Faces, left to right; empty when there is none.
    """
    if not isinstance(model, LandmarkModel):
        from faceflex.assets import resolve

        model = LandmarkModel(model or resolve("landmarks68"))
    landmarks: dict[Detection, NDArray[np.float32]] = {}

    def predict(d: Detection) -> NDArray[np.float32]:
        if d not in landmarks:
            landmarks[d] = model.find(image, d.centre, d.side, d.degrees)
        return landmarks[d]

    def confirm(d: Detection) -> bool:
        if detector != "hog":
            return True
        frame, _ = warp(image, estimate_similarity(predict(d), frame_template()), FRAME)
        x, y, side = frame_box()
        return confirm_detection(frame, (x, y), side)

    detections = [d for d in detect(image, detector, confirm) if d.side >= _MIN_SIDE]
    detections.sort(key=lambda d: d.centre)
    faces = []
    for index, d in enumerate(detections, start=1):
        (x, y), half = d.centre, d.side / 2
        box = (round(x - half), round(y - half), round(x + half), round(y + half))
        faces.append(Face(index, box, d.score, predict(d)))
    return faces


class FaceFinder:
    """Face detector and landmark predictor, loaded at first use.

    Pickles by its parameters: another process loads the files itself, once.

    Parameters
    ----------
    landmark_model
        Registered name or path of a landmark predictor.
    detector
        ``hog`` or ``cnn``.
    min_score
        Detector score below which a face is edited only when it is selected explicitly.
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
        return _cached_finder, (self._landmark_model, self.detector, self.min_score)

    @cached_property
    def landmarks(self) -> LandmarkModel:
        """The landmark predictor."""
        from faceflex.assets import resolve

        return LandmarkModel(resolve(self._landmark_model))

    def find(self, image: NDArray[np.uint8]) -> list[Face]:
        """Find all faces of an (H, W, 3) uint8 RGB photo, left to right."""
        return find_faces(image, self.landmarks, self.detector)


@lru_cache(maxsize=2)
def _cached_finder(landmark_model: str | Path, detector: str, min_score: float) -> FaceFinder:
    """Return this process' finder with these parameters."""
    return FaceFinder(landmark_model, detector, min_score)
