"""Wrinkles that a photo does not have: lines that run as those of the old do, and uneven color.

Noise is smeared along the way that wrinkles run at each place of the mean face (line integral
convolution, Cabral and Leedom 1993), filtered to lines of two widths, and bent so that valleys are
narrow and dark, as folds in skin are. A seed fixes all of it: a person has the same wrinkles at
every strength and in every frame.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import SIZE

FRAME = 384
"""Side of the textures: three pixels to one of the crop."""

_SCALE = FRAME / SIZE
_LINES = ((0.4, 9.0), (0.9, 26.0))  # Width (sigma) and length of lines, in pixels of the crop.
_SPOTS = (0.8, 2.2)  # Sigmas of the spots of color.
_VALLEY = 1.2

Floats = NDArray[np.float32]


def _smeared(noise: Floats, way: Floats, length: float) -> Floats:
    """Return noise (h, h), averaged along unit vectors ``way`` (h, h, 2) over a length."""
    line = np.arange(FRAME, dtype=np.float32)
    x0, y0 = np.meshgrid(line, line)
    total, weight = noise.copy(), 1.0
    step = 1.5
    count = max(1, round(length / 2 / step))
    for sign in (1.0, -1.0):
        x, y = x0.copy(), y0.copy()
        for n in range(count):
            at = cv2.remap(way, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            x += np.float32(sign * step) * at[..., 0]
            y += np.float32(sign * step) * at[..., 1]
            share = 0.5 + 0.5 * np.cos(np.pi * (n + 1) / (count + 1))
            seen = cv2.remap(noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            total += np.float32(share) * seen
            weight += share
    return np.asarray(total / np.float32(weight), np.float32)


@lru_cache(maxsize=4)
def _textures(flow: bytes, side: int, seed: int) -> tuple[Floats, Floats]:
    field = np.frombuffer(flow, np.float32).reshape(side, side, 2)
    field = cv2.resize(field, (FRAME, FRAME), interpolation=cv2.INTER_CUBIC)
    # Slopes run across a wrinkle; it runs at a right angle to them.
    angle = np.arctan2(field[..., 1], field[..., 0]) / 2 + np.pi / 2
    rng = np.random.default_rng((seed, 31))
    wander = cv2.GaussianBlur(rng.standard_normal((FRAME, FRAME)), (0, 0), 6 * _SCALE)
    angle = angle + 0.22 * wander / wander.std()
    way = np.float32(np.stack([np.cos(angle), np.sin(angle)], axis=2))
    lines = []
    for width, length in _LINES:
        noise = rng.standard_normal((FRAME, FRAME)).astype(np.float32)
        noise = _smeared(noise, way, length * _SCALE)
        sigma = width * _SCALE
        band = cv2.GaussianBlur(noise, (0, 0), sigma) - cv2.GaussianBlur(noise, (0, 0), 2 * sigma)
        band /= np.sqrt(cv2.GaussianBlur(band * band, (0, 0), 8 * _SCALE)) + 1e-6
        valley = -(np.maximum(band - 0.35, 0) ** _VALLEY)
        valley += 0.35 * np.maximum(-band, 0)
        valley -= cv2.GaussianBlur(valley, (0, 0), 5 * _SCALE)
        valley /= valley.std()
        lines.append(np.float32(3 * np.tanh(valley / 3)))
    spots = []
    for sigma in _SPOTS:
        noise = rng.standard_normal((FRAME, FRAME)).astype(np.float32)
        blob = cv2.GaussianBlur(noise, (0, 0), sigma * _SCALE)
        spots.append(blob / blob.std())
    spot = spots[0] * 0.5 + spots[1] * 0.7
    result = np.stack(lines, axis=2), np.float32(spot)
    for array in result:
        array.setflags(write=False)
    return result


def wrinkle_textures(flow: Floats, seed: int) -> tuple[Floats, Floats]:
    """Make wrinkles in the frame of the mean face.

    Parameters
    ----------
    flow
        (n, n, 2) which way they run; see :func:`faceflex.compose.years_bands.detail_flow`.
    seed
        Which wrinkles.

    Returns
    -------
    (384, 384, 2) lines, fine and broad, and (384, 384) spots; of variance 1, dark is negative.

    Examples
    --------
    >>> flow = np.zeros((8, 8, 2), np.float32)
    >>> flow[..., 0] = -1.0  # Slopes run up and down: lines from side to side.
    >>> lines, _ = wrinkle_textures(flow, 0)
    >>> down, across = (np.abs(np.diff(lines[..., 1], axis=k)).mean() for k in (0, 1))
    >>> bool(down > 1.3 * across)
    True
    """
    found = np.ascontiguousarray(flow, np.float32)
    return _textures(found.tobytes(), len(found), seed)
