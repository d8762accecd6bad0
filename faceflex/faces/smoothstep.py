"""The smooth step: from 0 to 1 without a corner at either end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def smoothstep(t: NDArray[np.floating] | float) -> NDArray[Any]:
    """Return 0 below 0, 1 above 1, and between them the cubic that is flat at both, elementwise.

    Examples
    --------
    >>> smoothstep(np.array([-1.0, 0.25, 0.5, 2.0])).tolist()
    [0.0, 0.15625, 0.5, 1.0]
    """
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
