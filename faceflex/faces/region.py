"""The region of interest of one face in a photo, and its mapping to the aligned crop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import invert, scale_of, transform_points
from faceflex.faces.mask import face_outline
from faceflex.faces.smoothstep import smoothstep

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in luma (ITU-R BT.601)."""

_COARSE_SPACING = 0.4  # Pixels of the crop between samples of a large region's coarse grid.
_CLIP_SPACING = 1.0  # The same for the frames of clips: fields have a node every 2 pixels.
_REMEMBERED = 1_000_000  # Pixels of a region up to which its coordinates are kept.

FEATHER = 0.035
"""Width of the mask's feathered edge, as a fraction of the hull's larger side."""


@dataclass(frozen=True)
class Region:
    """Region of interest: a rectangle of the photo around one face, and its mask.

    Attributes
    ----------
    left, top, right, bottom
        The rectangle, inside the photo.
    mask
        (h, w) float32 in [0, 1]: 0 outside the hull, rising to 1 inside over its feathered edge.
    matrix
        (2, 3) similarity, region pixels to crop pixels.
    spacing
        Pixels of the crop between samples that suffice for a field smooth in the crop; by default
        as photos need them.
    """

    left: int
    top: int
    right: int
    bottom: int
    mask: NDArray[np.float32]
    matrix: NDArray[np.float64]
    spacing: float | None = None

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
        return self._places if self.mask.size <= _REMEMBERED else self._find_places()

    @cached_property
    def _places(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        places = self._find_places()
        for array in places:
            array.setflags(write=False)
        return places

    def _find_places(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        width, height = self.size
        across, down = np.arange(width), np.arange(height)[:, None]
        x, y = (row[0] * across + row[1] * down + row[2] for row in self.matrix)
        return x.astype(np.float32), y.astype(np.float32)

    def crop(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the region of a photo, as a view."""
        return picture[self.top : self.bottom, self.left : self.right]

    @property
    def stride(self) -> int:
        """Pixels of the photo between samples that suffice for a field smooth in the crop."""
        spacing = _COARSE_SPACING if self.spacing is None else self.spacing
        return max(1, int(spacing / self.scale))

    @cached_property
    def coarse(self) -> Region:
        """The region subsampled by about ``stride``; its mask keeps its size."""
        width, height = self.size
        size = (-(-width // self.stride), -(-height // self.stride))
        matrix = self.matrix.copy()
        for axis, factor in enumerate((width / size[0], height / size[1])):
            matrix[:, 2] += self.matrix[:, axis] * (factor - 1) / 2
            matrix[:, axis] *= factor
        return Region(0, 0, *size, self.mask, matrix, self.spacing)

    def for_clips(self) -> Region:
        """Return the region as frames of clips need it: smooth fields are sampled more coarsely."""
        return replace(self, spacing=_CLIP_SPACING)

    def subregion(self, rows: slice, columns: slice) -> Region:
        """Return the part of the region with these rows and columns."""
        matrix = self.matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ [columns.start, rows.start]
        left, top = self.left + columns.start, self.top + rows.start
        right, bottom = self.left + columns.stop, self.top + rows.stop
        return Region(left, top, right, bottom, self.mask[rows, columns], matrix, self.spacing)

    def upsample(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Upsample an image of :attr:`coarse` to the region's size (bicubic)."""
        if picture.shape[1::-1] == self.size:
            return picture
        return cv2.resize(picture, self.size, interpolation=cv2.INTER_CUBIC)

    def from_crop(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample a (128, 128, C) float32 crop into the region, (h, w, C).

        Downscaling blurs the crop first, against aliasing. Much upscaling warps to :attr:`coarse`
        and then resizes, which is far quicker than one warp.
        """
        scale = self.scale
        if scale > 1.5:
            crop = cv2.GaussianBlur(crop, (0, 0), 0.4 * scale)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REFLECT_101
        target = self.coarse if self.stride > 1 else self
        return self.upsample(
            cv2.warpAffine(crop, target.matrix, target.size, flags=flags, borderMode=border)
        )


def make_region(
    shape: tuple[int, ...], points: NDArray[np.floating], matrix: NDArray[np.floating]
) -> Region | None:
    """Return the region of a face.

    Parameters
    ----------
    shape
        Shape of the photo, (H, W, ...).
    points
        (68, 2) landmarks in pixels of the photo.
    matrix
        (2, 3) similarity, photo pixels to crop pixels.

    Returns
    -------
    The region; None when the face lies outside the photo.
    """
    height, width = shape[:2]
    # Nothing is decoded outside the crop: the hull is clipped to it.
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
    # The mask is drawn beyond the photo and then cropped: at the photo's border, where there is no
    # seam to hide, it is not feathered.
    full = np.zeros((int(high[1] - low[1]), int(high[0] - low[0])), np.uint8)
    shift = 4  # Sub-pixel bits of OpenCV's drawing.
    vertices = np.round((hull - low) * (1 << shift)).astype(np.int32)
    cv2.fillConvexPoly(full, vertices, 255, cv2.LINE_8, shift)
    x, y = left - int(low[0]), top - int(low[1])
    feathered = _feather(full, FEATHER * max(full.shape))
    mask = feathered[y : y + bottom - top, x : x + right - left]
    to_crop = np.array(matrix, np.float64)
    to_crop[:, 2] += to_crop[:, :2] @ np.array([left, top], np.float64)
    return Region(left, top, right, bottom, np.ascontiguousarray(mask), to_crop)


def _feather(mask: NDArray[np.uint8], width: float) -> NDArray[np.float32]:
    """Feather a 0/255 mask: a smoothstep of the distance to its edge, over ``width`` pixels."""
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return smoothstep((distance - 1) / max(width, 1.0)).astype(np.float32)
