"""The frame of the mean face: each place of a face, whatever its shape, at the template's place.

Statistics of many faces (colors, folds, hair) are kept in this frame, as in the prototypes of Burt
and Perrett 1995; a thin-plate spline through the landmarks leads from a face to it, or from it to a
face.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.warp import thin_plate_spline
from faceflex.faces.align import SIZE, template

_NODES = 33  # Along a side; the spline is smooth.
_OUTSIDE = 14.0  # Pixels of the crop beyond which nothing is looked for.
_OUTER_JAW = (1, 3, 5, 7, 9, 11, 13, 15)  # Landmarks that are no more than guesses along a line.
_KEPT = [n for n in range(60) if n not in _OUTER_JAW]

Floats = NDArray[np.float32]


def _grid(size: int) -> NDArray[np.float64]:
    line = (np.arange(size) + 0.5) * (SIZE / size) - 0.5
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _field(start: NDArray[np.floating], end: NDArray[np.floating]) -> Floats:
    """Return (33, 33, 2): how far the spline that takes ``start`` to ``end`` takes nodes."""
    a, b = (np.asarray(p, np.float64)[_KEPT] for p in (start, end))
    at = _grid(_NODES)
    moved = np.clip(at + thin_plate_spline(a, b - a, at), -_OUTSIDE, SIZE + _OUTSIDE)
    return np.float32((moved - at).reshape(_NODES, _NODES, 2))


def _resized(field: Floats, size: int) -> tuple[Floats, Floats]:
    large = cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    large += np.float32(_grid(size).reshape(size, size, 2))
    return np.ascontiguousarray(large[..., 0]), np.ascontiguousarray(large[..., 1])


def to_face(landmarks: NDArray[np.floating], size: int) -> tuple[Floats, Floats]:
    """Return x and y, (size, size) each: where places of the mean face are in a face.

    Parameters
    ----------
    landmarks
        (68, 2) of the face, in pixels of the 128-pixel crop.
    size
        Side of the mean face's picture; it shows what the crop shows.

    Returns
    -------
    Coordinates in pixels of the crop.

    Examples
    --------
    >>> x, y = to_face(template() + 3, 64)
    >>> x[32, 32:34].round(2).tolist()
    [67.5, 69.5]
    """
    return _resized(_field(template(), landmarks), size)


def frame_place(landmarks: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return x and y, (128, 128) each: where pixels of a face's crop are in the mean face."""
    return _resized(_field(landmarks, template()), SIZE)


def from_frame(pictures: Floats, place: tuple[Floats, Floats]) -> Floats:
    """Bring pictures from the mean face's frame to a face.

    Parameters
    ----------
    pictures
        (h, h, C) float32 in the frame.
    place
        Where the face's pixels are in it, from :func:`frame_place`.

    Returns
    -------
    (128, 128, C) in the frame of the face's own crop.
    """
    scale = pictures.shape[0] / SIZE
    u, v = (np.float32((c + 0.5) * scale - 0.5) for c in place)
    if pictures.shape[0] > SIZE:
        pictures = cv2.GaussianBlur(pictures, (0, 0), 0.4 * scale)
    out = cv2.remap(pictures, u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float32).reshape(SIZE, SIZE, -1)
