"""Make the relief of teeth that new mouths get, from one photo of a smile.

A decoder of 128 pixels paints teeth as one pale bar: that they are teeth, with gaps and edges, is
detail that it cannot have. Detail is also all that is taken from the photo: how much brighter or
darker each place is than its surroundings, not its colour and not its light.

Run as ``python -m faceflex.train.teeth SMILE.jpg teeth.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.teeth import ABOVE, BELOW, FINE, HALF, MIDDLE
from faceflex.faces import find_faces
from faceflex.faces.align import estimate_similarity, transform_points, warp
from faceflex.faces.lips import find_lips

_SURROUNDINGS = 2.5  # Pixels of the crop.


def teeth_relief(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the relief of the teeth of the largest face's smile.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8 photo.

    Returns
    -------
    (h, w) uint8, 128 where a place is as bright as its surroundings; see
    :mod:`faceflex.compose.teeth`.
    """
    points = max(find_faces(rgb), key=lambda f: f.width).points
    lips, matrix = find_lips(rgb, points), estimate_similarity(points)
    side = 128 * FINE
    fine = matrix * FINE
    fine[:, 2] += 0.5 * FINE - 0.5
    picture, _ = warp(rgb, fine, side)
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    middle = float(transform_points(matrix, points)[[51, 57, 33, 8], 0].mean())
    u = np.arange(-HALF * FINE, HALF * FINE, dtype=np.float32) / FINE
    v = np.arange(-BELOW * FINE, ABOVE * FINE, dtype=np.float32)[:, None] / FINE
    low, high = (np.interp(middle + u, lips.x, e) for e in (lips.lower, lips.upper))
    x, y = np.broadcast_to(middle + u, (len(v), len(u))), low - v
    at = [np.float32((p + 0.5) * FINE - 0.5) for p in (x, y)]
    level = cv2.remap(gray, at[0], at[1], cv2.INTER_CUBIC)
    inside = np.float32((y > high + 0.3) & (y < low - 0.2) & (x > lips.x[3]) & (x < lips.x[-4]))
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8))
    width = _SURROUNDINGS * FINE
    around = cv2.GaussianBlur(level * inside, (0, 0), width)
    around /= np.maximum(cv2.GaussianBlur(inside, (0, 0), width), 1e-3)
    relief = np.clip(level / np.maximum(around, 1), 0.3, 1.6)
    soft = cv2.GaussianBlur(cv2.erode(inside, np.ones((5, 5), np.uint8)), (0, 0), 3)
    return np.uint8(np.clip(np.round(MIDDLE * (1 + (relief - 1) * soft)), 0, 255))


def main() -> None:
    """Write the relief."""
    from faceflex.photo import load_rgb

    parser = argparse.ArgumentParser(prog="python -m faceflex.train.teeth")
    parser.add_argument("photo", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    relief = teeth_relief(load_rgb(options.photo))
    if not cv2.imwrite(str(options.out), relief, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise SystemExit(f"{options.out}: cannot be written")


if __name__ == "__main__":
    main()
