"""Face detection with dlib's HOG detector, for photos of any size and faces of any rotation.

The detector (Dalal and Triggs 2005; King 2015) expects upright faces of about 80 pixels. It runs
on a resized copy, upright and rotated by 35 degrees either way; without a detection, on a larger
copy, then rotated by multiples of 90 degrees, then with a lower threshold. Low scores make it try
the multiples of 90 degrees too, since an upside-down face resembles an upright one a little; and
they must be confirmed on a crop levelled by the landmarks, which rejects badges and coins.
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
"""Long side in pixels of the first copy; faces of at least 8 % of it are detected."""

_LARGE_SIDE, _TILT_SIDE, _MAX_UPSCALING = 2048, 720, 3.0
_THRESHOLD, _LOW_THRESHOLD = -0.15, -0.35
_TILTS, _ROTATED_THRESHOLD = (-35.0, 35.0), 0.1
_QUARTER_TURNS = (90.0, 180.0, 270.0)
_CERTAIN, _CONFIRM_THRESHOLD = 0.5, -0.1
_CROP_SIDE, _CROP_FACE, _CROP_THRESHOLD = 240, 106.0, -0.6  # The HOG detector on a CNN box.


@dataclass(frozen=True)
class Detection:
    """A detected face.

    Attributes
    ----------
    centre
        x and y in pixels of the photo.
    side
        Side of the square in pixels of the photo.
    score
        The detector's confidence: 0 is its default threshold, 1 and above is certain.
    degrees
        In-plane rotation of the face, clockwise.
    """

    centre: tuple[float, float]
    side: float
    score: float
    degrees: float = 0.0

    def contains(self, x: float, y: float) -> bool:
        """Return whether a point of the photo lies inside the box."""
        half = self.side / 2
        return abs(x - self.centre[0]) <= half and abs(y - self.centre[1]) <= half


Detector = Callable[[NDArray[np.uint8], float], list[tuple[float, float, float, float, float]]]
"""Image and threshold -> left, top, right, bottom and score of each face."""


def _load_hog() -> Detector:
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


def _load_cnn() -> Detector:
    import dlib

    from faceflex.assets import resolve

    detector = dlib.cnn_face_detection_model_v1(str(resolve("dlib-cnn")))

    def find(
        image: NDArray[np.uint8], threshold: float
    ) -> list[tuple[float, float, float, float, float]]:
        boxes = [(b.rect, b.confidence) for b in detector(image, 0)]
        return [(r.left(), r.top(), r.right(), r.bottom(), s) for r, s in boxes if s >= threshold]

    return find


DETECTORS: dict[str, Callable[[], Detector]] = {"hog": _load_hog, "cnn": _load_cnn}
"""Constructors of detectors by name."""

_thread_local = threading.local()


def _thread_detector(name: str) -> Detector:
    """Return this thread's detector: dlib's detectors hold buffers and are not thread-safe."""
    detectors: dict[str, Detector] = _thread_local.__dict__
    if name not in detectors:
        detectors[name] = DETECTORS[name]()
    return detectors[name]


def _resize(image: NDArray[np.uint8], long_side: int) -> tuple[NDArray[np.uint8], float]:
    """Return a copy with a long side of at most ``long_side`` pixels, and its scale."""
    height, width = image.shape[:2]
    scale = min(long_side / max(height, width), _MAX_UPSCALING)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    copy = cv2.resize(image, size, interpolation=method) if size != (width, height) else image
    return copy, scale


def _detect_in_copy(
    image: NDArray[np.uint8],
    copy: NDArray[np.uint8],
    scale: float,
    detector: Detector,
    threshold: float,
    degrees: float,
) -> list[Detection]:
    """Detect faces in a resized ``copy``, rotated by ``degrees``; boxes in pixels of ``image``."""
    height, width = image.shape[:2]
    size = copy.shape[1::-1]
    to_photo = np.array([[width / size[0], 0, 0], [0, height / size[1], 0]], np.float64)
    to_photo[:, 2] = (to_photo[0, 0] - 1) / 2, (to_photo[1, 1] - 1) / 2
    if degrees:
        copy, inverse = _rotate(copy, degrees)
        linear = to_photo[:, :2] @ inverse[:, :2]
        to_photo = np.column_stack([linear, to_photo[:, :2] @ inverse[:, 2] + to_photo[:, 2]])
    detections = []
    for left, top, right, bottom, score in detector(np.ascontiguousarray(copy), threshold):
        x, y = to_photo[:, :2] @ [(left + right) / 2, (top + bottom) / 2] + to_photo[:, 2]
        side = (right - left + 1) / scale
        detections.append(Detection((float(x), float(y)), float(side), float(score), degrees))
    return detections


def _rotate(image: NDArray[np.uint8], degrees: float) -> tuple[NDArray[np.uint8], Any]:
    """Rotate an image counter-clockwise by ``degrees``; also return the inverse matrix."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = (int(height * sin + width * cos), int(height * cos + width * sin))
    matrix[:, 2] += [(size[0] - width) / 2, (size[1] - height) / 2]
    rotated = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
    return rotated, cv2.invertAffineTransform(matrix)


def _suppress(detections: list[Detection]) -> list[Detection]:
    """Non-maximum suppression: drop boxes that share a centre with one of higher score."""
    maxima: list[Detection] = []
    for d in sorted(detections, key=lambda d: -d.score):
        if not any(best.contains(*d.centre) or d.contains(*best.centre) for best in maxima):
            maxima.append(d)
    return maxima


def confirm_detection(frame: NDArray[np.uint8], centre: tuple[float, float], side: float) -> bool:
    """Return whether the detector fires again on an upright crop of a detection.

    Parameters
    ----------
    frame
        (S, S, 3) uint8 RGB, aligned by the detection's landmarks.
    centre, side
        Expected box, in pixels of the frame.
    """
    tolerance = side / 4
    return any(
        max(abs((left + right) / 2 - centre[0]), abs((top + bottom) / 2 - centre[1])) < tolerance
        for left, top, right, bottom, _ in _thread_detector("hog")(frame, _CONFIRM_THRESHOLD)
    )


def detect(
    image: NDArray[np.uint8],
    detector: str = "hog",
    confirm: Callable[[Detection], bool] = lambda _: True,
) -> list[Detection]:
    """Detect faces.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB photo.
    detector
        ``hog``: dlib's fast frontal detector; ``cnn``: its slower one, for turned and small faces.
    confirm
        Whether to keep a detection of low score.

    Returns
    -------
    Detections, by descending score; empty when there are none.
    """
    if min(image.shape[:2]) < 20:
        return []
    predict = _thread_detector(detector)

    def scan(long_side: int, threshold: float, *rotations: float) -> list[Detection]:
        copy, scale = _resize(image, long_side)
        boxes = [
            d for r in rotations for d in _detect_in_copy(image, copy, scale, predict, threshold, r)
        ]
        return [d for d in _suppress(boxes) if d.score >= _CERTAIN or confirm(d)]

    faces = scan(LONG_SIDE, _THRESHOLD, 0.0) + scan(_TILT_SIDE, _ROTATED_THRESHOLD, *_TILTS)
    if not faces and max(image.shape[:2]) * _MAX_UPSCALING > LONG_SIDE:
        faces = scan(_LARGE_SIDE, _THRESHOLD, 0.0)
    if max((d.score for d in faces), default=0.0) < _CERTAIN:
        faces += scan(LONG_SIDE, _ROTATED_THRESHOLD, *_QUARTER_TURNS)
    faces = _suppress(faces or scan(LONG_SIDE, _LOW_THRESHOLD, 0.0))
    return faces if detector == "hog" else [_to_hog_box(image, d) for d in faces]


def _to_hog_box(image: NDArray[np.uint8], d: Detection) -> Detection:
    """Replace a CNN box by the HOG detector's, from which the landmark predictor starts.

    The HOG detector runs on a crop with a low threshold; without a detection, the box is corrected
    by the mean difference of the two detectors.
    """
    angle = np.radians(-d.degrees)
    scale = _CROP_FACE / d.side
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([_CROP_SIDE / 2, _CROP_SIDE / 2])
    matrix = np.column_stack([linear, centre - linear @ np.array(d.centre)])
    frame, _ = warp(image, matrix, _CROP_SIDE)
    boxes = [
        (score, (left + right) / 2, (top + bottom) / 2, right - left + 1)
        for left, top, right, bottom, score in _thread_detector("hog")(frame, _CROP_THRESHOLD)
        if max(abs((left + right) / 2 - centre[0]), abs((top + bottom) / 2 - centre[1])) < 40
    ]
    default = (0.0, centre[0] + 0.03 * _CROP_FACE, centre[1] + 0.08 * _CROP_FACE, _CROP_FACE)
    _, x, y, side = max(boxes, default=default)
    x, y = transform_points(invert(matrix), np.array([[x, y]]))[0]
    return Detection((float(x), float(y)), side / scale, d.score, d.degrees)
