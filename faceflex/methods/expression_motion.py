"""How a face's own landmarks follow the motion of a mean face: lids, brows and lips within limits.

Eyes open in proportion to how large they are, brows never touch the lids, and the far half of a
turned face moves sideways by as much less as it is narrower.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.shading import shade
from faceflex.compose.warp import FaceWarp, estimate_warp, warp_crop
from faceflex.faces.align import SIZE, template
from faceflex.faces.landmark_groups import BROWS, LEFT_EYE, MOUTH, OUTER_MOUTH_CORNERS, RIGHT_EYE
from faceflex.faces.lips import Lips
from faceflex.faces.mask import fill_hull
from faceflex.methods.landmark_readout import move_lips, remove_rigid_motion

UPPER_LIDS, LOWER_LIDS = (37, 38, 43, 44), (41, 40, 47, 46)
"""Corresponding landmarks of the eyelids."""

_BROW_GAIN, _LID_GAIN, _MOUTH_GAIN, _SIDEWAYS = 2.1, 2.0, 1.5, 0.8
_SQUINT_GAIN = 1.2  # Of lids that close.
_CLOSED, _WIDE = 0.25, 1.45  # Limits of an eye's opening, as a share of the photo's.
_BROW_ROOM = 0.6  # Share of the distance from lid to brow that is always left.
_BROW_EYES = ((range(17, 22), (37, 38)), (range(22, 27), (43, 44)))
_EDGE, _EDGE_BLUR = 5, 2.0  # Pixels around brows and eyes in which decodes say nothing.
_LIP_THICKNESS = (
    *((49, 61, 0.6), (50, 61, 1.0), (51, 62, 1.0), (52, 63, 1.0), (53, 63, 0.6)),
    *((59, 67, 0.6), (58, 67, 1.0), (57, 66, 1.0), (56, 65, 1.0), (55, 65, 0.6)),
)
"""Landmarks of the lips' outer and inner edges, and how far their distance is held."""
_THICKER, _THINNEST = 1.1, 2.0  # How much thicker lips may get; pixels of a lip that is too thin.
_NARROWEST = 0.95  # Of a usual mouth's width: to what broader ones narrow.
_OPENING, _WIDEST = 1.0, 16.0
_DROOP, _DROWSY = 0.6, -0.1  # Lids sink by this share at arousal -1, from this arousal on.
_HANGING = 0.2  # Droop from which brows and lids do nothing else.
_LIFT, _AWAKE = 0.35, 0.25  # And open by this share at arousal 1, from this arousal on.
_FOLD_GAIN = 2.0  # Folds of many faces, each elsewhere, are shallow in their mean.
_MIDDLE, _RIGHT_CORNER, _LEFT_CORNER = 27, 36, 45

Floats = NDArray[np.float32]


def expression_targets(
    landmarks: NDArray[np.floating],
    lips: Lips,
    shift: NDArray[np.floating],
    actions: NDArray[np.floating],
    droop: float = 0.0,
) -> tuple[Floats, Lips]:
    """Return where a face's landmarks and lips go.

    Parameters
    ----------
    landmarks
        (68, 2) in pixels of the 128-pixel crop.
    lips
        The inner lips.
    shift
        (68, 2) how far the landmarks of a mean face move.
    actions
        (68, 2) how far facial actions move them beyond that.
    droop
        How much sleepier it gets, as :func:`droop_of` tells it: lids that sink cover the eye
        (``FaceChange.eyes_shut``) and are left alone here, as are brows; below 0 they open.

    Returns
    -------
    (68, 2) float32 targets, and the inner lips'.
    """
    start = np.asarray(landmarks, np.float32)
    seen = _foreshortening(start)
    motion = remove_rigid_motion(start, np.asarray(shift, np.float32) * seen)
    motion[BROWS] *= np.float32(_BROW_GAIN)
    sunk = np.maximum(motion[BROWS, 1], 0)  # Sleepy brows hang; they do not frown.
    motion[BROWS, 1] -= np.float32(np.clip(droop / _HANGING, 0, 1)) * sunk
    motion[MOUTH] *= np.array([_MOUTH_GAIN * _SIDEWAYS, _MOUTH_GAIN], np.float32)
    motion += np.float32(actions) * seen
    _hold_width(start, motion)
    _move_lids(start, motion, droop)
    _hold_brows(start, motion)
    moved, targets = move_lips(lips, start, motion, opening=_OPENING, widest=_WIDEST)
    _hold_thickness(start, targets)
    return targets, moved


def droop_of(arousal: float) -> float:
    """Return by which share of their opening lids sink at an arousal, by that alone.

    Below 0 where they open. Few of AffectNet's faces are that sleepy, and landmarks say little of
    lids: this is set by hand.
    """
    drowsy = _DROOP * max(0.0, _DROWSY - arousal) / (1 + _DROWSY)
    return drowsy - _LIFT * max(0.0, arousal - _AWAKE) / (1 - _AWAKE)


def _foreshortening(points: Floats) -> Floats:
    """Return (68, 2): how much of a frontal face's motion is seen, sideways on either half."""
    factors, mean = np.ones((68, 2), np.float32), template()
    middle = points[_MIDDLE, 0]
    right = points[:, 0] < middle
    for corner, half in ((_RIGHT_CORNER, right), (_LEFT_CORNER, ~right)):
        seen = abs(float(points[corner, 0] - middle))
        usual = abs(float(mean[corner, 0] - mean[_MIDDLE, 0]))
        factors[half, 0] = np.clip(seen / usual, 0.5, 1.15)
    return factors


def _move_lids(points: Floats, motion: Floats, droop: float) -> None:
    """Scale the lids' motion to the face's own eyes, and keep it within limits, in place."""
    mean = template()
    usual = float((mean[list(LOWER_LIDS), 1] - mean[list(UPPER_LIDS), 1]).mean())
    for first, last in ((0, 2), (2, 4)):
        upper, lower = list(UPPER_LIDS[first:last]), list(LOWER_LIDS[first:last])
        own = max(0.5, float((points[lower, 1] - points[upper, 1]).mean()))
        mean_motion = float((motion[lower, 1] - motion[upper, 1]).mean())
        gain = (_LID_GAIN if mean_motion > 0 else _SQUINT_GAIN) * min(1.3, own / usual)
        asked = gain * mean_motion * np.clip(1 - max(droop, 0) / _HANGING, 0, 1)
        asked -= min(droop, 0) * own
        opening = float(np.clip(own + asked, _CLOSED * own, _WIDE * own)) - own
        middle = float((motion[lower, 1] + motion[upper, 1]).mean()) / 2
        # Upper lids do most of it: they are the ones that muscles move.
        motion[upper, 1] = middle - np.float32(0.7 * opening)
        motion[lower, 1] = middle + np.float32(0.3 * opening)


def _hold_width(points: Floats, motion: Floats) -> None:
    """Keep a mouth that loses its smile about as wide as usual ones are, in place: no pout."""
    right, left = OUTER_MOUTH_CORNERS
    usual = float(template()[left, 0] - template()[right, 0])
    own = float(points[left, 0] - points[right, 0])
    asked = float(motion[left, 0] - motion[right, 0])
    least = min(0.0, _NARROWEST * usual - own)
    if asked < least:
        middle = motion[MOUTH, 0].mean()
        motion[MOUTH, 0] = middle + np.float32(least / asked) * (motion[MOUTH, 0] - middle)


def _hold_thickness(points: Floats, targets: Floats) -> None:
    """Keep lips that meet about as thick as they are, in place: their outer edges come along."""
    right, left = OUTER_MOUTH_CORNERS
    narrowed = float((points[left, 0] - points[right, 0]) / (targets[left, 0] - targets[right, 0]))
    most = _THICKER * max(1.0, narrowed)
    for outer, inner, share in _LIP_THICKNESS:
        own, asked = (abs(float(p[outer, 1] - p[inner, 1])) for p in (points, targets))
        swollen = max(0.0, asked - most * max(own, _THINNEST)) * share
        targets[outer, 1] += np.float32(np.sign(targets[inner, 1] - targets[outer, 1]) * swollen)


def _hold_brows(points: Floats, motion: Floats) -> None:
    """Keep brows off the lids, in place."""
    for brow, lid in _BROW_EYES:
        line = float(points[list(lid), 1].mean() + motion[list(lid), 1].mean())
        for k in brow:
            room = float(points[list(lid), 1].mean() - points[k, 1])
            lowest = line - _BROW_ROOM * max(room, 0.0)
            motion[k, 1] = min(float(motion[k, 1]), lowest - float(points[k, 1]))


def after_motion(
    before: Floats,
    decoded: Floats,
    own_shift: NDArray[np.floating] | None,
    warp: FaceWarp,
    folds: Floats,
) -> Floats:
    """Return a picture of the face whose landmarks are where they go, with a decode's folds.

    A decode moves brows and lids by less than real ones move; where the photo's do, it would leave
    a ghost of them. So the first decode is moved to the targets, and to it is added what the second
    one changes beyond its own motion, but around brows and eyes.

    Parameters
    ----------
    before, decoded
        (128, 128, 3) decodes of the face, and of its edited latent.
    own_shift
        (68, 2) how far the decode moves the landmarks; None when that is not known.
    warp
        How the face moves to its targets.
    folds
        (64, 64) how the logarithm of the brightness changes, in the template's shape.
    """
    start, targets = warp.landmarks, warp.targets
    moved = warp_crop(before, warp)
    there = before
    if own_shift is not None:
        own = remove_rigid_motion(start, own_shift)
        there = warp_crop(before, estimate_warp(start, start + own))
    still = np.ones((SIZE, SIZE), np.float32)
    for points in (start, targets):
        for part in (slice(17, 22), slice(22, 27), RIGHT_EYE, LEFT_EYE):
            still[fill_hull(points[part], SIZE, grow=_EDGE)] = 0
    still = cv2.GaussianBlur(still, (0, 0), _EDGE_BLUR)[:, :, None]
    folded = shade(np.float32(_FOLD_GAIN) * folds, targets)[:, :, None]
    return np.clip((moved + still * (decoded - there)) * folded, 0, 1)
