"""What may show between lips: a linear model of mouths' interiors.

A mouth's interior, sampled on a grid from lip to lip and from corner to corner and divided by the
skin's brightness, is a mean plus a few components (principal component analysis; compare the
appearance part of Cootes et al., "Active appearance models", IEEE PAMI 2001). The code that is
likely follows from the mouth's shape, the smile, the age and the skin by ridge regression; the
residual's covariance is what kinds of mouths are drawn from.

A network that is told such a code need not guess whether teeth are to be seen, so it makes sharp
ones instead of the mean of all guesses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.mouth_maps import GRID_COLUMNS, GRID_ROWS
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA

CODE = 20
"""Components of a code."""

FEATURES = 13
"""Numbers that a code is predicted from."""

GRID = GRID_ROWS * GRID_COLUMNS * 3
"""Numbers of a grid."""

_RIDGE = 1e-2

Floats = NDArray[np.float32]


def mouth_features(lips: Lips, skin: Floats, smile: float, age: float) -> Floats:
    """Return what a mouth's code is predicted from, (13,) float32.

    Parameters
    ----------
    lips
        Contours of the inner lips, in pixels of the crop.
    skin
        (3,) color of the cheeks, in [0, 1].
    smile
        Smile degree, standardised: 0 for the mean of all faces.
    age
        In years.
    """
    bright = max(float(skin @ LUMA), 0.02)
    gap, width = lips.gap / 6, float(lips.x[-1] - lips.x[0]) / 40 - 1
    bend = float(lips.upper[[0, -1]].mean() - lips.upper[len(lips.x) // 2]) / 4
    baby, old = min(age, 8.0) / 8, max(age - 50, 0.0) / 40
    hue = (float(skin[0]) / bright - 1.2, float(skin[2]) / bright - 0.8)
    return np.array(
        [1, gap, gap * gap, width, bend, smile, smile * gap, baby, old, baby * smile, bright, *hue],
        np.float32,
    )


@dataclass(frozen=True)
class MouthCodes:
    """The linear model.

    Attributes
    ----------
    mean
        (576,) mean grid, in units of the skin's brightness.
    basis
        (20, 576) components: orthonormal rows times their standard deviation.
    regression
        (13, 20) features to the likely code.
    spread
        (20, 20) Cholesky factor of the residual's covariance.
    """

    mean: Floats
    basis: Floats
    regression: Floats
    spread: Floats

    def encode(self, grid: Floats) -> Floats:
        """Return the code (20,) of a grid (8, 24, 3) in units of the skin's brightness."""
        scale = np.square(self.basis).sum(axis=1)
        return np.float32(self.basis @ (grid.ravel() - self.mean) / scale)

    def decode(self, code: Floats) -> Floats:
        """Return the grid (8, 24, 3) of a code."""
        return np.float32((self.mean + code @ self.basis).reshape(GRID_ROWS, GRID_COLUMNS, 3))

    def predict(self, features: Floats, noise: Floats, variety: float = 1.0) -> Floats:
        """Return a code (20,) that features make likely.

        Parameters
        ----------
        features
            From :func:`mouth_features`.
        noise
            (20,) standard normal: which of the likely ones.
        variety
            Scale of the noise; 0 gives the likeliest.
        """
        return np.float32(features @ self.regression + variety * (self.spread @ noise))


def fit_codes(grids: Floats, features: Floats) -> MouthCodes:
    """Fit the model.

    Parameters
    ----------
    grids
        (N, 8, 24, 3) mouths' interiors in units of the skin's brightness, at least 20 of them.
    features
        (N, 13) of the same mouths.
    """
    flat = grids.reshape(len(grids), -1)
    mean = flat.mean(axis=0)
    _, size, rows = np.linalg.svd(flat - mean, full_matrices=False)
    basis = rows[:CODE] * np.maximum(size[:CODE, None] / np.sqrt(len(flat)), 1e-4)
    codes = (flat - mean) @ basis.T / np.square(basis).sum(axis=1)
    gram = features.T @ features / len(features)
    moment = features.T @ codes / len(features)
    ridge = _RIDGE * np.diag(np.diag(gram)) + 1e-9 * np.eye(len(gram))
    regression = np.linalg.solve(gram + ridge, moment)
    residual = codes - features @ regression
    spread = np.linalg.cholesky(np.cov(residual.T) + 1e-6 * np.eye(CODE))
    return MouthCodes(*map(np.float32, (mean, basis, regression, spread)))
