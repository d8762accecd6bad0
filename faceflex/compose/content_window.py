"""The window of an aligned face in which content is rendered: from the lower lids to the chin."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import invert
from faceflex.faces.region import Region

SCALE = 1.6
"""Pixels of the window to one of the 128-pixel crop."""

LEFT, TOP = 13.5, 40.0
"""Upper left corner of the window, in pixels of the crop."""

WIDTH, HEIGHT = 160, 128
"""Size of the window in its own pixels."""

_FADE = 10  # Pixels of the window over which content fades towards its border.

Floats = NDArray[np.float32]


def window_coordinates() -> tuple[Floats, Floats]:
    """Return x and y, (128, 160) float32 each, of the window's pixels in pixels of the crop."""
    across = (np.arange(WIDTH, dtype=np.float32) + 0.5) / SCALE - 0.5 + LEFT
    down = (np.arange(HEIGHT, dtype=np.float32) + 0.5) / SCALE - 0.5 + TOP
    x, y = np.meshgrid(across, down)
    return x, y


def to_window(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Convert pixels of the crop to pixels of the window.

    Examples
    --------
    >>> x, y = window_coordinates()
    >>> wx, wy = to_window(x[3, 7], y[3, 7])
    >>> round(float(wx), 3), round(float(wy), 3)
    (7.0, 3.0)
    """
    return (
        np.float32((x - LEFT + 0.5) * SCALE - 0.5),
        np.float32((y - TOP + 0.5) * SCALE - 0.5),
    )


@cache
def border_fade() -> Floats:
    """Return (128, 160): 1, falling to 0 at the window's border (read-only)."""
    across, down = (
        np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) / _FADE, 0, 1) for n in (WIDTH, HEIGHT)
    )
    fade = np.float32(down[:, None] * across)
    fade.setflags(write=False)
    return fade


def window_in(region: Region) -> tuple[slice, slice]:
    """Return the rows and columns of a region that hold the window; empty if none do."""
    left, top = LEFT - 0.5, TOP - 0.5
    right, bottom = left + WIDTH / SCALE, top + HEIGHT / SCALE
    corners = np.array([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]])
    places = corners @ invert(region.matrix).T
    low, high = np.floor(places.min(axis=0)), np.ceil(places.max(axis=0)) + 1
    columns, rows = (
        slice(int(np.clip(a, 0, n)), int(np.clip(b, 0, n)))
        for a, b, n in zip(low, high, region.size, strict=True)
    )
    return rows, columns


def region_to_window(patch: Floats, region: Region) -> Floats:
    """Resample a region (h, w, 3) to the window, (128, 160, 3)."""
    # Large regions are averaged over whole pixels first, so that nothing aliases.
    factor = max(1, int(1 / (region.scale * SCALE)))
    height, width = (n // factor for n in patch.shape[:2])
    if factor > 1:
        even = patch[: height * factor, : width * factor]
        patch = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
    x, y = window_coordinates()
    across, down = (
        np.float32((row[0] * x + row[1] * y + row[2] + 0.5) / factor - 0.5)
        for row in invert(region.matrix)
    )
    return cv2.remap(patch, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def window_to_region(change: Floats, region: Region) -> Floats:
    """Resample a change (128, 160, 3) of the window to a region, (h, w, 3); 0 outside of it."""
    scale = region.scale * SCALE
    if scale > 1.2:
        change = cv2.GaussianBlur(change, (0, 0), 0.4 * scale)
    target = region.coarse if region.stride > 1 else region
    border = cv2.BORDER_CONSTANT
    resampled = cv2.remap(
        change, *to_window(*target.coordinates()), cv2.INTER_CUBIC, borderMode=border, borderValue=0
    )
    return region.upsample(resampled)
