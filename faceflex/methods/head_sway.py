"""A head that is not held quite still: slow, small, the same in all clips of a face.

What lies inside of a face's outline moves by less than a hundredth of the face; at the outline it
rests, so that hair, ears and background stay as they are. It begins at rest, and in a loop ends so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import SIZE
from faceflex.faces.lips import Lips
from faceflex.faces.smoothstep import smoothstep

_RATES = (0.13, 0.23, 0.37, 0.61)  # Hz.
_REACH = np.array([0.8, 0.6, 0.008])  # Pixels of the crop across and down, and radians.
_RISES = 1.2  # Seconds in which a head begins to move, or comes to rest.
_FIRST = 17  # The jaw, points 0 to 16, rests at the mask's edge.

Floats = NDArray[np.floating]


def head_sway(
    person: int, moment: float, seconds: float | None = None
) -> tuple[float, float, float]:
    """Return how far a head has moved across and down (pixels of the crop), and tilted (radians).

    Parameters
    ----------
    person
        Whose head.
    moment
        Seconds since the clip began.
    seconds
        When it is to rest again; never by default.

    Examples
    --------
    >>> [abs(v) for v in head_sway(1, 0.0)]
    [0.0, 0.0, 0.0]
    >>> [abs(v) < 1e-9 for v in head_sway(1, 4.0, 4.0)]
    [True, True, True]
    """
    rng = np.random.default_rng((person, 31))
    rates = np.array(_RATES) * rng.uniform(0.8, 1.25, (3, len(_RATES)))
    phases = rng.uniform(0, 2 * np.pi, rates.shape)
    sizes = rng.uniform(0.5, 1.0, rates.shape)
    waves = (sizes * np.sin(2 * np.pi * rates * moment + phases)).sum(axis=1) / sizes.sum(axis=1)
    left = _RISES if seconds is None else seconds - moment
    across, down, tilt = (_REACH * waves * smoothstep(min(moment, left) / _RISES)).tolist()
    return across, down, tilt


def swayed(
    landmarks: NDArray[np.float32], lips: Lips, sway: tuple[float, float, float]
) -> tuple[NDArray[np.float32], Lips]:
    """Return landmarks (68, 2) and lips of the crop, moved as a head does; the jaw rests."""
    across, down, tilt = sway
    middle = (SIZE - 1) / 2

    def moved(x: Floats, y: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return (
            np.float32(x + across - tilt * (y - middle)),
            np.float32(y + down + tilt * (x - middle)),
        )

    points = np.array(landmarks, np.float32)
    points[_FIRST:] = np.stack(moved(*points[_FIRST:].T), axis=1)
    x, upper = moved(lips.x, lips.upper)
    _, lower = moved(lips.x, lips.lower)
    return points, Lips(np.maximum.accumulate(x), upper, lower)
