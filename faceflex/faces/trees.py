"""Landmark prediction by cascaded regression trees, in files four times smaller than dlib's.

The method is Kazemi and Sullivan's ("One millisecond face alignment with an ensemble of regression
trees", CVPR 2014), the training dlib's (Davis King). dlib stores each leaf value in 4 to 6 bytes;
here leaves are quantized to int8 with a scale for each cascade level, and memory-mapped. A file of
equal size holds three times as many trees, and it opens in a millisecond.

File: safetensors with ``initial`` (68, 2), ``anchors`` (C, P) uint8, ``deltas`` (C, P, 2),
``features`` (C, T, S, 2) uint16, ``thresholds`` (C, T, S), ``leaves`` (C, T, S + 1, 136) int8 and
``scales`` (C, 136); C cascade levels of T trees with S splits, P pixels sampled per level.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import estimate_similarity
from faceflex.tensors import read_arrays, wrap_read_errors

KIND = "faceflex-trees-1"
_MAX_COORDINATE = 1e4  # In sides of the detector's box.


class TreeCascade:
    """A 68-point landmark predictor.

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
        arrays, _ = read_arrays(path, KIND, "landmark predictor")
        with wrap_read_errors(path, "landmark predictor"):
            self._load(arrays)

    def _load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Load the cascade's arrays; validate shapes, indices and magnitudes."""
        self.initial = arrays["initial"].astype(np.float32)
        self.anchors, self.deltas = arrays["anchors"], arrays["deltas"].astype(np.float32)
        self.features, self.thresholds = arrays["features"], arrays["thresholds"]
        self.leaves, self.scales = arrays["leaves"], arrays["scales"].astype(np.float32)
        levels, trees, splits = self.thresholds.shape
        pool = self.anchors.shape[1]
        valid = (
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
            and float(np.abs(self.deltas).max()) < _MAX_COORDINATE
            and float(np.abs(self.initial).max()) < _MAX_COORDINATE
            # Bounds the sum of all leaves: results are always finite.
            and float(np.abs(self.scales).max()) * 128 * trees < _MAX_COORDINATE
            and float(np.ptp(self.initial, axis=0).min()) > 0
        )
        if not valid:
            raise ValueError("its arrays do not fit together")

    def __call__(
        self, gray: NDArray[np.uint8], box: tuple[float, float, float, float]
    ) -> NDArray[np.float32]:
        """Predict the landmarks of the face in a box.

        Parameters
        ----------
        gray
            (H, W) uint8.
        box
            Left, top, right and bottom of the detector's box, as in training, in pixels.

        Returns
        -------
        (68, 2) float32, in pixels of ``gray``.
        """
        origin = np.array(box[:2], np.float32)
        extent = np.array([box[2] - box[0], box[3] - box[1]], np.float32)
        shape = self.initial.copy()
        for level in range(len(self.anchors)):
            values = self._sample(gray, shape, level, origin, extent)
            shape += self._regress(values, level).reshape(68, 2)
        return shape * extent + origin

    def _sample(
        self,
        gray: NDArray[np.uint8],
        shape: NDArray[np.float32],
        level: int,
        origin: NDArray[np.float32],
        extent: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Sample a level's pixels, placed relative to the current shape; 0 outside the image."""
        linear = estimate_similarity(self.initial, shape)[:, :2].astype(np.float32)
        places = shape[self.anchors[level]] + self.deltas[level] @ linear.T
        x, y = np.floor(places * extent + origin + 0.5).astype(np.int64).T
        height, width = gray.shape
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        values = gray[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float32)
        values[~inside] = 0
        return values

    def _regress(self, values: NDArray[np.float32], level: int) -> NDArray[np.float32]:
        """Evaluate all trees of a level at once; return their summed (136,) displacement."""
        features, thresholds = self.features[level], self.thresholds[level]
        trees, splits = thresholds.shape
        tree, node = np.arange(trees), np.zeros(trees, np.int64)
        while node[0] < splits:
            first, second = features[tree, node].T
            left = values[first] - values[second] > thresholds[tree, node]
            node = 2 * node + np.where(left, 1, 2)
        leaves = self.leaves[level][tree, node - splits]
        total: NDArray[np.float32] = leaves.sum(axis=0, dtype=np.int32) * self.scales[level]
        return total
