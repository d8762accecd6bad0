"""Masks of a face: the convex hull of its landmarks, extended over the forehead."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.landmark_groups import BROWS, LEFT_EYE, RIGHT_EYE

BROW_LIFT = 0.17
"""Extension above the brows, as a fraction of the landmarks' bounding box (Face Flex's value)."""


def face_outline(points: NDArray[np.floating], raise_brows: bool = True) -> NDArray[np.float32]:
    """Return the convex hull of 68 landmarks, (n, 2) float32.

    Parameters
    ----------
    points
        (68, 2) landmarks, in any frame; the face may be tilted.
    raise_brows
        Move the brows' landmarks up along the face's vertical axis, so that the hull covers the
        lower forehead.
    """
    pts = np.asarray(points, dtype=np.float32).copy()
    if raise_brows:
        # The vertical axis: perpendicular to the line through the eyes' centres.
        eye_axis = pts[LEFT_EYE].mean(axis=0) - pts[RIGHT_EYE].mean(axis=0)
        length = float(np.hypot(*eye_axis))
        unit = eye_axis / length if length > 1e-6 else np.array([1.0, 0.0], np.float32)
        up = np.array([unit[1], -unit[0]], np.float32)
        upright = np.stack([pts @ unit, pts @ up], axis=1)
        side = float((upright.max(axis=0) - upright.min(axis=0)).max())
        pts[BROWS] += BROW_LIFT * side * up
    hull: NDArray[np.float32] = cv2.convexHull(pts).reshape(-1, 2)
    return hull


def fill_hull(
    points: NDArray[np.floating], side: int, *, raise_brows: bool = False, grow: int = 0
) -> NDArray[np.bool_]:
    """Rasterise the convex hull of points into a square mask.

    Parameters
    ----------
    points
        (N, 2) points in pixels of the square; 68 of them when ``raise_brows``.
    side
        Side of the square in pixels.
    raise_brows
        As in :func:`face_outline`.
    grow
        Radius in pixels to dilate the hull by.

    Returns
    -------
    (side, side) bool.

    Examples
    --------
    >>> square = np.array([[10, 10], [20, 10], [20, 20], [10, 20]])
    >>> int(fill_hull(square, 64).sum())
    121
    """
    hull = face_outline(points, True) if raise_brows else cv2.convexHull(np.float32(points))
    mask = np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32).reshape(-1, 1, 2), 1)
    if grow:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
        mask = cv2.dilate(mask, kernel)
    return mask.astype(bool)
