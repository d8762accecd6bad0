"""Borders of the red of the lips: where they meet the skin, refined from landmarks by color.

Landmarks lie up to four pixels of the crop beside the border of lips that smile, mostly in the
skin below the lower lip. Where a closing mouth must show lips as thick as this person's, that is
too far. Each border is the smooth path near the landmarks along which the color turns most from
that of the lips to that of the skin around (linear discriminant; dynamic programming as in
:mod:`.lips`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import estimate_similarity, transform_points
from faceflex.faces.lips import (
    SAMPLES,
    Lips,
    cut_mouth,
    lips_from_landmarks,
    sample_colors,
    shortest_path,
    to_mouth,
)

_UPPER, _LOWER = (48, 49, 50, 51, 52, 53, 54), (48, 59, 58, 57, 56, 55, 54)
_OUT, _IN, _STEP = 1.5, 5.0, 0.25  # Pixels of the crop around the landmarks that are searched.
_ON_LIPS = (0.35, 0.5, 0.65)  # Where colors of lips are taken, from the inner edge to landmarks,
_ON_SKIN = (2.5, 3.5, 4.5)  # and those of the skin, in pixels of the crop beyond landmarks.
_SPREAD = (16.0, 4.0, 4.0)  # Variance of CIE Lab that is nothing but light and noise.
_CLEAR = 4.0  # Squared distance of both colors at which the border is surely seen.
_RISE_GAIN, _CLIP = 8.0, 0.7
_THINNEST, _THIN_COST = 0.8, 0.3  # Pixels of the crop; lips are seldom thinner.
_LEAST = 0.4
_ENDS = 8  # Columns over which a border passes into the landmarks of the corners.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Vermilion:
    """Borders of the red of the lips, sampled at 65 columns from corner to corner of the mouth.

    Attributes
    ----------
    x
        (65,) in pixels of the crop.
    upper, lower
        (65,) y of the upper lip's upper and of the lower lip's lower border.
    thick
        Thickness (65,) of the upper and of the lower lip there.
    """

    x: Floats
    upper: Floats
    lower: Floats
    thick: tuple[Floats, Floats]


def vermilion_from_landmarks(landmarks: NDArray[np.floating]) -> Vermilion:
    """Return the borders through (68, 2) landmarks, in pixels of the crop.

    Examples
    --------
    >>> from faceflex.faces.align import template
    >>> border = vermilion_from_landmarks(template())
    >>> bool((border.upper[20:-20] < border.lower[20:-20]).all())
    True
    """
    left, right = float(landmarks[48, 0]), float(landmarks[54, 0])
    x = np.linspace(left, max(right, left + 1), SAMPLES, dtype=np.float32)
    curves = []
    for group in (_UPPER, _LOWER):
        points = np.asarray(landmarks[list(group)], np.float64)
        across = np.maximum.accumulate(points[:, 0] + 1e-3 * np.arange(len(points)))
        y = np.float32(np.interp(x, across, points[:, 1]))
        padded = np.pad(y, 8, mode="reflect", reflect_type="odd")
        curves.append(cv2.GaussianBlur(padded[None], (0, 0), 2.0)[0, 8:-8])
    return _with_thickness(x, curves[0], curves[1], lips_from_landmarks(landmarks))


def find_vermilion(image: NDArray[np.uint8], points: NDArray[np.floating], lips: Lips) -> Vermilion:
    """Find the borders of a face's lips in a photo.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB photo.
    points
        (68, 2) landmarks in its pixels.
    lips
        The inner lips there, in pixels of the aligned 128-pixel crop.

    Returns
    -------
    The borders, in pixels of the crop; near the landmarks where lips are like skin.
    """
    matrix = estimate_similarity(points)
    initial = vermilion_from_landmarks(transform_points(matrix, points))
    soft = cv2.GaussianBlur(cut_mouth(image, matrix), (0, 0), 2.5)
    lab = cv2.cvtColor(soft.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    edges = (np.interp(initial.x, lips.x, e) for e in (lips.upper, lips.lower))
    upper, lower = (
        _refine(lab, initial.x, np.float32(edge), border, sign)
        for edge, border, sign in zip(edges, (initial.upper, initial.lower), (-1, 1), strict=True)
    )
    return _with_thickness(initial.x, upper, lower, lips)


def _with_thickness(x: Floats, upper: Floats, lower: Floats, lips: Lips) -> Vermilion:
    high, low = (np.interp(x, lips.x, edge) for edge in (lips.upper, lips.lower))
    thick = (np.maximum(high - upper, 0), np.maximum(lower - low, 0))
    return Vermilion(x, upper, lower, (np.float32(thick[0]), np.float32(thick[1])))


def _refine(lab: Floats, x: Floats, edge: Floats, border: Floats, sign: int) -> Floats:
    """Return the border (65,) of one lip.

    Parameters
    ----------
    lab
        (256, 256, 3) the mouth in CIE Lab.
    x
        (65,) in pixels of the crop.
    edge, border
        (65,) y of the inner edge, and of the border as landmarks have it.
    sign
        -1 for the upper lip, 1 for the lower one.
    """
    middle = slice(SAMPLES // 6, -SAMPLES // 6)

    def colors(heights: list[Floats]) -> Floats:
        return np.concatenate([sample_colors(lab, x[middle], y[middle]) for y in heights])

    on_lip = colors([edge + t * (border - edge) for t in _ON_LIPS])
    lip = np.median(on_lip, axis=0)
    way = np.median(colors([border + sign * t for t in _ON_SKIN]), axis=0) - lip
    axis = np.linalg.solve(np.cov((on_lip - lip).T) + np.diag(_SPREAD), way)
    apart = float(axis @ way)
    turned = np.float32((lab - (lip + way / 2)) @ axis / max(apart, 1e-3))
    offsets = np.arange(-_IN, _OUT + _STEP / 2, _STEP, dtype=np.float32)
    places = border[:, None] + sign * offsets
    at = to_mouth(np.repeat(x[:, None], len(offsets), 1), places)
    seen = cv2.remap(turned, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.GaussianBlur(np.clip(seen, -_CLIP, _CLIP), (0, 0), 1.0, sigmaY=1.5)
    cost = -_RISE_GAIN * min(1.0, apart / _CLEAR) * np.maximum(np.gradient(seen, _STEP, axis=1), 0)
    thick = sign * (places - edge[:, None])
    cost += _THIN_COST * np.square(np.maximum(_THINNEST - thick, 0))
    path = shortest_path(np.float32(cost), sign * offsets, border)
    ends = np.minimum(1, np.minimum(np.arange(SAMPLES), np.arange(SAMPLES)[::-1]) / _ENDS)
    y = border + ends * (path - border)
    return np.float32(edge + sign * np.maximum(sign * (y - edge), _LEAST * ends))
