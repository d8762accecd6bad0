"""Move a photo's own pixels: smooth fields from where the 68 landmarks go.

A field is a thin-plate spline (Bookstein 1989) through the landmarks where they go, at rest at the
mask's edge, and checked to be free of folds. It says where each pixel of the edited face comes
from, in pixels of the 128-pixel crop; the photo is resampled through it at its own resolution.

Lips part and meet, which no smooth field can do. So there are two fields, cut along the mouth: one
knows the upper lip, the other the lower one, and the rest of the face is the same to both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.lip_borders import Borders, border_targets
from faceflex.compose.lips_motion import move_lips_with, side
from faceflex.faces.align import SIZE
from faceflex.faces.landmark_groups import OUTER_MOUTH_CORNERS
from faceflex.faces.lips import SAMPLES, Lips, lips_from_landmarks
from faceflex.faces.mask import face_outline, fill_hull
from faceflex.faces.smoothstep import smoothstep
from faceflex.faces.vermilion import Vermilion

UPPER_FACE, LOWER_FACE = tuple(range(17, 55)), (*range(17, 49), *range(54, 60))
"""Landmarks that each field follows: with the upper lip, and with the lower one. The inner lips
come from their contours."""

GRID = 64
"""Nodes of a field along a side; the landmarks' motion is smoother than that."""

_RELAX = 2e-5  # Lets landmarks give way a little where they pull apart.
_REST = 9.0  # Pixels of the crop over which a field comes to rest at the mask's edge.
_MIN_JACOBIAN = 0.12
_SHORTER, _SHORTEST = 0.8, 0.02  # A motion that folds is shortened by this factor, down to this.
_COLUMNS = np.linspace(0, SAMPLES - 1, 11).round().astype(int)

Field = NDArray[np.float32]


@dataclass(frozen=True)
class FaceWarp:
    """How a face moves.

    Attributes
    ----------
    upper, lower
        (64, 64, 2) float32: where each node's pixel comes from, relative to the node, in pixels of
        the crop; above the mouth's line and below it.
    landmarks, targets
        (68, 2) float32: where the landmarks are, and where they go, in pixels of the crop.
    before, after
        The inner lips there.
    borders
        Points of the borders of the red of the upper and of the lower lip, where they are and where
        they go (:func:`.border_targets`); None where they are not known.
    """

    upper: Field
    lower: Field
    landmarks: NDArray[np.float32]
    targets: NDArray[np.float32]
    before: Lips
    after: Lips
    borders: Borders | None = None

    @cached_property
    def fields(self) -> tuple[Field, Field]:
        """Both fields at the crop's resolution, (128, 128, 2) each."""
        size = (SIZE, SIZE)
        upper, lower = (
            cv2.resize(f, size, interpolation=cv2.INTER_CUBIC) for f in (self.upper, self.lower)
        )
        return upper, lower

    @cached_property
    def crop_field(self) -> Field:
        """(128, 128, 2): both fields, joined along the mouth's line."""
        return merge_fields(self, *self.fields, *crop_coordinates())


def _nodes() -> NDArray[np.float64]:
    """Return the (64 * 64, 2) positions of the field's nodes in pixels of the crop."""
    line = (np.arange(GRID) + 0.5) * (SIZE / GRID) - 0.5
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _rest_weight(landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return (64, 64): 0 at and outside the mask's edge, rising to 1 inside."""
    inside = fill_hull(landmarks, SIZE, raise_brows=True).astype(np.uint8)
    inside[[0, -1]] = inside[:, [0, -1]] = 0
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    smooth = smoothstep((distance - 1.5) / _REST).astype(np.float32)
    return cv2.resize(smooth, (GRID, GRID), interpolation=cv2.INTER_AREA)


def jacobian(field: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Jacobian determinant of node + field at each node: above 0 without folds."""
    step = SIZE / GRID
    values = np.asarray(field, np.float64)
    dy: NDArray[np.float64] = np.asarray(np.gradient(values, step, axis=0))
    dx: NDArray[np.float64] = np.asarray(np.gradient(values, step, axis=1))
    determinant = (1 + dx[..., 0]) * (1 + dy[..., 1]) - dx[..., 1] * dy[..., 0]
    return np.asarray(determinant)


def _kernel(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the thin plate's r^2 log r between points (N, 2) and (M, 2), as (N, M)."""
    square = (a[:, :1] - b[None, :, 0]) ** 2 + (a[:, 1:] - b[None, :, 1]) ** 2
    return 0.5 * square * np.log(np.maximum(square, 1e-12))


def thin_plate_spline(
    points: NDArray[np.float64], values: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate smoothly: a thin-plate spline, slightly relaxed.

    Parameters
    ----------
    points, values
        (N, 2) where values are known, and (N, 2) values.
    at
        (M, 2) where they are wanted.

    Returns
    -------
    (M, 2).

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
    >>> thin_plate_spline(corners, corners / 10, np.array([[50.0, 20.0]])).round(3).tolist()
    [[5.0, 2.0]]
    """
    n = len(points)
    # Coordinates near 1 keep the system well conditioned.
    a, b = points / SIZE, at / SIZE
    affine = np.column_stack([np.ones(n), a])
    # [K + relaxation, P; P^T, 0]: the spline's bending part, and an affine part beside it.
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _kernel(a, a) + _RELAX * np.eye(n)
    system[:n, n:], system[n:, :n] = affine, affine.T
    weights = np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))
    # The many places are evaluated in single precision: it is a field in pixels.
    near = _kernel(b.astype(np.float32), a.astype(np.float32)) @ weights[:n].astype(np.float32)
    result: NDArray[np.float64] = near + np.column_stack([np.ones(len(b)), b]) @ weights[n:]
    return result


def backward_field(targets: NDArray[np.floating], sources: NDArray[np.floating]) -> Field:
    """Return the field (64, 64, 2) that leads from ``targets`` (N, 2) back to ``sources``."""
    values = np.asarray(sources, np.float64) - targets
    field = thin_plate_spline(np.asarray(targets, np.float64), values, _nodes())
    return np.float32(field.reshape(GRID, GRID, 2))


def outline_anchors(landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return (n, 2) points of a face's outline, which rests: jaw and raised brows lie on it."""
    outline = face_outline(landmarks)
    return np.concatenate([outline, np.float32(0.5) * (outline + np.roll(outline, 1, axis=0))])


@lru_cache(maxsize=16)
def _at_rest(landmarks: bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the rest weight (64, 64, 1) and the anchors of a face: the same in all its frames."""
    start = np.frombuffer(landmarks, np.float32).reshape(-1, 2)
    found = _rest_weight(start)[:, :, None], outline_anchors(start)
    for array in found:
        array.setflags(write=False)
    return found


def _part_way(start: Lips, end: Lips, share: float) -> Lips:
    """Return the lips ``share`` of the way from ``start`` to ``end``."""
    parts = ((start.x, end.x), (start.upper, end.upper), (start.lower, end.lower))
    return Lips(*(np.float32(a + np.float32(share) * (b - a)) for a, b in parts))


def estimate_warp(
    landmarks: NDArray[np.floating],
    targets: NDArray[np.floating],
    lips: Lips | None = None,
    lip_targets: Lips | None = None,
    border: Vermilion | None = None,
) -> FaceWarp:
    """Estimate how a face moves when its landmarks do.

    Parameters
    ----------
    landmarks, targets
        (68, 2) where the landmarks are, and where they go, in pixels of the 128-pixel crop. The jaw
        (0 to 16) lies on the mask's edge, where everything rests.
    lips
        The inner lips, where they are known better than from the landmarks.
    lip_targets
        Where they go; as their landmarks do, by default.
    border
        The borders of the red of the lips, which then follow the inner lips
        (:mod:`.lip_borders`); their landmarks are not asked.

    Returns
    -------
    The warp; where it would fold the picture, as much of it as does not.

    Examples
    --------
    >>> from faceflex.faces.align import template
    >>> targets = template().copy()
    >>> targets[48:68, 1] -= 3  # The mouth goes up by 3 pixels ...
    >>> warp = estimate_warp(template(), targets)
    >>> x, y = targets[57].round().astype(int)  # ... so what is there then comes from below.
    >>> warp.crop_field[y, x].round(1).tolist()
    [0.0, 3.0]
    >>> bool(jacobian(warp.lower).min() > 0)
    True
    """
    start, end = np.asarray(landmarks, np.float32), np.asarray(targets, np.float32)
    before = lips or lips_from_landmarks(start)
    final = lip_targets or move_lips_with(before, start, end)
    rest, anchors = _at_rest(start.tobytes())
    share = 1.0 if (start != end).any() else 0.0
    while share > _SHORTEST:
        goal, after = end, final
        if share < 1:
            goal = start + np.float32(share) * (end - start)
            after = _part_way(before, final, share)
        fields = []
        borders = border_targets(border, before, after, start, goal) if border else None
        upper, lower = borders or (None, None)
        for group, edge, outer in ((UPPER_FACE, "upper", upper), (LOWER_FACE, "lower", lower)):
            points = [k for k in group if outer is None or k in OUTER_MOUTH_CORNERS or k < 48]
            to, source = (
                np.concatenate(
                    [
                        p[points],
                        np.stack([m.x, getattr(m, edge)], axis=1)[_COLUMNS],
                        *([] if outer is None else [outer[which]]),
                        anchors,
                    ]
                )
                for p, m, which in ((goal, after, 1), (start, before, 0))
            )
            fields.append(backward_field(to, source) * rest)
        if min(float(jacobian(f).min()) for f in fields) >= _MIN_JACOBIAN:
            return FaceWarp(fields[0], fields[1], start, goal, before, after, borders)
        share *= _SHORTER
    still = np.zeros((GRID, GRID, 2), np.float32)
    return FaceWarp(still, still, start, start, before, before)


def merge_fields(
    warp: FaceWarp, upper: Field, lower: Field, x: NDArray[np.float32], y: NDArray[np.float32]
) -> Field:
    """Merge the fields of both lips along the mouth's line.

    Parameters
    ----------
    warp
        The warp.
    upper, lower
        (h, w, 2) its fields, at some resolution.
    x, y
        (h, w) the coordinates there, in pixels of the crop.

    Returns
    -------
    (h, w, 2).
    """
    merged = upper - lower
    merged *= side(warp.after, x, y)[:, :, None]
    merged += lower
    return merged


def crop_coordinates() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return x and y, (128, 128) each, of the crop's pixels."""
    line = np.arange(SIZE, dtype=np.float32)
    x, y = np.meshgrid(line, line)
    return x, y


def warp_crop(crop: NDArray[np.float32], warp: FaceWarp) -> NDArray[np.float32]:
    """Resample a (128, 128, C) float32 crop through a warp."""
    field, (x, y) = warp.crop_field, crop_coordinates()
    return cv2.remap(
        crop, x + field[..., 0], y + field[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
