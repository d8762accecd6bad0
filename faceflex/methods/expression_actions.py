"""Facial actions that arousal and displeasure add to the mean face of a place in the plane.

Means of noisy labels are shy, and most of all about arousal. What people do with their faces then
is known: actions of Ekman and Friesen's "Facial Action Coding System" (1978). Which of them count
was measured on the regressor of the edits (docs/emotion.md): an open mouth most, then raised upper
lips and wide eyes; of low arousal, lids and brows that hang.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from faceflex.methods.affect_plane import supported

Floats = NDArray[np.float32]

_EXCITED = 0.1, 0.65  # Arousal from which actions of excitement set in, and over which they grow.
_TIRED = 0.05, 0.6  # The same of fatigue, downwards.
_CLENCHED = 0.45  # What displeasure leaves of an open mouth ...
_LAUGHING = 0.6  # ... and pleasure, whose laugh opens it already.

_RIGHT: Mapping[str, Mapping[int, tuple[float, float]]] = {
    "jaw drop": {
        **{k: (0, -0.22 * w) for k, w in ((61, 0.7), (62, 1.0), (50, 0.6), (51, 0.8), (49, 0.2))},
        **{k: (0, 0.78 * w) for k, w in ((67, 0.75), (66, 1.0), (59, 0.45), (58, 0.8), (57, 1.0))},
        **dict.fromkeys((48, 60), (0, 0.12)),
    },
    "lips rounded": {
        48: (1, 0),
        60: (1, 0),
        49: (0.6, 0),
        59: (0.6, 0),
        61: (0.4, 0),
        67: (0.4, 0),
    },
    "upper lip raised": {
        **{k: (0, -w) for k, w in ((49, 0.6), (50, 1.0), (51, 0.9), (61, 0.8), (62, 0.8))},
        **{k: (0, -w) for k, w in ((31, 0.6), (32, 0.4), (33, 0.3))},
    },
    "corners down": {48: (0, 1), 60: (0, 1), 49: (0, 0.45), 59: (0, 0.5), 61: (0, 0.3)},
    "brows knit": {17: (0, -0.3), 18: (0.2, 0.1), 19: (0.4, 0.5), 20: (0.8, 0.9), 21: (1, 1)},
    "brows raised": {17: (0, -0.7), 18: (0, -0.9), 19: (0, -1), 20: (0, -1), 21: (0, -1)},
    "brows sorrowful": {17: (0, 0.6), 18: (0, 0.4), 19: (0, 0), 20: (0.2, -0.7), 21: (0.3, -1)},
}
"""The right half of each action, by landmark: which way a pixel of it goes, in the crop."""

_ACROSS = dict(
    zip(
        (17, 18, 19, 20, 21, 31, 32, 33, 48, 49, 50, 51, 57, 58, 59, 60, 61, 62, 66, 67),
        (26, 25, 24, 23, 22, 35, 34, 33, 54, 53, 52, 51, 57, 56, 55, 64, 63, 62, 66, 65),
        strict=True,
    )
)
"""The landmark on the other side of the face."""


def _whole(half: Mapping[int, tuple[float, float]]) -> Floats:
    """Return an action (68, 2) of both halves of a face."""
    motion = np.zeros((68, 2), np.float32)
    for k, (x, y) in half.items():
        motion[k] = x, y
        motion[_ACROSS[k]] = -x, y
    return motion


_ACTIONS = {name: _whole(half) for name, half in _RIGHT.items()}


def action_strengths(place: Sequence[float]) -> dict[str, float]:
    """Return by how many pixels of the crop each action moves a face at a place.

    Examples
    --------
    >>> surprised, tired = action_strengths((0.2, 0.7)), action_strengths((-0.5, -0.5))
    >>> surprised["jaw drop"] > 5 and tired["jaw drop"] < 0
    True
    >>> tired["brows sorrowful"] > surprised["brows sorrowful"]
    True
    """
    valence = float(place[0])
    arousal = float(supported(np.array([place]))[0, 1])
    excited = float(np.clip((place[1] - _EXCITED[0]) / _EXCITED[1], 0, 1))
    tired = float(np.clip((-place[1] - _TIRED[0]) / _TIRED[1], 0, 1))
    unpleasant, pleasant = (float(np.clip(s * valence / 0.6, 0, 1)) for s in (-1, 1))
    # Fear, which is hardly unpleasant, and anger: the same arousal, other brows.
    angry = unpleasant * float(np.clip((arousal + 0.1) / 0.5, 0, 1))
    opens = 1 - (1 - _CLENCHED) * unpleasant - (1 - _LAUGHING) * pleasant
    return {
        "jaw drop": 10.0 * opens * excited - 3.0 * tired * (1 - pleasant),
        "lips rounded": 2.0 * excited * (1 - unpleasant) * (1 - pleasant),
        "upper lip raised": 2.0 * unpleasant * excited,
        "corners down": 1.5 * unpleasant,
        "brows knit": 1.4 * angry,
        "brows raised": 1.2 * excited * (1 - unpleasant),
        "brows sorrowful": 1.6 * tired * (1 - pleasant),
    }


def jaw_share(place: Sequence[float]) -> float:
    """Return how far a mouth is open at a place without a smile, 0 to 1."""
    pleasant = float(np.clip((place[0] - 0.25) / 0.25, 0, 1))
    return float(np.clip(action_strengths(place)["jaw drop"] / 4, 0, 1)) * (1 - pleasant)


def action_motion(start: Sequence[float], end: Sequence[float], gap: float) -> Floats:
    """Return how far (68, 2) these actions move the landmarks of a mean face between two places.

    Parameters
    ----------
    start, end
        The places.
    gap
        How far the face's lips are apart, in pixels of the crop: they close by no more.
    """
    was, will = action_strengths(start), action_strengths(end)
    change = {name: will[name] - was[name] for name in _ACTIONS}
    change["jaw drop"] = max(change["jaw drop"], -gap)
    return np.sum([change[n] * motion for n, motion in _ACTIONS.items()], axis=0, dtype=np.float32)
