"""How far a head is turned, and the frontal face that its landmarks would be.

``assets/shape68.csv`` holds the mean shape of a face in three dimensions: the affine factorization
of the landmarks of 18,375 faces of UTKFace (Tomasi and Kanade, "Shape and motion from image streams
under orthography", IJCV 1992), made metric and symmetric. Under scaled orthography a face's turn is
read from the landmarks that expressions hardly move; a motion that is known of frontal faces is
shown as it looks from there: of a smile, the near corner is seen to go out and the far one is not,
because corners slide back along the teeth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.landmark_groups import MOUTH, RIGID_LANDMARKS
from faceflex.faces.lips import SAMPLES, Lips

_FROM, _WHOLE = 5.0, 12.0  # Degrees: less is taken for a frontal face; from here on all is undone.
_FARTHEST = 45.0  # Degrees; landmarks tell no more.
_BACK = 1.0  # How far a corner of the mouth goes back for each pixel that it goes out.
_HALF_MOUTH = 21.4  # Of the mean shape, from the middle to a corner.

Floats = NDArray[np.floating]


@cache
def mean_shape() -> NDArray[np.float64]:
    """Return the mean shape (68, 3): right, down and towards the viewer, in pixels of the crop."""
    with resources.files("faceflex.assets").joinpath("shape68.csv").open(encoding="utf-8") as file:
        return np.loadtxt(file, delimiter=",")


@dataclass(frozen=True)
class HeadTurn:
    """A head's turn as a camera far away sees it.

    Attributes
    ----------
    yaw
        In radians: above 0 when the nose points to the right of the picture.
    roll
        In radians, clockwise.
    scale
        Pixels of the crop to one of the mean shape.
    """

    yaw: float
    roll: float
    scale: float

    @classmethod
    def estimate(cls, landmarks: Floats) -> HeadTurn:
        """Estimate it from (68, 2) landmarks in pixels of the crop.

        Examples
        --------
        >>> seen = HeadTurn(0.4, 0.1, 1.2).project(mean_shape())
        >>> turn = HeadTurn.estimate(seen)
        >>> round(turn.yaw, 2), round(turn.roll, 2), round(turn.scale, 2)
        (0.4, 0.1, 1.2)
        """
        rigid = list(RIGID_LANDMARKS)
        solid = mean_shape()[rigid] - mean_shape()[rigid].mean(axis=0)
        seen = np.asarray(landmarks, np.float64)[rigid]
        affine = np.linalg.lstsq(solid, seen - seen.mean(axis=0), rcond=None)[0].T
        left, size, right = np.linalg.svd(affine, full_matrices=False)
        x, y = left @ right  # The nearest rotation's first two rows.
        z = np.cross(x, y)
        yaw, roll = np.arctan2(-z[0], z[2]), np.arctan2(-x[1], y[1])
        return cls(float(yaw), float(roll), float(size.mean()))

    @property
    def degrees(self) -> float:
        """The yaw in degrees."""
        return float(np.degrees(self.yaw))

    def project(self, points: Floats) -> NDArray[np.float64]:
        """Return points or motions (..., 3) of the head as they are seen, (..., 2)."""
        across = points[..., 0] * np.cos(self.yaw) + points[..., 2] * np.sin(self.yaw)
        return self._rolled(np.stack([across, points[..., 1]], axis=-1))

    def frontal(self, points: Floats, depth: Floats) -> NDArray[np.float64]:
        """Return seen points (..., 2) whose depth (...) is known, as a frontal view shows them."""
        seen = np.asarray(points, np.float64) @ self._rotation / self.scale
        across = (seen[..., 0] - depth * np.sin(self.yaw)) / np.cos(self.yaw)
        return np.stack([across, seen[..., 1]], axis=-1)

    @property
    def _rotation(self) -> NDArray[np.float64]:
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.array([[cos, -sin], [sin, cos]])

    def _rolled(self, points: Floats) -> NDArray[np.float64]:
        rolled: NDArray[np.float64] = self.scale * (points @ self._rotation.T)
        return rolled


@dataclass(frozen=True)
class FrontalView:
    """A turned face as a frontal view would show its landmarks and lips.

    Attributes
    ----------
    turn
        The turn that was undone.
    landmarks
        (68, 2) in the frontal view.
    lips
        Contours of the inner lips there, at even columns.
    seen_landmarks, seen_lips
        What the photo shows, in pixels of the crop.
    columns
        (65,) where each of the photo's columns of the lips lies in the view's, -1 to 1.
    """

    turn: HeadTurn
    landmarks: NDArray[np.float32]
    lips: Lips
    seen_landmarks: NDArray[np.float32]
    seen_lips: Lips
    columns: NDArray[np.float64]

    def back(self, goal: Floats, lips: Lips) -> tuple[NDArray[np.float32], Lips]:
        """Return where landmarks (68, 2) and lips go in the photo, from where they go in the view.

        Parameters
        ----------
        goal
            (68, 2) where the landmarks go.
        lips
            Where the lips go, column by column.
        """
        aside = np.zeros(68)
        aside[MOUTH] = np.clip(mean_shape()[MOUTH, 0] / _HALF_MOUTH, -1, 1)
        shift = self._seen(np.asarray(goal, np.float64) - self.landmarks, aside)
        place = np.linspace(-1, 1, SAMPLES)
        across, line, more = (
            np.interp(self.columns, place, v)
            for v in (
                lips.x - self.lips.x,
                lips.midline - self.lips.midline,
                (lips.lower - lips.upper) - (self.lips.lower - self.lips.upper),
            )
        )
        moved = self._seen(np.stack([across, line], axis=1), self.columns)
        start = self.seen_lips
        gap = np.asarray(start.lower - start.upper, np.float64)
        gap = np.maximum(gap + self.turn.scale * more, 0) if lips.open else np.zeros_like(gap)
        x = np.maximum.accumulate(np.float32(start.x + moved[:, 0]))
        middle = start.midline + moved[:, 1]
        return (
            np.float32(self.seen_landmarks + shift),
            Lips(x, np.float32(middle - gap / 2), np.float32(middle + gap / 2)),
        )

    def _seen(self, motion: Floats, aside: Floats) -> NDArray[np.float64]:
        """Return motions (N, 2) of the view as the photo shows them, N places beside the middle."""
        depth = -_BACK * aside * motion[:, 0]
        return self.turn.project(np.column_stack([motion, depth]))


def frontal_view(landmarks: Floats, lips: Lips) -> FrontalView | None:
    """Return the frontal view of a turned face; None where it is seen from the front.

    Parameters
    ----------
    landmarks
        (68, 2) in pixels of the crop.
    lips
        Contours of the inner lips there.
    """
    turn = HeadTurn.estimate(landmarks)
    angle = abs(turn.degrees)
    if angle <= _FROM:
        return None
    share = min(1.0, (angle - _FROM) / (_WHOLE - _FROM)) * min(1.0, _FARTHEST / angle)
    turn = HeadTurn(share * turn.yaw, turn.roll, turn.scale)
    solid = mean_shape()
    frontal = turn.frontal(landmarks, solid[:, 2])
    # The depth of the lips' columns: an arch over the mouth's landmarks, found from where they are.
    order = np.argsort(landmarks[60:65, 0])
    depth = np.interp(lips.x, np.asarray(landmarks)[60:65, 0][order], solid[60:65, 2][order])
    upper, lower = (
        turn.frontal(np.stack([lips.x, edge], axis=1), depth) for edge in (lips.upper, lips.lower)
    )
    x = np.maximum.accumulate((upper[:, 0] + lower[:, 0]) / 2)
    even = np.linspace(x[0], x[-1], SAMPLES)
    columns = 2 * (x - x[0]) / max(x[-1] - x[0], 1e-6) - 1
    level = Lips(
        np.float32(even),
        np.float32(np.interp(even, x, upper[:, 1])),
        np.float32(np.interp(even, x, lower[:, 1])),
    )
    return FrontalView(
        turn, np.float32(frontal), level, np.asarray(landmarks, np.float32), lips, columns
    )
