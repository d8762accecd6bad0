"""What mouths at rest have in common, and how far a person's own may differ from it.

A ridge regression from pairs of pictures says where a person's mouth goes when a smile is taken
away. It passes on the errors of the landmarks it starts from, and they are read as an expression:
corners too high as a smile that stays, corners too low as grief. So what is predicted is drawn
towards the mean of neutral faces in the wild: of its deviation the share is left that looks like a
person and not like a mood.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.landmark_groups import LEFT_EYE, MOUTH, RIGHT_EYE

# In distances of the eyes, of 225 closed mouths in the wild that a classifier calls neutral
# (UTKFace): width from corner to corner, 0.81 (10 % to 90 %: 0.72 to 0.90); middle of the line
# between the lips below the corners, -0.01 (-0.06 to 0.04). Corners that smiled keep creases which
# are seen as part of the line, 0.02 higher.
_WIDTH, _DROP = 0.815, -0.02
_WIDTH_LEFT, _DROP_LEFT = 0.7, 0.4  # Of a deviation from them.
_FARTHEST = 0.06  # The most by which corners are moved, in distances of the eyes.

Floats = NDArray[np.floating]


def rest_shift(points: Floats, middle: float) -> tuple[float, float]:
    """Return what brings a predicted mouth at rest nearer to those of other people.

    Parameters
    ----------
    points
        (68, 2) landmarks of the predicted neutral face, nose and eyes upright.
    middle
        y of the middle of the line between its lips.

    Returns
    -------
    Pixels by which both corners go down, and by which the mouth becomes wider.
    """
    eyes = float(np.linalg.norm(points[RIGHT_EYE].mean(axis=0) - points[LEFT_EYE].mean(axis=0)))
    width = float(np.linalg.norm(points[54] - points[48])) / eyes
    drop = (middle - float(points[[48, 54], 1].mean())) / eyes
    down = np.clip((1 - _DROP_LEFT) * (drop - _DROP), -_FARTHEST, _FARTHEST)
    return float(down) * eyes, (1 - _WIDTH_LEFT) * (_WIDTH - width) * eyes


def mouth_motion(points: Floats, down: float, wider: float) -> NDArray[np.float64]:
    """Return how landmarks (68, 2) move when corners go down and the mouth becomes wider.

    The motion is that of the corners there, and less and less towards the middle.
    """
    left, right = np.asarray(points, np.float64)[[48, 54]]
    half = max(float(right[0] - left[0]) / 2, 1e-3)
    motion = np.zeros((68, 2))
    place = np.clip((points[MOUTH, 0] - (left[0] + right[0]) / 2) / half, -1, 1)
    motion[MOUTH, 0] = place * wider / 2
    motion[MOUTH, 1] = np.square(place) * down
    return motion
