"""Maps of a mouth, drawn from the contours of its inner lips.

All of it is analytic, so it is drawn at the network's resolution and at a photo's alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.lips_motion import between, edges
from faceflex.faces.lips import Lips
from faceflex.faces.smoothstep import smoothstep

HOLE_GROWTH, HOLE_SOFTNESS = 1.4, 1.4
"""How far the hole reaches beyond the lips' edges, and the width of its rim, pixels of the crop."""

GRID_ROWS, GRID_COLUMNS = 8, 24
"""Size of the grid that samples a mouth's interior: from lip to lip, and from corner to corner."""

_RIM = 0.8  # Pixels of the crop over which a lip's edge passes into what is behind it.
_AT_CORNERS = 0.45  # Share of the growth that is left at the corners.
_UNIT, _MOST = 8.0, 2.0  # Pixels of the crop that are 1 in the maps of distance; their bound.
_FILL_BLUR = 3.0  # Pixels of the halved picture.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MouthMaps:
    """Maps (h, w) float32 of a mouth.

    Attributes
    ----------
    hole
        Where the picture is made anew, 0 to 1: the mouth's interior and the edges of its lips.
    interior
        What lies between the lips, 0 to 1; nothing when they touch.
    below_upper, below_lower, aside
        Signed distances: below the upper and the lower lip's edge, and to the right of the
        middle of the face; 1 is 8 pixels of the crop, and no more than 2 either way.
    """

    hole: Floats
    interior: Floats
    below_upper: Floats
    below_lower: Floats
    aside: Floats

    def stacked(self) -> Floats:
        """Return them as (5, h, w)."""
        return np.stack([self.hole, self.interior, self.below_upper, self.below_lower, self.aside])


def mouth_maps(
    lips: Lips,
    middle: float,
    x: Floats,
    y: Floats,
    *,
    growth: float = HOLE_GROWTH,
    softness: float = HOLE_SOFTNESS,
) -> MouthMaps:
    """Draw the maps of a mouth.

    Parameters
    ----------
    lips
        Contours of the inner lips, in pixels of the crop.
    middle
        x of the middle of the face there.
    x, y
        (h, w) coordinates, in pixels of the crop.
    growth, softness
        How far the hole reaches beyond the lips' edges, and how soft its rim is.
    """
    upper, lower = edges(lips, x)
    beyond = np.maximum(np.maximum(lips.x[0] - x, x - lips.x[-1]), 0)
    away = np.hypot(beyond, np.maximum(np.maximum(upper - y, y - lower), 0))
    half = max(float(lips.x[-1] - lips.x[0]) / 2, 1.0)
    off = np.abs(x - (lips.x[0] + lips.x[-1]) / 2) / half
    reach = growth * (_AT_CORNERS + (1 - _AT_CORNERS) * np.clip((1.05 - off) / 0.35, 0, 1))
    hole = smoothstep((reach - away) / softness + 0.5)
    distances = (
        np.float32(np.clip(d / _UNIT, -_MOST, _MOST)) for d in (y - upper, y - lower, x - middle)
    )
    return MouthMaps(np.float32(hole), between(lips, x, y, _RIM), *distances)


def grid_coordinates(lips: Lips) -> tuple[Floats, Floats]:
    """Return x and y, (8, 24) each, of the grid between lips, in pixels of the crop."""
    u = (np.arange(GRID_COLUMNS, dtype=np.float32) + 0.5) / GRID_COLUMNS
    v = (np.arange(GRID_ROWS, dtype=np.float32)[:, None] + 0.5) / GRID_ROWS
    x = np.float32(lips.x[0] + u * (lips.x[-1] - lips.x[0]))
    upper, lower = edges(lips, x)
    y = upper + v * (lower - upper)
    return np.broadcast_to(x, y.shape).copy(), np.float32(y)


def spread_grid(grid: Floats, lips: Lips, x: Floats, y: Floats) -> Floats:
    """Lay a grid (8, 24, 3) between lips; return (h, w, 3) at coordinates (h, w) of the crop."""
    upper, lower = edges(lips, x)
    u = (x - lips.x[0]) / max(float(lips.x[-1] - lips.x[0]), 1.0)
    v = (y - upper) / np.maximum(lower - upper, 0.5)
    return cv2.remap(
        grid,
        np.float32(np.clip(u, 0, 1) * GRID_COLUMNS - 0.5),
        np.float32(np.clip(v, 0, 1) * GRID_ROWS - 0.5),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )


def fill_hole(picture: Floats, hole: Floats) -> Floats:
    """Return a picture (h, w, 3) in which a hole (h, w) has the color of what is around it."""
    size = picture.shape[1::-1]
    known = np.float32(hole < 0.02)[:, :, None]
    both = np.concatenate([picture * known, known], axis=2)
    small = cv2.resize(both, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA)
    near, wide = (cv2.GaussianBlur(small, (0, 0), k * _FILL_BLUR) for k in (1, 4))
    near += np.float32(1e-3) * wide
    filled = near[..., :3] / np.maximum(near[..., 3:], 1e-6)
    return cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)
