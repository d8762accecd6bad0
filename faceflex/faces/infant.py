"""Whether a face is an infant's, or a small child's, from the proportions of its landmarks.

Logistic regressions on aligned landmarks, fitted to UTKFace's ages by
:mod:`faceflex.train.infants`: infants have large eyes, a short nose and a small mouth, whoever
looks at them with what model; children of less than eight years still have some of that.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

SURE = 1.5
"""Log odds from which a face is an infant's: better a baby with teeth than a child without."""

CHILD = 0.5
"""Log odds from which a face is a small child's, who has milk teeth."""


@cache
def _weights(name: str = "infant68.csv") -> NDArray[np.float64]:
    """Return the weights (69, 2) of 68 landmarks; the last row begins with the intercept."""
    with resources.files("faceflex.assets").joinpath(name).open(encoding="utf-8") as file:
        return np.loadtxt(file, delimiter=",")


def infant_score(landmarks: NDArray[np.floating]) -> float:
    """Return the log odds that (68, 2) landmarks, in pixels of the crop, are of an infant.

    An infant is a child of less than two years, who has few teeth or none.

    Examples
    --------
    >>> from faceflex.faces.align import template
    >>> infant_score(template()) < -3
    True
    """
    weights = _weights()
    return float((landmarks * weights[:68]).sum() + weights[68, 0])


def is_infant(landmarks: NDArray[np.floating]) -> bool:
    """Tell whether (68, 2) landmarks, in pixels of the crop, are most likely an infant's."""
    return infant_score(landmarks) > SURE


def child_score(landmarks: NDArray[np.floating]) -> float:
    """Return the log odds that (68, 2) landmarks, in pixels of the crop, are of a small child.

    That is one of less than eight years; infants are, too.

    Examples
    --------
    >>> from faceflex.faces.align import template
    >>> child_score(template()) < -3
    True
    """
    weights = _weights("child68.csv")
    return float((landmarks * weights[:68]).sum() + weights[68, 0])


def is_child(landmarks: NDArray[np.floating]) -> bool:
    """Tell whether (68, 2) landmarks, in pixels of the crop, are most likely a small child's."""
    return child_score(landmarks) > CHILD
