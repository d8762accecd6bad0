"""Contact sheets of sweeps, and photos with their faces drawn."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces import Face
from faceflex.photo.grid import captioned_grid, thumbnail

CELL = 256
"""Long side of a contact sheet's pictures in pixels."""


def window(shape: tuple[int, ...], faces: Sequence[Face]) -> tuple[slice, slice]:
    """Return the rows and columns of a photo that show ``faces`` with room around them."""
    height, width = shape[:2]
    boxes = np.array([f.box for f in faces])
    room = 0.45 * (boxes[:, 2] - boxes[:, 0]).max()
    left, top = boxes[:, 0].min() - room, boxes[:, 1].min() - room
    right, bottom = boxes[:, 2].max() + room, boxes[:, 3].max() + room
    return (
        slice(max(0, int(top)), min(height, int(bottom))),
        slice(max(0, int(left)), min(width, int(right))),
    )


class ContactSheet:
    """A table of small pictures with captions: the original first, a row a sample.

    Parameters
    ----------
    original
        (h, w, 3) uint8; every row starts with it.
    """

    def __init__(self, original: NDArray[np.uint8]) -> None:
        self._original = thumbnail(original, CELL)
        self._rows: dict[str, list[tuple[str, NDArray[np.uint8]]]] = {}

    def add(self, row: str, caption: str, picture: NDArray[np.uint8]) -> None:
        """Add a picture to the end of the row called ``row``."""
        cells = self._rows.setdefault(row, [(f"original  {row}".rstrip(), self._original)])
        cells.append((caption, thumbnail(picture, CELL)))

    def draw(self) -> NDArray[np.uint8]:
        """Return the sheet, (H, W, 3) uint8."""
        return captioned_grid(list(self._rows.values()) or [[("original", self._original)]])


def draw_faces(rgb: NDArray[np.uint8], faces: Sequence[Face]) -> NDArray[np.uint8]:
    """Return a copy of a photo with boxes, numbers and the 68 points of its faces drawn."""
    picture = rgb.copy()
    for face in faces:
        stroke = max(1, round(face.width / 150))
        left, top, right, bottom = face.box
        cv2.rectangle(picture, (left, top), (right, bottom), (255, 200, 0), stroke)
        for x, y in face.points:
            place = (round(float(x) * 16), round(float(y) * 16))
            radius = round(max(1.0, face.width / 130) * 16)
            cv2.circle(picture, place, radius, (0, 230, 90), -1, cv2.LINE_AA, 4)
        size = max(0.4, face.width / 200)
        place = (left + 2 * stroke, top + round(24 * size))
        for colour, width in (((0, 0, 0), 3 * stroke), ((255, 200, 0), stroke)):
            text = str(face.index)
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, width)
    return picture
