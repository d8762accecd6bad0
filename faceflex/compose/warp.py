"""Move a photo's own pixels: a smooth field from how the 68 landmarks move.

The field is a thin-plate spline (Bookstein 1989) through the landmarks where they go, at rest at
the mask's edge, and checked to be free of folds. It says where each pixel of the edited face comes
from, in pixels of the 128-pixel crop; the photo is resampled through it at its own resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import SIZE
from faceflex.faces.mask import face_outline, fill_hull

GRID = 64
"""Nodes of the field along a side; the landmarks' motion is smoother than that."""

_RELAX = 2e-5  # Lets landmarks give way a little where they pull apart.
_REST = 9.0  # Pixels of the crop over which the field comes to rest at the mask's edge.
_MIN_JACOBIAN = 0.12
_INNER = ((61, 67), (62, 66), (63, 65))  # Upper and lower inner lip, left to right.


@dataclass(frozen=True)
class Motion:
    """How a face moves.

    Attributes
    ----------
    field
        (64, 64, 2) float32: where each node's pixel comes from, relative to the node, in pixels of
        the crop.
    targets
        (68, 2) float32: where the landmarks go, in pixels of the crop.
    opening
        Mean distance between the inner lips, before and after, in pixels of the crop.
    """

    field: NDArray[np.float32]
    targets: NDArray[np.float32]
    opening: tuple[float, float]


def _gap(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the distances (3,) between the inner lips; negative where they cross."""
    return np.array([points[low, 1] - points[high, 1] for high, low in _INNER], np.float64)


def _lips_apart(points: NDArray[np.float32], moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``moved`` with inner lips that would cross brought to touch."""
    out = moved.copy()
    before, after = _gap(points), _gap(moved)
    least = np.minimum(np.maximum(before, 0.0), 0.6)
    for (high, low), short in zip(_INNER, np.maximum(least - after, 0), strict=True):
        out[high, 1] -= short / 2
        out[low, 1] += short / 2
    return out


def _nodes() -> NDArray[np.float64]:
    """Return the (64 * 64, 2) positions of the field's nodes in pixels of the crop."""
    line = (np.arange(GRID) + 0.5) * (SIZE / GRID) - 0.5
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _rest_weight(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return (64, 64): 0 at and outside the mask's edge, rising to 1 inside."""
    inside = fill_hull(points, SIZE, raise_brows=True).astype(np.uint8)
    inside[[0, -1]] = inside[:, [0, -1]] = 0
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    rise = np.clip((distance - 1.5) / _REST, 0, 1)
    smooth = (rise * rise * (3 - 2 * rise)).astype(np.float32)
    return cv2.resize(smooth, (GRID, GRID), interpolation=cv2.INTER_AREA)


def jacobian(field: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Jacobian determinant of node + field at each node: above 0 without folds."""
    step = SIZE / GRID
    values = np.asarray(field, np.float64)
    dy: NDArray[np.float64] = np.asarray(np.gradient(values, step, axis=0))
    dx: NDArray[np.float64] = np.asarray(np.gradient(values, step, axis=1))
    determinant = (1 + dx[..., 0]) * (1 + dy[..., 1]) - dx[..., 1] * dy[..., 0]
    return np.asarray(determinant)


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the thin plate's r^2 log r between points (N, 2) and (M, 2), as (N, M)."""
    square = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    return 0.5 * square * np.log(np.maximum(square, 1e-12))


def thin_plate(
    places: NDArray[np.float64], values: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate smoothly: a thin-plate spline, slightly relaxed.

    Parameters
    ----------
    places, values
        (N, 2) where values are known, and (N, 2) values.
    at
        (M, 2) where they are wanted.

    Returns
    -------
    (M, 2).
    """
    n = len(places)
    # Coordinates near 1 keep the system well conditioned.
    a, b = places / SIZE, at / SIZE
    flat = np.column_stack([np.ones(n), a])
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _kernel(a, a) + _RELAX * np.eye(n)
    system[:n, n:], system[n:, :n] = flat, flat.T
    weights = np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))
    result: NDArray[np.float64] = _kernel(b, a) @ weights[:n]
    return result + np.column_stack([np.ones(len(b)), b]) @ weights[n:]


def motion(points: NDArray[np.floating], shift: NDArray[np.floating]) -> Motion:
    """Work out how a face moves when its landmarks do.

    Parameters
    ----------
    points
        (68, 2) landmarks in pixels of the 128-pixel crop.
    shift
        (68, 2) how far each is to move.

    Returns
    -------
    The motion; where the shift would fold the picture, as much of it as does not.
    """
    start, whole = np.asarray(points, np.float32), np.asarray(shift, np.float32)
    rest, nodes = _rest_weight(start), _nodes()
    outline = face_outline(start)
    anchors = np.concatenate([outline, 0.5 * (outline + np.roll(outline, 1, axis=0))])
    share = 1.0
    while share > 0.02:
        goal = _lips_apart(start, start + np.float32(share) * whole)
        # The outline itself rests: jaw and raised brows lie on the mask's edge.
        places = np.concatenate([goal[17:], anchors]).astype(np.float64)
        values = np.concatenate([(start - goal)[17:], np.zeros_like(anchors)]).astype(np.float64)
        field = np.float32(thin_plate(places, values, nodes).reshape(GRID, GRID, 2))
        field = field * rest[:, :, None]
        if float(jacobian(field).min()) >= _MIN_JACOBIAN:
            break
        share *= 0.8
    else:
        goal, field = start, np.zeros((GRID, GRID, 2), np.float32)
    gaps = [float(np.maximum(_gap(p), 0).mean()) for p in (start, goal)]
    return Motion(field, goal, (gaps[0], gaps[1]))


def warp_crop(crop: NDArray[np.float32], moved: Motion) -> NDArray[np.float32]:
    """Resample a (128, 128, C) float32 crop through a motion."""
    field = cv2.resize(moved.field, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    x, y = np.meshgrid(np.arange(SIZE, dtype=np.float32), np.arange(SIZE, dtype=np.float32))
    return cv2.remap(
        crop, x + field[..., 0], y + field[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
