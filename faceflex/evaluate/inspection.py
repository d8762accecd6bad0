"""Looking inside a conditional model: what its codes hold, and what moving them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceflex.models.face_generator import FaceGenerator
from faceflex.photo.grid import captioned_grid

STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Places along an axis, in standard deviations."""
DEGREES = (-1.0, -0.7, -0.35, 0.0, 0.35, 0.7, 1.0)

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class CodePCA:
    """Principal components of codes.

    Attributes
    ----------
    mean
        (D,) mean code.
    axes
        (K, D) unit axes, rows.
    deviations
        (K,) standard deviation along each, falling.
    """

    mean: Floats
    axes: Floats
    deviations: Floats

    @property
    def explained(self) -> NDArray[np.float64]:
        """Share of the variance that the first axes explain together, (K,)."""
        squares = self.deviations.astype(np.float64) ** 2
        return np.cumsum(squares) / squares.sum()


def fit_pca(codes: Floats) -> CodePCA:
    """Fit the principal components of codes (N, D), by singular values."""
    mean = codes.mean(axis=0)
    _, values, axes = np.linalg.svd(codes - mean, full_matrices=False)
    return CodePCA(mean, axes, np.float32(values / np.sqrt(max(len(codes) - 1, 1))))


def traverse(
    generator: FaceGenerator,
    starts: Floats,
    directions: Sequence[tuple[str, Floats]],
    degree: float = 0.0,
) -> Picture:
    """Draw what moving codes along directions does.

    Parameters
    ----------
    generator
        The model.
    starts
        (N, D) codes to begin with.
    directions
        A name, and (D,) one standard deviation along it.
    degree
        Of all faces.

    Returns
    -------
    (H, W, 3) uint8: for each direction and start a row, from -3 to 3 standard deviations.
    """
    rows = []
    for name, direction in directions:
        for start in starts:
            codes = np.array([start + step * direction for step in STEPS], np.float32)
            faces = generator.decode(codes, np.full(len(codes), degree, np.float32))
            rows.append([(f"{name} {step:+g}", f) for step, f in zip(STEPS, faces, strict=True)])
    return captioned_grid(rows)


def traverse_degree(generator: FaceGenerator, starts: Floats) -> Picture:
    """Draw codes (N, D) at degrees from -1 to 1, a row each; (H, W, 3) uint8."""
    rows = []
    for start in starts:
        codes = np.tile(start, (len(DEGREES), 1))
        faces = generator.decode(codes, np.array(DEGREES, np.float32))
        rows.append([(f"degree {d:+g}", f) for d, f in zip(DEGREES, faces, strict=True)])
    return captioned_grid(rows)
