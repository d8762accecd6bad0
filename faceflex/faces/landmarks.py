"""68-point landmark prediction in an aligned frame of fixed size.

The predictor (Kazemi and Sullivan 2014, as in dlib) always gets an upright face of one size: first
in a frame aligned by the detector's box, then in one aligned by the first pass' landmarks. This
makes it invariant to scale and rotation, and antialiasing removes the noise of large faces.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.errors import AssetError
from faceflex.faces.align import estimate_similarity, invert, template, transform_points, warp
from faceflex.faces.landmark_groups import LEFT_EYE, NOSE_TIP, OUTER_MOUTH_CORNERS, RIGHT_EYE
from faceflex.faces.trees import TreeCascade

FRAME = 192
"""Side in pixels of the frame that predictors see."""

_TEMPLATE_SIDE, _OFFSET = 160, 16
# Mean box of dlib's HOG detector for a face aligned to the 128-pixel template, measured on the
# hand-labelled faces of 300-W: centre and side.
_BOX_CENTRE, _BOX_SIDE = (63.5, 59.7), 106.3


def frame_template() -> NDArray[np.float32]:
    """Return the (68, 2) template in pixels of the frame."""
    points: NDArray[np.float32] = template(_TEMPLATE_SIDE) + np.float32(_OFFSET)
    return points


def frame_box() -> tuple[float, float, float]:
    """Return centre x, centre y and side of the detector's box in the frame."""
    scale = _TEMPLATE_SIDE / 128
    x, y = ((v + 0.5) * scale - 0.5 + _OFFSET for v in _BOX_CENTRE)
    return x, y, _BOX_SIDE * scale


def frame_rectangle() -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the detector's box, rounded to the frame's pixels."""
    x, y, side = frame_box()
    half = side / 2
    return round(x - half), round(y - half), round(x + half), round(y + half)


def box_to_frame(
    centre: tuple[float, float], side: float, degrees: float = 0.0
) -> NDArray[np.float64]:
    """Return the (2, 3) similarity, photo to frame, for a detection.

    Parameters
    ----------
    centre, side
        Box in pixels of the photo.
    degrees
        In-plane rotation of the face in the photo, clockwise.
    """
    x, y, frame_side = frame_box()
    scale, angle = frame_side / side, np.radians(-degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, np.array([x, y]) - linear @ np.array(centre)])


class _DlibPredictor:
    """A predictor in dlib's format, evaluated by dlib."""

    def __init__(self, path: Path) -> None:
        import dlib

        from faceflex.assets.registry import find_asset, hash_matches
        from faceflex.faces.dlib_format import check_predictor

        self._rectangle = dlib.rectangle
        try:
            if not hash_matches(path, find_asset("dlib68")):
                check_predictor(path.read_bytes())
            self._predict = dlib.shape_predictor(str(path))
        except Exception as error:  # dlib's own errors, or MemoryError from a damaged length.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise AssetError(f"{path}: not a landmark predictor of dlib's ({reason})") from error
        count = len(self(np.zeros((FRAME, FRAME), np.uint8), frame_rectangle()))
        if count != 68:
            raise AssetError(f"{path}: predicts {count} landmarks; 68 are needed")

    def __call__(
        self, gray: NDArray[np.uint8], box: tuple[int, int, int, int]
    ) -> NDArray[np.float32]:
        shape = self._predict(gray, self._rectangle(*box))
        return np.array([(p.x, p.y) for p in shape.parts()], np.float32)


@cache
def _load_predictor(path: Path) -> TreeCascade | _DlibPredictor:
    return _DlibPredictor(path) if path.suffix == ".dat" else TreeCascade(path)


class LandmarkModel:
    """A 68-point landmark predictor.

    Parameters
    ----------
    path
        A file of :mod:`faceflex.faces.trees`, or one in dlib's format (``.dat``).

    Raises
    ------
    AssetError
        If the file is not a 68-point predictor.
    """

    def __init__(self, path: Path) -> None:
        self._predictor = _load_predictor(Path(path))

    def predict_frame(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict (68, 2) float32 landmarks in a (192, 192, 3) uint8 frame, in its pixels."""
        return self._predictor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), frame_rectangle())

    def find_again(
        self, image: NDArray[np.uint8], points: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Find the landmarks (68, 2) of the face near ``points`` in an edited picture.

        Refined twice: where they are found should not depend on where the search began.
        """
        return self.refine(image, self.refine(image, points))

    def find(
        self,
        image: NDArray[np.uint8],
        centre: tuple[float, float],
        side: float,
        degrees: float = 0.0,
    ) -> NDArray[np.float32]:
        """Predict the landmarks of a detected face.

        Parameters
        ----------
        image
            (H, W, 3) uint8 RGB photo.
        centre, side, degrees
            The detection, as for :func:`box_to_frame`.

        Returns
        -------
        (68, 2) float32, in pixels of the photo.
        """
        matrix = box_to_frame(centre, side, degrees)
        points = transform_points(invert(matrix), self.predict_frame(warp(image, matrix, FRAME)[0]))
        return self.refine(image, points)

    def find_from_five(
        self, image: NDArray[np.uint8], five: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Predict the landmarks of a face from five points.

        ``five`` (5, 2): centres of the eyes, tip of the nose and corners of the mouth, left to
        right, in pixels of the image.
        """
        target = frame_template()
        eyes = [target[RIGHT_EYE].mean(axis=0), target[LEFT_EYE].mean(axis=0)]
        corners = target[list(OUTER_MOUTH_CORNERS)]
        matrix = estimate_similarity(five, np.array([*eyes, target[NOSE_TIP], *corners]))
        points = transform_points(invert(matrix), self.predict_frame(warp(image, matrix, FRAME)[0]))
        return self.refine(image, points)

    def refine(self, image: NDArray[np.uint8], points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Predict landmarks in the frame aligned by (68, 2) ``points``, a first estimate."""
        matrix = estimate_similarity(points, frame_template())
        return transform_points(invert(matrix), self.predict_frame(warp(image, matrix, FRAME)[0]))
