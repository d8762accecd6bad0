"""Masks of a face from its landmarks: the convex hull, raised over the brows and softened."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BROW_LIFT = 0.17
"""How far the hull rises over the brows, as a share of the landmarks' box (Face Flex's value)."""


def face_outline(points: NDArray[np.floating], raise_brows: bool = True) -> NDArray[np.float32]:
    """Return the convex hull of 68 landmarks, (n, 2) float32.

    Parameters
    ----------
    points
        (68, 2) landmarks, in any upright or tilted frame.
    raise_brows
        Lift the brows' points along the face's own vertical, so that the forehead's lower part
        belongs to the face.
    """
    pts = np.asarray(points, dtype=np.float32).copy()
    if raise_brows:
        # The face's own "up": at right angles to the line through the eyes' centres.
        across = pts[42:48].mean(axis=0) - pts[36:42].mean(axis=0)
        length = float(np.hypot(*across))
        unit = across / length if length > 1e-6 else np.array([1.0, 0.0], np.float32)
        up = np.array([unit[1], -unit[0]], np.float32)
        along = np.stack([pts @ unit, pts @ up], axis=1)
        side = float((along.max(axis=0) - along.min(axis=0)).max())
        pts[17:27] += BROW_LIFT * side * up
    hull: NDArray[np.float32] = cv2.convexHull(pts).reshape(-1, 2)
    return hull


def fill_hull(
    points: NDArray[np.floating], side: int, *, raise_brows: bool = False, grow: int = 0
) -> NDArray[np.bool_]:
    """Rasterise the convex hull of points into a square.

    Parameters
    ----------
    points
        (N, 2) points in pixels of the square; 68 of them when ``raise_brows``.
    side
        Side of the square in pixels.
    raise_brows
        As in :func:`face_outline`.
    grow
        Pixels to grow the hull by.

    Returns
    -------
    (side, side) bool.
    """
    hull = face_outline(points, True) if raise_brows else cv2.convexHull(np.float32(points))
    mask = np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32).reshape(-1, 1, 2), 1)
    if grow:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
        mask = cv2.dilate(mask, disc)
    return mask.astype(bool)
