"""Whether something lies before a mouth: a hand, a microphone, food.

A face model that has learned faces makes lips where the photo shows a hand. How far the photo is
from the model's picture around the mouth, beside how far it is elsewhere in the same face, tells
covered mouths from others: logistic regression on nine such numbers, fitted to mouths that were
marked by eye (``benchmarks/covered_mouths.py``).
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import SIZE
from faceflex.faces.landmark_groups import INNER_LIPS, MOUTH
from faceflex.faces.region import LUMA

SURE: Final = 0.0
"""Log odds from which a mouth is surely covered, and gets a warning."""

UNSURE: Final = -1.0
"""Log odds from which it may be covered."""

WARNING: Final = (
    "something seems to lie before its mouth: a smile that is given stays small; leave this face"
    " out if it looks wrong"
)

_MEAN = np.array([-4.377, -4.322, -3.659, -3.662, -3.547, -2.869, -1.808, -3.4, -4.403])
_DEVIATION = np.array([0.184, 0.162, 0.283, 0.252, 0.261, 0.322, 0.242, 0.232, 0.325])
_WEIGHTS = np.array([0.615, -0.371, 0.683, -0.332, 0.559, 0.571, -1.126, 0.685, 0.626, -6.561])

_SOFT, _FINE, _COARSE = 1.5, 1.2, 7.0  # Sigmas: what is compared, and the band that shows edges.
_AROUND, _SPOT = 15, 7  # Sides of the ellipse that mouths grow by, and of the square of a spot.

Floats = NDArray[np.float64]


def covered_features(
    crop: NDArray[np.uint8], decoded: NDArray[np.float32], landmarks: NDArray[np.floating]
) -> Floats:
    """Return what a covered mouth is told by, (9,).

    Parameters
    ----------
    crop
        (128, 128, 3) uint8, the aligned face.
    decoded
        (128, 128, 3) float32 in [0, 1], the face model's picture of it.
    landmarks
        (68, 2) in pixels of the crop.

    Returns
    -------
    Logarithms of: the differences in brightness around the mouth and in the rest of the face; those
    in color; the largest differences of a spot, in brightness and in color; the contrast of the
    face; how little the edges around the mouth agree; and how much they differ between the lips.
    """
    seen, made = np.float32(crop) / 255, np.float32(decoded)
    mouth, inside = _hull(landmarks[MOUTH]), _hull(landmarks[INNER_LIPS])
    face = _hull(landmarks[:27])
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_AROUND, _AROUND))
    near = (cv2.dilate(mouth, ellipse) > 0) & (cv2.dilate(face, np.ones((5, 5), np.uint8)) > 0)
    rest = (face > 0) & (cv2.dilate(mouth, np.ones((_AROUND, _AROUND), np.uint8)) == 0)
    lips = near & (inside == 0)
    if not lips.any() or not rest.any():
        return np.full(9, np.nan)
    soft = cv2.GaussianBlur(seen, (0, 0), _SOFT)
    apart = soft - cv2.GaussianBlur(made, (0, 0), _SOFT)
    luma = apart @ LUMA
    color = np.abs(apart - luma[..., None]).sum(axis=2)
    luma = np.abs(luma)
    spots, color_spots = (cv2.boxFilter(a, -1, (_SPOT, _SPOT)) for a in (luma, color))
    edges, made_edges = (
        (cv2.GaussianBlur(p, (0, 0), _FINE) - cv2.GaussianBlur(p, (0, 0), _COARSE)) @ LUMA
        for p in (seen, made)
    )
    first, second = edges[near] - edges[near].mean(), made_edges[near] - made_edges[near].mean()
    agree = float(first @ second) / max(float(np.sqrt((first @ first) * (second @ second))), 1e-9)
    between = float(np.abs(edges - made_edges)[inside > 0].mean()) if inside.any() else 0.0
    return np.log(
        [
            float(luma[lips].mean()) + 0.005,
            float(luma[rest].mean()) + 0.005,
            float(color[lips].mean()) + 0.005,
            float(color[rest].mean()) + 0.005,
            float(spots[lips].max()) + 0.01,
            float(color_spots[lips].max()) + 0.01,
            float((soft @ LUMA)[face > 0].std()) + 0.03,
            1.02 - agree,
            between + 0.003,
        ]
    )


def covered_score(
    crop: NDArray[np.uint8], decoded: NDArray[np.float32], landmarks: NDArray[np.floating]
) -> float:
    """Return the log odds that a mouth is covered.

    Parameters
    ----------
    crop, decoded, landmarks
        As for :func:`covered_features`.

    Returns
    -------
    Minus infinity where the mouth lies outside the face.
    """
    features = covered_features(crop, decoded, landmarks)
    if not np.isfinite(features).all():
        return -np.inf
    return float((features - _MEAN) / _DEVIATION @ _WEIGHTS[:-1] + _WEIGHTS[-1])


def covered_share(score: float) -> float:
    """Return how much of a smile is left out for a score: 0 for mouths in view, 1 for hidden ones.

    Examples
    --------
    >>> covered_share(UNSURE), covered_share(SURE), covered_share(-np.inf)
    (0.0, 1.0, 0.0)
    """
    return float(np.clip((score - UNSURE) / (SURE - UNSURE), 0, 1))


def _hull(points: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return (128, 128): 1 inside of the points' hull."""
    filled = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(np.int32(np.round(points))), 1)
    return filled
