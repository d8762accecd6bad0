"""The part of a photo that one face's edit touches, and the way between it and the crop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import invert, scale_of, transform_points
from faceflex.faces.mask import face_outline

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""How bright red, green and blue are (ITU-R BT.601)."""

_SAMPLING = 0.4  # Pixels of the crop from one sample to the next, where the face is large.

SOFTNESS = 0.035
"""Width of the mask's soft edge, as a share of the hull's larger side."""


@dataclass(frozen=True)
class Region:
    """A rectangle of the photo around one face.

    Attributes
    ----------
    left, top, right, bottom
        The rectangle, inside the photo.
    mask
        (h, w) float32: 1 inside the face, 0 at and outside the hull, soft in between.
    matrix
        (2, 3) similarity, region pixels to crop pixels.
    """

    left: int
    top: int
    right: int
    bottom: int
    mask: NDArray[np.float32]
    matrix: NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.right - self.left, self.bottom - self.top

    @property
    def scale(self) -> float:
        """Crop pixels per pixel of the photo."""
        return scale_of(self.matrix)

    def coordinates(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return x and y, (h, w) float32 each, of the region's pixels in pixels of the crop."""
        width, height = self.size
        across, down = np.arange(width), np.arange(height)[:, None]
        x, y = (row[0] * across + row[1] * down + row[2] for row in self.matrix)
        return x.astype(np.float32), y.astype(np.float32)

    def cut(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the region of a photo (a view)."""
        return picture[self.top : self.bottom, self.left : self.right]

    @property
    def step(self) -> int:
        """Pixels of the photo from one sample to the next that what is smooth in the crop needs."""
        return max(1, int(_SAMPLING / self.scale))

    @cached_property
    def coarse(self) -> Region:
        """The region with about ``step`` times fewer rows and columns; its mask is not resized."""
        width, height = self.size
        size = (-(-width // self.step), -(-height // self.step))
        matrix = self.matrix.copy()
        for axis, factor in enumerate((width / size[0], height / size[1])):
            matrix[:, 2] += self.matrix[:, axis] * (factor - 1) / 2
            matrix[:, axis] *= factor
        return Region(0, 0, *size, self.mask, matrix)

    def part(self, rows: slice, columns: slice) -> Region:
        """Return the region that these rows and columns of it make."""
        matrix = self.matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ [columns.start, rows.start]
        left, top = self.left + columns.start, self.top + rows.start
        right, bottom = self.left + columns.stop, self.top + rows.stop
        return Region(left, top, right, bottom, self.mask[rows, columns], matrix)

    def enlarge(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what was made for :attr:`coarse` at the region's own size."""
        if picture.shape[1::-1] == self.size:
            return picture
        return cv2.resize(picture, self.size, interpolation=cv2.INTER_CUBIC)

    def from_crop(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample a (128, 128, C) float32 crop into the region, (h, w, C).

        A crop that must shrink is blurred first, as much as the shrinking asks for. One that must
        grow much is turned at a lower resolution first, which is quicker by far.
        """
        scale = self.scale
        if scale > 1.5:
            crop = cv2.GaussianBlur(crop, (0, 0), 0.4 * scale)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REFLECT_101
        to = self.coarse if self.step > 1 else self
        return self.enlarge(
            cv2.warpAffine(crop, to.matrix, to.size, flags=flags, borderMode=border)
        )


def make_region(
    shape: tuple[int, ...], points: NDArray[np.floating], matrix: NDArray[np.floating]
) -> Region | None:
    """Lay out the region of a face.

    Parameters
    ----------
    shape
        Height and width of the photo, then anything.
    points
        (68, 2) landmarks in pixels of the photo.
    matrix
        (2, 3) similarity, photo pixels to crop pixels.

    Returns
    -------
    The region; None when the face lies outside the photo.
    """
    height, width = shape[:2]
    # The decoder knows nothing beyond its crop: what the hull has there is left alone.
    corners = transform_points(
        invert(matrix), np.array([[1, 1], [126, 1], [126, 126], [1, 126]], np.float32)
    )
    _, hull = cv2.intersectConvexConvex(face_outline(points), corners)
    if hull is None or len(hull) < 3:
        return None
    hull = hull.reshape(-1, 2)
    low = np.floor(hull.min(axis=0)).astype(int) - 2
    high = np.ceil(hull.max(axis=0)).astype(int) + 3
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(width, int(high[0])), min(height, int(high[1]))
    if right - left < 4 or bottom - top < 4:
        return None
    # The mask is drawn on the whole hull, also what is outside the photo, and then cut: at the
    # photo's border it stays full, where there is no seam to hide.
    whole = np.zeros((int(high[1] - low[1]), int(high[0] - low[0])), np.uint8)
    shift = 4  # Sub-pixel bits of OpenCV's drawing.
    corners_int = np.round((hull - low) * (1 << shift)).astype(np.int32)
    cv2.fillConvexPoly(whole, corners_int, 255, cv2.LINE_8, shift)
    x, y = left - int(low[0]), top - int(low[1])
    soft = _soften(whole, SOFTNESS * max(whole.shape))
    mask = soft[y : y + bottom - top, x : x + right - left]
    moved = np.array(matrix, np.float64)
    moved[:, 2] += moved[:, :2] @ np.array([left, top], np.float64)
    return Region(left, top, right, bottom, np.ascontiguousarray(mask), moved)


def _soften(mask: NDArray[np.uint8], width: float) -> NDArray[np.float32]:
    """Turn a 0/255 mask into a smooth rise from its edge inwards over ``width`` pixels."""
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inward = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    rise = np.clip((inward - 1) / max(width, 1.0), 0, 1)
    smooth: NDArray[np.float32] = (rise * rise * (3 - 2 * rise)).astype(np.float32)
    return smooth
