"""The 68 landmarks of a face, found in a frame of fixed size.

The predictor (Kazemi and Sullivan 2014, as in dlib) always sees an upright face of one size: a
first pass starts from the detector's box, a second one from the face levelled by the first. Faces
of any size and tilt so look alike to it, and large ones lose their noise by area filtering.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import AssetError
from faceflex.faces.align import apply, invert, similarity, template, warp

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


@cache
def _predictor(path: Path) -> Any:
    import dlib

    try:
        predictor = dlib.shape_predictor(str(path))
    except RuntimeError as error:
        raise AssetError(f"{path}: not a landmark predictor of dlib's ({error})") from error
    x, y, half = 96, 96, 60
    box = dlib.rectangle(x - half, y - half, x + half, y + half)
    count = predictor(np.zeros((FRAME, FRAME), np.uint8), box).num_parts
    if count != 68:
        raise AssetError(f"{path}: predicts {count} landmarks; 68 are needed")
    return predictor


class LandmarkModel:
    """A 68-point predictor.

    Parameters
    ----------
    path
        File in dlib's format.

    Raises
    ------
    AssetError
        If the file is not a 68-point predictor.
    """

    def __init__(self, path: Path) -> None:
        self._model = _predictor(Path(path))

    def in_frame(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (68, 2) float32 landmarks of a (192, 192, 3) frame, in its pixels."""
        import dlib

        x, y, side = frame_box()
        corner = [round(v) for v in (x - side / 2, y - side / 2, x + side / 2, y + side / 2)]
        shape = self._model(np.ascontiguousarray(frame), dlib.rectangle(*corner))
        return np.array([(p.x, p.y) for p in shape.parts()], np.float32)

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
        points = apply(invert(matrix), self.in_frame(warp(image, matrix, FRAME)[0]))
        matrix = similarity(points, frame_template())
        return apply(invert(matrix), self.in_frame(warp(image, matrix, FRAME)[0]))
