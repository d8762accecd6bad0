"""Find faces with dlib's HOG detector, in photos of any size and faces of any turn.

The detector (Dalal and Triggs 2005; King 2015) wants faces of about 80 pixels and upright ones.
It runs on a copy with a bounded long side; when it finds nothing, on a larger copy, then with a
lower threshold, then on tilted copies, then on quarter turns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LONG_SIDE = 1024
"""Long side of the first copy in pixels; faces from 8 % of it are found."""

_LARGE_SIDE, _MAX_ENLARGEMENT = 2048, 3.0
_LOW_THRESHOLD = -0.35
# What to try, in turn, until something is found: long side, threshold, turns in degrees.
_PASSES: tuple[tuple[int, float, tuple[float, ...]], ...] = (
    (LONG_SIDE, 0.0, (0.0,)),
    (_LARGE_SIDE, 0.0, (0.0,)),
    (LONG_SIDE, 0.0, (-35.0, 35.0)),
    (LONG_SIDE, _LOW_THRESHOLD, (0.0,)),
    (LONG_SIDE, 0.0, (90.0, 270.0, 180.0)),
)


@dataclass(frozen=True)
class Detection:
    """A detector's box.

    Attributes
    ----------
    centre
        x and y in pixels of the photo.
    side
        Side of the square in pixels of the photo.
    score
        The detector's confidence: 0 is its own threshold, 1 and more is certain.
    degrees
        How far the face is turned clockwise.
    """

    centre: tuple[float, float]
    side: float
    score: float
    degrees: float = 0.0

    def contains(self, x: float, y: float) -> bool:
        """Tell whether a point of the photo lies inside the box."""
        half = self.side / 2
        return abs(x - self.centre[0]) <= half and abs(y - self.centre[1]) <= half


Finder = Callable[[NDArray[np.uint8], float], list[tuple[float, float, float, float, float]]]
"""Picture and threshold -> left, top, right, bottom and score of each face."""


@cache
def _hog() -> Finder:
    import dlib

    detector = dlib.get_frontal_face_detector()

    def find(
        image: NDArray[np.uint8], threshold: float
    ) -> list[tuple[float, float, float, float, float]]:
        boxes, scores, _ = detector.run(image, 0, threshold)
        return [
            (b.left(), b.top(), b.right(), b.bottom(), s)
            for b, s in zip(boxes, scores, strict=True)
        ]

    return find


@cache
def _cnn() -> Finder:
    import dlib

    from faceflex.assets import resolve

    detector = dlib.cnn_face_detection_model_v1(str(resolve("dlib-cnn")))

    def find(
        image: NDArray[np.uint8], threshold: float
    ) -> list[tuple[float, float, float, float, float]]:
        boxes = [(b.rect, b.confidence) for b in detector(image, 0)]
        return [(r.left(), r.top(), r.right(), r.bottom(), s) for r, s in boxes if s >= threshold]

    return find


DETECTORS: dict[str, Callable[[], Finder]] = {"hog": _hog, "cnn": _cnn}


def _run(
    image: NDArray[np.uint8], find: Finder, long_side: int, threshold: float, degrees: float
) -> list[Detection]:
    """Detect on one copy: resized to ``long_side``, turned back by ``degrees``."""
    height, width = image.shape[:2]
    scale = min(long_side / max(height, width), _MAX_ENLARGEMENT)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    copy = cv2.resize(image, size, interpolation=method) if size != (width, height) else image
    to_photo = np.array([[width / size[0], 0, 0], [0, height / size[1], 0]], np.float64)
    to_photo[:, 2] = (to_photo[0, 0] - 1) / 2, (to_photo[1, 1] - 1) / 2
    if degrees:
        copy, back = _turned(copy, degrees)
        linear = to_photo[:, :2] @ back[:, :2]
        to_photo = np.column_stack([linear, to_photo[:, :2] @ back[:, 2] + to_photo[:, 2]])
    found = []
    for left, top, right, bottom, score in find(np.ascontiguousarray(copy), threshold):
        x, y = to_photo[:, :2] @ [(left + right) / 2, (top + bottom) / 2] + to_photo[:, 2]
        side = (right - left + 1) / scale
        found.append(Detection((float(x), float(y)), float(side), float(score), degrees))
    return found


def _turned(image: NDArray[np.uint8], degrees: float) -> tuple[NDArray[np.uint8], Any]:
    """Turn a picture counter-clockwise by ``degrees``; also the matrix back to it."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cos, sin = abs(turn[0, 0]), abs(turn[0, 1])
    size = (int(height * sin + width * cos), int(height * cos + width * sin))
    turn[:, 2] += [(size[0] - width) / 2, (size[1] - height) / 2]
    turned = cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR)
    return turned, cv2.invertAffineTransform(turn)


def _distinct(found: list[Detection]) -> list[Detection]:
    """Keep the best of boxes that share a centre."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda d: -d.score):
        if not any(other.contains(*one.centre) or one.contains(*other.centre) for other in kept):
            kept.append(one)
    return kept


def detect(image: NDArray[np.uint8], detector: str = "hog") -> list[Detection]:
    """Find faces.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB photo.
    detector
        ``hog``, dlib's quick frontal one, or ``cnn``, its slower one for turned and small faces.

    Returns
    -------
    Boxes, the most certain first; empty when nothing looks like a face.
    """
    find, last = DETECTORS[detector](), None
    for long_side, threshold, turns in _PASSES:
        if min(image.shape[:2]) < 20:
            return []
        enlarged = min(long_side, int(max(image.shape[:2]) * _MAX_ENLARGEMENT))
        if (enlarged, threshold) == last and turns == (0.0,):
            continue  # A small photo's larger copy would be the same one.
        last = (enlarged, threshold)
        found = [d for turn in turns for d in _run(image, find, long_side, threshold, turn)]
        if found:
            return _distinct(found)
    return []
