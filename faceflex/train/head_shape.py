"""Factorize the landmarks of many faces into one shape in three dimensions and a camera for each.

Run as ``python -m faceflex.train.head_shape UTKFace/ shape68.csv`` (Tomasi and Kanade, "Shape and
motion from image streams under orthography", IJCV 1992).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.data.readers import read_utkface
from faceflex.data.template import mirrored
from faceflex.faces.align import SIZE, estimate_similarity, transform_points
from faceflex.faces.landmark_groups import NOSE_TIP, RIGHT_EYE

_STILL = slice(27, 48)  # Nose and eyes: what is centered.
_YOUNGEST = 10  # Years: children have other proportions.

Floats = NDArray[np.float64]


def factorize(points: NDArray[np.floating]) -> Floats:
    """Return the mean shape (68, 3) of aligned landmarks (N, 68, 2), seen from the front.

    Faces and their mirror images count alike, so that it is symmetric.
    """
    both = np.concatenate([points, mirrored(points, SIZE)]).astype(np.float64)
    both -= both[:, _STILL].mean(axis=1, keepdims=True)
    seen = both.transpose(0, 2, 1).reshape(-1, 68)
    left, size, right = np.linalg.svd(seen, full_matrices=False)
    cameras, shape = left[:, :3] * size[:3], right[:3]
    shape, cameras = _metric(cameras, shape)
    # Upright, seen by the mean camera.
    across, down = cameras.reshape(-1, 2, 3).mean(axis=0)
    across /= np.linalg.norm(across)
    down -= across * (down @ across)
    down /= np.linalg.norm(down)
    solid = np.stack([across, down, np.cross(across, down)]) @ shape
    if solid[2, NOSE_TIP] < solid[2, RIGHT_EYE].mean():
        solid[2] *= -1
    return np.asarray(solid.T)


def _metric(cameras: Floats, shape: Floats) -> tuple[Floats, Floats]:
    """Return shape and cameras whose two rows are orthogonal and of equal length, 1 in the mean."""
    i, j = cameras[0::2], cameras[1::2]
    same = _products(i, j)
    equal, length = _products(i, i) - _products(j, j), _products(i, i) + _products(j, j)
    a = np.concatenate([equal, same, len(i) * length.mean(axis=0, keepdims=True)])
    b = np.append(np.zeros(2 * len(i)), 2.0 * len(i))
    q = np.linalg.lstsq(a, b, rcond=None)[0]
    square = np.array([[q[0], q[1], q[2]], [q[1], q[3], q[4]], [q[2], q[4], q[5]]])
    values, vectors = np.linalg.eigh(square)
    root = vectors * np.sqrt(np.maximum(values, 1e-12))
    return np.asarray(np.linalg.solve(root, shape)), np.asarray(cameras @ root)


def _products(a: Floats, b: Floats) -> Floats:
    """Return the coefficients (N, 6) of a symmetric matrix's entries in a^T Q b."""
    cross = [a[:, m] * b[:, n] + a[:, n] * b[:, m] for m, n in ((0, 1), (0, 2), (1, 2))]
    first, second, third = (a[:, k] * b[:, k] for k in range(3))
    return np.stack([first, cross[0], cross[1], second, cross[2], third], axis=1)


def main() -> None:
    """Read, factorize, write."""
    parser = argparse.ArgumentParser(prog="python -m faceflex.train.head_shape")
    parser.add_argument("utkface", type=Path, help="UTKFace, landmarks beside it")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    points = np.stack(
        [
            transform_points(estimate_similarity(r.points), r.points)
            for r in read_utkface(options.utkface)
            if r.points is not None and not r.held_out and r.labels.get("age", 0) >= _YOUNGEST
        ]
    )
    np.savetxt(options.out, factorize(points), fmt="%.1f", delimiter=",")
    sys.stdout.write(f"{len(points)} faces\n")


if __name__ == "__main__":
    main()
