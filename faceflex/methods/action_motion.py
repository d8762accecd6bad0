"""How landmarks and lips move with the action units of a smile; learned from pairs of photos.

A neutral and a smiling photo of the same person show its whole way from one to the other. Over many
people that way is regressed on how far the corners of the mouth go (AU12), how far the lips part
(AU25) and how far the eyes narrow (AU6); what is left over is how people differ, and its principal
components are kinds of smile. Intensities of action units become amounts of motion by matching
their quantiles: a median AU12 is a median smile.

Shapes are compared after a similarity that lays nose and corners of the eyes on the template's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import estimate_similarity, template, transform_points
from faceflex.faces.landmark_groups import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    MOUTH_MIDDLE,
    OUTER_MOUTH_CORNERS,
    RIGID_LANDMARKS,
)
from faceflex.faces.lips import SAMPLES, Lips, interpolate_shift
from faceflex.tensors import read_arrays, wrap_read_errors, write_arrays

KIND = "faceflex-action-motion-1"
LABEL = "action motion"
ACTIONS = ("corners", "opening", "cheeks")
"""What moves with AU12, AU25 and AU6, in the order of the arrays."""
UNIT_OF_ACTION = (0, 2, 1)
"""Columns of (AU12, AU6, AU25) that drive the actions."""

_MOST = (1.45, 7.5, 0.9)  # The largest corners', opening's and cheeks' amounts.
_ARCH = np.sqrt(np.clip(1 - np.abs(np.linspace(-1, 1, SAMPLES)) ** 2.5, 0, 1))
_UNEVEN = 1.2  # Halves of a mouth that are as even as this are those of a face from the front.
_NARROWEST = 0.35  # Half of a mouth, of one seen from the front.
_FRONT, _TURNED = 0.25, 0.6  # Log ratios of the eyes' distances from the nose.
_VARIETY, _FARTHEST = 0.5, 1.2  # Kinds of smile: deviation and limit of their components.

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class ActionMotion:
    """Where landmarks and lips go.

    Attributes
    ----------
    actions
        (3, 68, 2) motion for one unit of each of :data:`ACTIONS`, in pixels of the crop; of the
        opening, for one pixel between the lips.
    upper_share
        Share of an opening that the upper lip makes.
    kinds
        (K, 68, 2) principal components of how people differ, a standard deviation each, for one
        unit of the corners' action.
    intensities, amounts
        (3, Q) matched quantiles: AU intensities above rest, and amounts of the actions.
    """

    actions: NDArray[np.float32]
    upper_share: float
    kinds: NDArray[np.float32]
    intensities: NDArray[np.float32]
    amounts: NDArray[np.float32]

    def amounts_of(self, units: Floats) -> NDArray[np.float64]:
        """Return the amounts (..., 3) of the actions at intensities (..., 3) of AU12, AU6, AU25."""
        values = np.asarray(units, np.float64)
        found = [
            np.clip(_interpolate(values[..., unit], x, y), 0, most)
            for unit, x, y, most in zip(
                UNIT_OF_ACTION, self.intensities, self.amounts, _MOST, strict=True
            )
        ]
        return np.stack(found, axis=-1)

    def towards(
        self, landmarks: Floats, shift: Floats, opened: float, share: float
    ) -> ActionMotion:
        """Return this motion with the corners' action nearer to a face's own way to its smile.

        Parameters
        ----------
        landmarks
            (68, 2) the face, in pixels of the crop.
        shift
            (68, 2) how its landmarks go to its usual smile.
        opened
            How far its lips part on the way, which is another action's.
        share
            Of its own way.
        """
        start, rigid = np.asarray(landmarks, np.float64), list(RIGID_LANDMARKS)
        matrix = estimate_similarity(start[rigid], template()[rigid])
        level = np.asarray(shift, np.float64) @ matrix[:, :2].T
        own = level - opened * np.linalg.norm(matrix[:, 0]) * self.actions[1]
        actions = self.actions.copy()
        actions[0] += np.float32(share) * (np.float32(own) - actions[0])
        return replace(self, actions=actions)

    def draw_kind(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw a kind of smile, (K,) standard deviations of its components."""
        drawn = _VARIETY * rng.standard_normal(len(self.kinds))
        return np.clip(drawn, -_FARTHEST, _FARTHEST)

    def targets(
        self, landmarks: Floats, lips: Lips, amounts: Floats, kind: Floats
    ) -> tuple[NDArray[np.float32], Lips]:
        """Return where landmarks and lips go.

        Parameters
        ----------
        landmarks
            (68, 2) in pixels of the 128-pixel crop.
        lips
            The inner lips.
        amounts
            (3,) of the actions; what is opened counts in pixels of a usual face.
        kind
            (K,) how this smile differs from the usual one.

        Returns
        -------
        (68, 2) float32 landmarks, and the inner lips.
        """
        start = np.asarray(landmarks, np.float64)
        rigid = list(RIGID_LANDMARKS)
        matrix = estimate_similarity(start[rigid], template()[rigid])
        back = np.linalg.inv(matrix[:, :2])
        corners, opening, cheeks = (float(a) for a in amounts)
        smile = corners * (self.actions[0] + np.tensordot(kind, self.kinds, 1))
        smile[:, 0] *= side_widths(transform_points(matrix, start))
        motion = (smile + cheeks * self.actions[2]) @ back.T
        open_ = opening * self.actions[1] @ back.T
        upper, lower = (
            interpolate_shift(np.float32(motion), group, lips, np.float32(start))
            for group in (INNER_UPPER_LIP, INNER_LOWER_LIP)
        )
        # What both lips do together; how far they part is said by the opening alone.
        common = (upper + lower) / 2
        gap = opening * float(np.linalg.norm(back[:, 1])) * _ARCH
        moved = Lips(
            np.maximum.accumulate(np.float32(lips.x + common[:, 0])),
            np.float32(lips.upper + common[:, 1] - self.upper_share * gap),
            np.float32(lips.lower + common[:, 1] + (1 - self.upper_share) * gap),
        )
        targets = np.asarray(start + motion + open_, np.float32)
        columns = np.interp(start[list(INNER_UPPER_LIP[1:4]), 0], lips.x, np.arange(SAMPLES))
        for edge, inner in ((moved.upper, INNER_UPPER_LIP), (moved.lower, INNER_LOWER_LIP)):
            targets[list(inner[1:4]), 1] = np.interp(columns, np.arange(SAMPLES), edge)
        return targets, moved

    def save(self, path: Path) -> None:
        """Write the file."""
        arrays = {
            "actions": np.float16(self.actions),
            "kinds": np.float16(self.kinds),
            "intensities": np.float32(self.intensities),
            "amounts": np.float32(self.amounts),
            "upper_share": np.array([self.upper_share], np.float32),
        }
        write_arrays(path, arrays, {"kind": KIND})

    @classmethod
    def load(cls, path: Path) -> ActionMotion:
        """Read the file.

        Raises
        ------
        AssetError
            If it is missing, damaged, or none.
        """
        arrays, _ = read_arrays(path, KIND, LABEL)
        with wrap_read_errors(path, LABEL):
            loaded = cls(
                arrays["actions"].astype(np.float32),
                float(arrays["upper_share"][0]),
                arrays["kinds"].astype(np.float32),
                arrays["intensities"],
                arrays["amounts"],
            )
            shapes = loaded.actions.shape, loaded.kinds.shape[1:], loaded.amounts.shape[:1]
            same = loaded.intensities.shape == loaded.amounts.shape
            if shapes != ((3, 68, 2), (68, 2), (3,)) or not same:
                raise ValueError("its parts do not fit together")
            if not all(np.isfinite(a).all() for a in arrays.values()):
                raise ValueError("numbers that are not finite")
        return loaded


def side_widths(level: Floats) -> NDArray[np.float64]:
    """Return (68,) how wide each landmark's half of the mouth is beside the other one, at most 1.

    A turned head shows one half of its mouth foreshortened: what it does sideways is so, too.

    Parameters
    ----------
    level
        (68, 2) landmarks, nose and corners of the eyes on the template's.
    """
    points = np.asarray(level, np.float64)
    center = points[list(MOUTH_MIDDLE[:2]), 0].mean()
    halves = [float(abs(points[corner, 0] - center)) for corner in OUTER_MOUTH_CORNERS]
    left, right = (
        float(np.clip(_UNEVEN * half / max(*halves, 1e-3), _NARROWEST, 1)) for half in halves
    )
    middle = float(points[list(MOUTH_MIDDLE[:2]), 0].mean())
    blend = np.clip((points[:, 0] - middle) / 8 + 0.5, 0, 1)
    return left + (right - left) * blend


def turned_away(landmarks: Floats) -> float:
    """Return how far a head is turned from the front, 0 to 1, by the halves of its mouth and nose.

    Parameters
    ----------
    landmarks
        (68, 2).
    """
    points = np.asarray(landmarks, np.float64)
    bridge = points[27:31].mean(axis=0)
    near, far = (max(float(np.linalg.norm(points[k] - bridge)), 1e-3) for k in (36, 45))
    ratio = abs(float(np.log(near / far)))
    return float(np.clip((ratio - _FRONT) / _TURNED, 0, 1))


def _interpolate(values: Floats, x: Floats, y: Floats) -> NDArray[np.float64]:
    """Interpolate linearly; beyond the last knot the last slope goes on."""
    slope = (y[-1] - y[-2]) / max(float(x[-1] - x[-2]), 1e-6)
    inside: NDArray[np.float64] = np.interp(values, x, y)
    return inside + slope * np.maximum(values - x[-1], 0)
