"""Compute the alignment template from labelled faces.

``python -m faceflex.data.template LANDMARKS.npz...`` wrote ``faceflex/assets/template68.csv``:
the Procrustes mean of the given (N, 68, 2) landmarks, made left-right symmetric, its box 106
pixels wide in a crop of 128, the chin 5 pixels above the lower edge.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import SIZE, estimate_similarity, transform_points

MIRROR = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)
"""Index of each of the 68 points' partner on the other half of the face."""

_BOX_WIDTH, _CHIN_GAP = 106.0, 5.0


def mirrored(points: NDArray[np.floating], width: float) -> NDArray[np.float32]:
    """Mirror (..., 68, 2) landmarks of a picture ``width`` pixels wide, keeping their order."""
    flipped = np.asarray(points, dtype=np.float32)[..., MIRROR, :].copy()
    flipped[..., 0] = width - 1 - flipped[..., 0]
    return flipped


def procrustes_mean(shapes: NDArray[np.floating], rounds: int = 5) -> NDArray[np.float64]:
    """Return the symmetric mean shape of (N, 68, 2) landmarks, placed in the 128-pixel crop."""
    mean = np.asarray(shapes[0], dtype=np.float64)
    for _ in range(rounds):
        mean = np.mean(
            [transform_points(estimate_similarity(s, mean), s) for s in shapes],
            axis=0,
            dtype=np.float64,
        )
        mean -= mean.mean(axis=0)
        # Level the face: the eyes' centres on one row, then average with the mirror image.
        right, left = mean[36:42].mean(axis=0), mean[42:48].mean(axis=0)
        angle = np.arctan2(left[1] - right[1], left[0] - right[0])
        c, s = np.cos(-angle), np.sin(-angle)
        mean = mean @ np.array([[c, -s], [s, c]]).T
        partner = mean[MIRROR] * [-1.0, 1.0]
        mean = (mean + partner) / 2
    low, high = mean.min(axis=0), mean.max(axis=0)
    scale = _BOX_WIDTH / (high[0] - low[0])
    centre = np.array([(SIZE - 1) / 2, SIZE - 1 - _CHIN_GAP])
    return (mean - [(low[0] + high[0]) / 2, high[1]]) * scale + centre


def main(paths: list[str]) -> None:
    """Print the template of the landmark files ``paths`` as CSV."""
    shapes = np.concatenate([np.load(p)["points"][:8000] for p in paths])
    sys.stdout.write("x,y\n")
    for x, y in procrustes_mean(shapes):
        sys.stdout.write(f"{x:.4f},{y:.4f}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
