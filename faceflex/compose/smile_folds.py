"""The folds of a smile, made shallower as it goes.

Pixels that move back take the folds of a laugh along: beside a mouth at rest they look like a
grimace. Where smiles have folds, what is neither pore nor tone is made weaker, by about as much as
it is in neutral photos of the same people (39 pairs of the London Set and of FEI): beside the
mouth it loses more than half, on the cheeks and below the eyes two fifths.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content_window import SCALE, to_window, window_coordinates
from faceflex.faces.landmark_groups import LEFT_EYE, RIGHT_EYE
from faceflex.faces.region import LUMA

# What of folds is taken away when all of a smile is: nasolabial folds and those beside the mouth,
# cheeks, lower lids.
_FOLD, _CHEEK, _LID = 0.65, 0.3, 0.3
_FINEST, _MIDDLE, _COARSEST = 0.7, 4.0, 9.0  # Standard deviations, pixels of the crop.
_COARSE = 0.5  # Of the coarser half, which holds tone as well, so much less is taken.
_DEEP = 1.1  # Log brightness: what is darker or brighter is no fold but glasses, hair, a beard.
_DARK = 8.0  # Of 255: noise in what is darker is no fold either.

Floats = NDArray[np.float32]


def soften_folds(
    picture: Floats, landmarks: Floats, share: float, smiling: Floats | None = None
) -> Floats:
    """Make the folds of a smile weaker.

    Parameters
    ----------
    picture
        (128, 160, 3) the window, in 0 to 255.
    landmarks
        (68, 2) where they are there, in pixels of the crop.
    share
        Of the smile, 0 to 1, that has been taken away.
    smiling
        (68, 2) where the landmarks were: creases stay where corners of the mouth were.

    Returns
    -------
    (128, 160, 3).
    """
    if share <= 0:
        return picture
    known = _skin(landmarks)
    depth = np.log(np.maximum(picture, 0) + np.float32(_DARK))
    fine, middle, coarse = (_blur(depth, known, s) for s in (_FINEST, _MIDDLE, _COARSEST))
    folds = fine - middle + np.float32(_COARSE) * (middle - coarse)
    # One share for all colors: folds are redder than the skin beside them.
    depth = np.abs(folds @ LUMA)[:, :, None]
    folds /= 1 + (depth / np.float32(_DEEP)) ** 4
    weight = np.float32(min(share, 1.0)) * fold_weight(landmarks, smiling) * known
    return np.asarray(picture * np.exp(-weight[:, :, None] * folds), np.float32)


def fold_weight(landmarks: Floats, smiling: Floats | None = None) -> Floats:
    """Return (128, 160): which share of the folds there comes and goes with a smile."""
    x, y = window_coordinates()
    weight = np.zeros_like(x)
    middle = float(landmarks[33, 0])
    for wing, corner, eye in ((31, 48, RIGHT_EYE), (35, 54, LEFT_EYE)):
        out = np.array([np.sign(landmarks[corner, 0] - middle), 0], np.float32)
        top, end, lid = landmarks[wing], landmarks[corner], landmarks[eye]
        # From above the wing of the nose around the cheek to beside the mouth: folds that were
        # those of a laugh lie well outside of a corner that has come back.
        way = [
            top + 6 * out - (0, 8),
            top + 7 * out - (0, 1),
            (top + end) / 2 + 8 * out,
            end + 6 * out,
            end + 4 * out + (0, 7),
        ]
        below = lid[np.argsort(lid[:, 1])[-2:]].mean(axis=0) + (0, 4)
        cheek = (below + (top + end) / 2) / 2 + 4 * out
        parts: tuple[tuple[float, Floats, float], ...] = (
            (_FOLD, np.array(way, np.float32), 6.5),
            (_CHEEK, np.array([cheek, cheek + 6 * out], np.float32), 7.0),
            (_LID, np.array([below - 4 * out, below + 5 * out], np.float32), 3.5),
        )
        if smiling is not None:
            parts = (*parts, (_FOLD, np.array([end, smiling[corner] + 2 * out], np.float32), 4.0))
        for most, line, reach in parts:
            near = np.exp(-(((_distance(x, y, line) / reach) ** 2) ** 2) / 2)
            weight = np.maximum(weight, np.float32(most) * near)
    return cv2.GaussianBlur(weight, (0, 0), 1.5 * SCALE)


def _distance(x: Floats, y: Floats, line: Floats) -> Floats:
    """Return (h, w): how far each place is from a polyline (n, 2)."""
    nearest = np.full(x.shape, np.inf, np.float32)
    for k in range(len(line) - 1):
        (ax, ay), (bx, by) = line[k], line[k + 1]
        dx, dy = bx - ax, by - ay
        t = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - t * dx, y - ay - t * dy))
    return nearest


def _skin(landmarks: Floats) -> Floats:
    """Return (128, 160): 0 on lips, nostrils, eyes and outside of the jaw; 1 elsewhere."""
    shape = window_coordinates()[0].shape
    skin = np.zeros(shape, np.uint8)

    def fill(points: Floats, value: int, grow: float = 0.0) -> None:
        at = np.stack(to_window(points[:, 0], points[:, 1]), axis=1)
        hull = cv2.convexHull(np.int32(np.round(at)))
        part = np.zeros(shape, np.uint8)
        cv2.fillConvexPoly(part, hull, 1)
        if grow:
            size = 2 * round(grow * SCALE) + 1
            part = cv2.dilate(part, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
        skin[part > 0] = value

    fill(landmarks[:27], 1)
    skin = cv2.erode(skin, np.ones((7, 7), np.uint8), borderValue=1)
    lips = [*range(49, 54), *range(55, 60), 60, 64]  # Not their corners, where folds begin.
    for points, grow in (
        (landmarks[lips], 0.8),
        (landmarks[30:36], 0.8),
        (landmarks[RIGHT_EYE], 1.5),
        (landmarks[LEFT_EYE], 1.5),
    ):
        fill(points, 0, grow)
    return np.float32(skin)


def _blur(picture: Floats, known: Floats, sigma: float) -> Floats:
    """Blur (h, w, 3) by a standard deviation in pixels of the crop, over what is known."""
    width = sigma * SCALE
    total = cv2.GaussianBlur(picture * known[:, :, None], (0, 0), width)
    share = cv2.GaussianBlur(known, (0, 0), width)[:, :, None]
    return np.where(share > 0.02, total / np.maximum(share, 0.02), picture).astype(np.float32)
