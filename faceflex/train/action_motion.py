"""Fit the motion of smiles to pairs of photos, and action units to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceflex.data.smile_clips import SmileClip
from faceflex.data.smile_pairs import SmilePair
from faceflex.data.template import mirrored
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE, estimate_similarity, template, transform_points
from faceflex.faces.landmark_groups import (
    BROWS,
    CENTRAL_INNER_LIPS,
    JAW,
    MOUTH,
    OUTER_MOUTH_CORNERS,
    RIGID_LANDMARKS,
)
from faceflex.faces.lips import CLOSED_GAP
from faceflex.methods.action_motion import ACTIONS, UNIT_OF_ACTION, ActionMotion

_KINDS = 5
_QUANTILES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
_UPPER_LIDS, _LOWER_LIDS = (37, 38, 43, 44), (40, 41, 46, 47)
_EYES = slice(36, 48)
_LEAST_PAIRS = 12
_POSED = 0  # The pairs' people were asked to smile.

Floats = NDArray[np.float64]


def normalized(points: NDArray[np.floating]) -> Floats:
    """Lay nose and corners of the eyes of (68, 2) landmarks on the template's."""
    rigid = list(RIGID_LANDMARKS)
    matrix = estimate_similarity(points[rigid], template()[rigid])
    return np.asarray(transform_points(matrix, points), np.float64)


def displacements(pairs: Sequence[SmilePair]) -> tuple[Floats, Floats]:
    """Return where landmarks go from neutral to smiling, and how far the lips part.

    Returns
    -------
    (2N, 68, 2) in pixels of the crop, each pair and its mirror image; the jaw rests. And (2N,).
    """
    shapes = np.array([[normalized(p) for p in pair.landmarks] for pair in pairs])
    both = np.concatenate([shapes, np.float64(mirrored(shapes, SIZE))])
    motion = both[:, 1] - both[:, 0]
    motion[:, JAW] = 0
    gaps = [max(0.0, apart.gap - closed.gap) for closed, apart in (p.lips for p in pairs)]
    shown = np.array([g if g >= CLOSED_GAP else 0.0 for g in gaps])
    return motion, np.tile(shown, 2)


def _narrowing(motion: Floats) -> Floats:
    """Return how far eyes narrow, in pixels of the crop."""
    lower, upper = (motion[:, lids, 1].mean(axis=1) for lids in (_LOWER_LIDS, _UPPER_LIDS))
    return np.asarray(upper - lower)


def fit_motion(pairs: Sequence[SmilePair], clips: Sequence[SmileClip]) -> ActionMotion:
    """Fit motion to pairs, and the intensities of real posed smiles to its amounts.

    Parameters
    ----------
    pairs
        Photos of people; those held out are left out.
    clips
        Real smiles; the same.

    Raises
    ------
    UsageError
        If there are too few pairs.
    """
    used = [pair for pair in pairs if not pair.held_out]
    if len(used) < _LEAST_PAIRS:
        raise UsageError(f"{len(used)} pairs of photos; at least {_LEAST_PAIRS} are needed")
    motion, gap = displacements(used)
    corner = motion[:, list(OUTER_MOUTH_CORNERS)].reshape(len(motion), -1)
    usual = corner.mean(axis=0)
    smile = corner @ usual / (usual @ usual)
    narrowing = _narrowing(motion)
    scale = float(np.median(narrowing[narrowing > 0]))
    cheeks = np.maximum(narrowing, 0) / scale
    actions = np.zeros((len(ACTIONS), 68, 2))
    lower_face = [*range(27, 36), *range(68)[MOUTH]]
    upper_face = [*range(68)[BROWS], *range(68)[_EYES]]
    parts: list[tuple[list[int], list[Floats], list[int]]] = [
        (lower_face, [smile, gap], [0, 1]),
        (upper_face, [cheeks], [2]),
    ]
    for points, driving, rows in parts:
        design = np.stack(driving, axis=1)
        found, *_ = np.linalg.lstsq(design, motion[:, points].reshape(len(motion), -1), rcond=None)
        for row, values in zip(rows, found, strict=True):
            actions[row, points] = values.reshape(-1, 2)
    # Lips that do not part move together.
    for upper, lower in zip(CENTRAL_INNER_LIPS[:3], CENTRAL_INNER_LIPS[3:], strict=True):
        actions[0, [upper, lower]] = actions[0, [upper, lower]].mean(axis=0)
    opened = np.abs(actions[1][list(CENTRAL_INNER_LIPS), 1]).reshape(2, -1).sum(axis=1)
    rest = motion - np.einsum("na,apd->npd", np.stack([smile, gap, cheeks], 1), actions)
    rest = rest / np.maximum(smile, 0.4)[:, None, None]
    keep = np.zeros((68, 1))
    keep[lower_face] = 1
    _, sizes, axes = np.linalg.svd((rest * keep).reshape(len(rest), -1), full_matrices=False)
    kinds = (sizes[:_KINDS, None] * axes[:_KINDS]) / np.sqrt(len(rest))
    intensities, amounts = _match([smile, gap, cheeks], clips)
    return ActionMotion(
        np.float32(actions),
        float(opened[0] / max(opened.sum(), 1e-6)),
        np.float32(kinds.reshape(-1, 68, 2)),
        np.float32(intensities),
        np.float32(amounts),
    )


def _match(amounts: Sequence[Floats], clips: Sequence[SmileClip]) -> tuple[Floats, Floats]:
    """Match quantiles of apex intensities of posed smiles and of amounts; 0 stays 0."""
    known = [c for c in clips if not c.held_out and c.style == _POSED]
    apex = np.array([clip.curves.max(axis=0) for clip in known])
    found = []
    for unit, values in zip(UNIT_OF_ACTION, amounts, strict=True):
        x = np.maximum.accumulate(np.maximum(np.quantile(apex[:, unit], _QUANTILES), 0.05))
        y = np.maximum.accumulate(np.maximum(np.quantile(values, _QUANTILES), 0))
        found.append((np.r_[0, x + 1e-3 * np.arange(len(x))], np.r_[0, y]))
    return np.array([x for x, _ in found]), np.array([y for _, y in found])
