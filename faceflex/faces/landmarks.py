"""The 68 landmarks of a face, found in a frame of fixed size.

The predictor (Kazemi and Sullivan 2014, as in dlib) always sees an upright face of one size: a
first pass starts from the detector's box, a second one from the face levelled by the first. Faces
of any size and tilt so look alike to it, and large ones lose their noise by area filtering.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.errors import AssetError
from faceflex.faces.align import estimate_similarity, invert, template, transform_points, warp
from faceflex.faces.trees import TreeCascade

FRAME = 192
"""Side of the frame in pixels."""

_SCALE_SIDE, _OFFSET = 160, 16
# Where dlib's HOG detector puts its box around a face aligned to the 128-pixel template, measured
# on the hand-labelled faces of 300-W: centre and side.
_BOX_CENTRE, _BOX_SIDE = (63.5, 59.7), 106.3


def frame_template() -> NDArray[np.float32]:
    """Return the (68, 2) template in pixels of the frame."""
    points: NDArray[np.float32] = template(_SCALE_SIDE) + np.float32(_OFFSET)
    return points


def frame_box() -> tuple[float, float, float]:
    """Return centre x, centre y and side of the detector's box in the frame."""
    grow = _SCALE_SIDE / 128
    x, y = ((v + 0.5) * grow - 0.5 + _OFFSET for v in _BOX_CENTRE)
    return x, y, _BOX_SIDE * grow


def frame_corners() -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the detector's box in whole pixels of the frame."""
    x, y, side = frame_box()
    half = side / 2
    return round(x - half), round(y - half), round(x + half), round(y + half)


def box_to_frame(
    centre: tuple[float, float], side: float, degrees: float = 0.0
) -> NDArray[np.float64]:
    """Return the (2, 3) similarity from photo to frame for a detector's box.

    Parameters
    ----------
    centre, side
        The box in pixels of the photo.
    degrees
        How far the face is turned clockwise in the photo.
    """
    x, y, wanted = frame_box()
    scale, angle = wanted / side, np.radians(-degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, np.array([x, y]) - linear @ np.array(centre)])


class _DlibPredictor:
    """dlib's own evaluation of a predictor in dlib's own format."""

    def __init__(self, path: Path) -> None:
        import dlib

        from faceflex.assets.registry import find_asset, hash_matches
        from faceflex.train.dlib_format import check_predictor

        self._rectangle = dlib.rectangle
        try:
            if not hash_matches(path, find_asset("dlib68")):
                check_predictor(path.read_bytes())
            self._predict = dlib.shape_predictor(str(path))
        except Exception as error:  # dlib's own, and what a damaged length leads to.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise AssetError(f"{path}: not a landmark predictor of dlib's ({reason})") from error
        count = len(self(np.zeros((FRAME, FRAME), np.uint8), frame_corners()))
        if count != 68:
            raise AssetError(f"{path}: predicts {count} landmarks; 68 are needed")

    def __call__(
        self, gray: NDArray[np.uint8], box: tuple[int, int, int, int]
    ) -> NDArray[np.float32]:
        shape = self._predict(gray, self._rectangle(*box))
        return np.array([(p.x, p.y) for p in shape.parts()], np.float32)


@cache
def _predictor(path: Path) -> TreeCascade | _DlibPredictor:
    return _DlibPredictor(path) if path.suffix == ".dat" else TreeCascade(path)


class LandmarkModel:
    """A 68-point predictor.

    Parameters
    ----------
    path
        A file of :mod:`faceflex.faces.trees`, or one in dlib's own format (``.dat``).

    Raises
    ------
    AssetError
        If the file is not a 68-point predictor.
    """

    def __init__(self, path: Path) -> None:
        self._model = _predictor(Path(path))

    def in_frame(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (68, 2) float32 landmarks of a (192, 192, 3) frame, in its pixels."""
        return self._model(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), frame_corners())

    def find(
        self,
        image: NDArray[np.uint8],
        centre: tuple[float, float],
        side: float,
        degrees: float = 0.0,
    ) -> NDArray[np.float32]:
        """Find the landmarks of the face in a detector's box.

        Parameters
        ----------
        image
            (H, W, 3) uint8 RGB photo.
        centre, side, degrees
            The detector's box, as for :func:`box_to_frame`.

        Returns
        -------
        (68, 2) float32, pixels of the photo.
        """
        matrix = box_to_frame(centre, side, degrees)
        points = transform_points(invert(matrix), self.in_frame(warp(image, matrix, FRAME)[0]))
        return self.again(image, points)

    def from_five(
        self, image: NDArray[np.uint8], five: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Find the landmarks of a face of which five points are known.

        ``five`` (5, 2) are the centres of the eyes, the tip of the nose and the corners of the
        mouth, left to right in the picture, in its pixels.
        """
        whole = frame_template()
        eyes = [whole[36:42].mean(axis=0), whole[42:48].mean(axis=0)]
        matrix = estimate_similarity(five, np.array([*eyes, whole[30], whole[48], whole[54]]))
        points = transform_points(invert(matrix), self.in_frame(warp(image, matrix, FRAME)[0]))
        return self.again(image, points)

    def again(self, image: NDArray[np.uint8], points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Find the landmarks of a face that is known to be near (68, 2) ``points``."""
        matrix = estimate_similarity(points, frame_template())
        return transform_points(invert(matrix), self.in_frame(warp(image, matrix, FRAME)[0]))
