"""Find faces with dlib's HOG detector, in photos of any size and faces of any turn.

The detector (Dalal and Triggs 2005; King 2015) wants faces of about 80 pixels and upright ones.
It runs on a copy with a bounded long side, upright and tilted either way; when it finds nothing, on
a larger copy, then on quarter turns, then with a lower threshold. A face that it is unsure of is
also looked for in quarter turns: an upside-down face can look a little like an upright one. And a
second look, at the face levelled by its landmarks, tells unsure faces from badges and coins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import invert, transform_points, warp

LONG_SIDE = 1024
"""Long side of the first copy in pixels; faces from 8 % of it are found."""

_LARGE_SIDE, _TILT_SIDE, _MAX_ENLARGEMENT = 2048, 720, 3.0
_THRESHOLD, _LOW_THRESHOLD = -0.15, -0.35
_TILTS, _TURNED_THRESHOLD = (-35.0, 35.0), 0.1
_QUARTERS = (90.0, 180.0, 270.0)
_SURE, _CONFIRMED = 0.5, -0.1
_CLOSE_SIDE, _CLOSE_FACE, _CLOSE_THRESHOLD = 240, 106.0, -0.6


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
"""Makers of detectors by name."""

_own = threading.local()


def _finder(name: str) -> Finder:
    """Return this thread's detector: dlib's keep their scratch space, so threads cannot share."""
    made: dict[str, Finder] = _own.__dict__
    if name not in made:
        made[name] = DETECTORS[name]()
    return made[name]


def _resized(image: NDArray[np.uint8], long_side: int) -> tuple[NDArray[np.uint8], float]:
    """Return a copy with a long side of ``long_side`` pixels, or less; and its scale."""
    height, width = image.shape[:2]
    scale = min(long_side / max(height, width), _MAX_ENLARGEMENT)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    copy = cv2.resize(image, size, interpolation=method) if size != (width, height) else image
    return copy, scale


def _run(
    image: NDArray[np.uint8],
    copy: NDArray[np.uint8],
    scale: float,
    find: Finder,
    threshold: float,
    degrees: float,
) -> list[Detection]:
    """Detect on a copy of ``image`` at a scale, turned back by ``degrees``."""
    height, width = image.shape[:2]
    size = copy.shape[1::-1]
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


def look_again(frame: NDArray[np.uint8], centre: tuple[float, float], side: float) -> bool:
    """Tell whether a picture, cut level around what may be a face, shows one where it should be.

    Parameters
    ----------
    frame
        (S, S, 3) uint8 RGB.
    centre, side
        Where the detector's box should be, in pixels of the frame.
    """
    room = side / 4
    return any(
        abs((left + right) / 2 - centre[0]) < room and abs((top + bottom) / 2 - centre[1]) < room
        for left, top, right, bottom, _ in _finder("hog")(frame, _CONFIRMED)
    )


def detect(
    image: NDArray[np.uint8],
    detector: str = "hog",
    check: Callable[[Detection], bool] = lambda _: True,
) -> list[Detection]:
    """Find faces.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB photo.
    detector
        ``hog``, dlib's quick frontal one, or ``cnn``, its slower one for turned and small faces.
    check
        Says whether to keep a face that the detector is unsure of.

    Returns
    -------
    Boxes, the most certain first; empty when nothing looks like a face.
    """
    if min(image.shape[:2]) < 20:
        return []
    find = _finder(detector)

    def look(long_side: int, threshold: float, *turns: float) -> list[Detection]:
        copy, scale = _resized(image, long_side)
        found = [d for turn in turns for d in _run(image, copy, scale, find, threshold, turn)]
        return [d for d in _distinct(found) if d.score >= _SURE or check(d)]

    found = look(LONG_SIDE, _THRESHOLD, 0.0) + look(_TILT_SIDE, _TURNED_THRESHOLD, *_TILTS)
    if not found and max(image.shape[:2]) * _MAX_ENLARGEMENT > LONG_SIDE:
        found = look(_LARGE_SIDE, _THRESHOLD, 0.0)
    if max((d.score for d in found), default=0.0) < _SURE:
        found += look(LONG_SIDE, _TURNED_THRESHOLD, *_QUARTERS)
    found = _distinct(found or look(LONG_SIDE, _LOW_THRESHOLD, 0.0))
    return found if detector == "hog" else [_as_hog(image, d) for d in found]


def _as_hog(image: NDArray[np.uint8], one: Detection) -> Detection:
    """Draw the box as the HOG detector would: landmarks start from that one.

    It looks at the place itself, leniently; where it sees nothing, the box is moved by what the two
    detectors differ by on average.
    """
    turn = np.radians(-one.degrees)
    scale = _CLOSE_FACE / one.side
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array([_CLOSE_SIDE / 2, _CLOSE_SIDE / 2])
    matrix = np.column_stack([linear, middle - linear @ np.array(one.centre)])
    frame, _ = warp(image, matrix, _CLOSE_SIDE)
    boxes = [
        (score, (left + right) / 2, (top + bottom) / 2, right - left + 1)
        for left, top, right, bottom, score in _finder("hog")(frame, _CLOSE_THRESHOLD)
        if max(abs((left + right) / 2 - middle[0]), abs((top + bottom) / 2 - middle[1])) < 40
    ]
    default = (0.0, middle[0] + 0.03 * _CLOSE_FACE, middle[1] + 0.08 * _CLOSE_FACE, _CLOSE_FACE)
    _, x, y, side = max(boxes, default=default)
    x, y = transform_points(invert(matrix), np.array([[x, y]]))[0]
    return Detection((float(x), float(y)), side / scale, one.score, one.degrees)
