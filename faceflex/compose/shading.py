"""Folds of an expression as light: a face's fine shading, brought to the template's shape and back.

What the same expression does to the light on many faces, in one shape, is its ratio image (Liu,
Shan and Zhang, "Expressive expression mapping with ratio images", SIGGRAPH 2001).
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.warp import GRID, backward_field
from faceflex.faces.align import SIZE, template
from faceflex.faces.landmark_groups import LEFT_EYE, MOUTH, RIGHT_EYE
from faceflex.faces.mask import fill_hull
from faceflex.faces.region import LUMA

_COARSE = 12.0  # Pixels of the crop: what is smoother is the photo's light.
_MOST = 0.8  # Of a logarithm: more are things, such as glasses.
_DARKEST = 0.05  # Brightness below which nothing is told apart.
_EDGE, _FADE = (
    9,
    3.0,
)  # Pixels of the crop at a face's edge where nothing is known, and its softness.
_ROOM = {"brows": 2, "eyes": 3, "mouth": 4}
"""Pixels of the crop around what moves, where nothing is known either."""

Floats = NDArray[np.float32]


@cache
def shading_weight() -> Floats:
    """Return (64, 64): where a face's shading is that of its folds, 0 to 1 (read-only)."""
    points = template()
    inside = fill_hull(points, SIZE, raise_brows=True).astype(np.uint8)
    weight = (cv2.distanceTransform(inside, cv2.DIST_L2, 5) > _EDGE).astype(np.float32)
    groups = (slice(17, 22), slice(22, 27), RIGHT_EYE, LEFT_EYE, MOUTH)
    names = ("brows", "brows", "eyes", "eyes", "mouth")
    for group, name in zip(groups, names, strict=True):
        weight[fill_hull(points[group], SIZE, grow=_ROOM[name])] = 0
    soft = cv2.GaussianBlur(weight, (0, 0), _FADE)
    soft = cv2.resize(np.float32(soft * soft), (GRID, GRID), interpolation=cv2.INTER_AREA)
    soft = (soft + soft[:, ::-1]) / 2
    soft.setflags(write=False)
    return soft


def face_shading(crop: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> Floats:
    """Return the fine shading (64, 64) of a face, as logarithms, in the template's shape.

    Parameters
    ----------
    crop
        (128, 128, 3) uint8: the aligned face.
    landmarks
        (68, 2) in its pixels.
    """
    bright = np.float32(crop) @ LUMA / np.float32(255)
    field = backward_field(_framed(template()), _framed(landmarks))
    fine = _sampled(np.log(np.maximum(bright, _DARKEST)), field)
    fine -= cv2.GaussianBlur(fine, (0, 0), _COARSE * GRID / SIZE)
    return np.asarray(np.clip(fine, -_MOST, _MOST), np.float32)


def shade(shading: Floats, landmarks: NDArray[np.floating]) -> Floats:
    """Return what a shading (64, 64) multiplies a face's brightness by, (128, 128).

    Parameters
    ----------
    shading
        Logarithms, in the template's shape.
    landmarks
        (68, 2) the face's, in pixels of the crop.
    """
    field = backward_field(_framed(landmarks), _framed(template()))
    there = _sampled(shading, field)
    return cv2.resize(np.exp(there), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def _framed(points: NDArray[np.floating]) -> Floats:
    """Return landmarks (68, 2) and the crop's corners and middles of its sides, which stay."""
    line = (0.0, (SIZE - 1) / 2, SIZE - 1.0)
    frame = [(x, y) for x in line for y in line if (x, y) != (line[1], line[1])]
    return np.concatenate([np.asarray(points, np.float32), np.array(frame, np.float32)])


def _sampled(picture: Floats, field: Floats) -> Floats:
    """Resample a square picture through a field (64, 64, 2) of the crop's pixels, to (64, 64)."""
    line = (np.arange(GRID, dtype=np.float32) + 0.5) * (SIZE / GRID) - 0.5
    x, y = np.meshgrid(line, line)
    factor = len(picture) / SIZE
    across, down = (
        np.float32((at + field[..., k] + 0.5) * factor - 0.5) for k, at in enumerate((x, y))
    )
    return cv2.remap(picture, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
