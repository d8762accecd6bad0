"""Cascaded regression trees that find landmarks, from a file four times smaller than dlib's.

The method is Kazemi and Sullivan's ("One millisecond face alignment with an ensemble of regression
trees", CVPR 2014), the training dlib's (Davis King). dlib stores every leaf number as two integers
of 4 to 6 bytes in all; here it is one byte times a scale of its cascade level, memory-mapped. That
makes room for three times as many trees in the same file, and it opens in a millisecond.

File: safetensors with ``initial`` (68, 2), ``anchors`` (C, P) uint8, ``deltas`` (C, P, 2),
``features`` (C, T, S, 2) uint16, ``thresholds`` (C, T, S), ``leaves`` (C, T, S + 1, 136) int8 and
``scales`` (C, 136); C cascade levels of T trees with S splits, P pixels looked at per level.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import estimate_similarity
from faceflex.tensors import damage_named, read_arrays

KIND = "faceflex-trees-1"
_FARTHEST = 1e4  # In sides of the detector's box.


class TreeCascade:
    """A predictor of 68 points.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    AssetError
        If the file is missing, damaged, or not such a predictor.
    """

    def __init__(self, path: Path) -> None:
        parts, _ = read_arrays(path, KIND, "landmark predictor")
        with damage_named(path, "landmark predictor"):
            self._take(parts)

    def _take(self, parts: dict[str, NDArray[Any]]) -> None:
        self.initial = parts["initial"].astype(np.float32)
        self.anchors, self.deltas = parts["anchors"], parts["deltas"].astype(np.float32)
        self.features, self.thresholds = parts["features"], parts["thresholds"]
        self.leaves, self.scales = parts["leaves"], parts["scales"].astype(np.float32)
        levels, trees, splits = self.thresholds.shape
        pool = self.anchors.shape[1]
        good = (
            self.initial.shape == (68, 2)
            and self.deltas.shape == (levels, pool, 2)
            and self.features.shape == (levels, trees, splits, 2)
            and self.leaves.shape == (levels, trees, splits + 1, 136)
            and self.leaves.dtype == np.int8
            and self.scales.shape == (levels, 136)
            and (splits + 1) & splits == 0
            and self.anchors.shape == (levels, pool)
            and self.anchors.dtype.kind == self.features.dtype.kind == "u"
            and int(self.anchors.max()) < 68
            and int(self.features.max()) < pool
            and self.thresholds.dtype.kind == "f"
            and float(np.abs(self.deltas).max()) < _FARTHEST
            and float(np.abs(self.initial).max()) < _FARTHEST
            # No leaves of any tree lead farther than this: what comes out is always finite.
            and float(np.abs(self.scales).max()) * 128 * trees < _FARTHEST
            and float(np.ptp(self.initial, axis=0).min()) > 0
        )
        if not good:
            raise ValueError("its parts do not fit together")

    def __call__(
        self, gray: NDArray[np.uint8], box: tuple[float, float, float, float]
    ) -> NDArray[np.float32]:
        """Find the points of the face in a box.

        Parameters
        ----------
        gray
            (H, W) uint8.
        box
            Left, top, right and bottom of the box that the training used, in pixels.

        Returns
        -------
        (68, 2) float32, in pixels of ``gray``.
        """
        origin = np.array(box[:2], np.float32)
        extent = np.array([box[2] - box[0], box[3] - box[1]], np.float32)
        shape = self.initial.copy()
        for level in range(len(self.anchors)):
            values = self._look(gray, shape, level, origin, extent)
            shape += self._regress(values, level).reshape(68, 2)
        return shape * extent + origin

    def _look(
        self,
        gray: NDArray[np.uint8],
        shape: NDArray[np.float32],
        level: int,
        origin: NDArray[np.float32],
        extent: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Read the level's pixels, placed relative to the shape found so far; 0 outside."""
        turn = estimate_similarity(self.initial, shape)[:, :2].astype(np.float32)
        where = shape[self.anchors[level]] + self.deltas[level] @ turn.T
        x, y = np.floor(where * extent + origin + 0.5).astype(np.int64).T
        height, width = gray.shape
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        values = gray[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float32)
        values[~inside] = 0
        return values

    def _regress(self, values: NDArray[np.float32], level: int) -> NDArray[np.float32]:
        """Walk all trees of a level at once; return their summed (136,) shift."""
        features, thresholds = self.features[level], self.thresholds[level]
        trees, splits = thresholds.shape
        every, node = np.arange(trees), np.zeros(trees, np.int64)
        while node[0] < splits:
            first, second = features[every, node].T
            left = values[first] - values[second] > thresholds[every, node]
            node = 2 * node + np.where(left, 1, 2)
        leaves = self.leaves[level][every, node - splits]
        total: NDArray[np.float32] = leaves.sum(axis=0, dtype=np.int32) * self.scales[level]
        return total
