"""Fit what years do to faces: prototypes of age, and how deep detail is at each.

Everything is one regression: of each face's shape, colors, detail's energy and folds on its age
(piecewise linear, for men and women apart) and on what else faces differ by (ancestry, expression,
beard, the picture's sharpness), so that what comes with age in the set alone, such as sharper
photos of older people, is not taken for age.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceflex.data.template import mirrored
from faceflex.data.years_faces import YearsFaces
from faceflex.faces.align import SIZE
from faceflex.methods.years import NODES, Years

_STIFF = 30.0  # Weight of the curves' bends, in faces.
_RIDGE = 1.0
_RANK = 6

Floats = NDArray[np.float32]


def age_weights(ages: NDArray[np.floating]) -> Floats:
    """Return (N, nodes): each age as a mean of its neighbouring nodes.

    Examples
    --------
    >>> age_weights(np.array([22.5, 99.0])).sum(axis=1).tolist()
    [1.0, 1.0]
    """
    identity = np.eye(len(NODES))
    return np.float32(np.stack([np.interp(ages, NODES, row) for row in identity], axis=1))


def regress(faces: YearsFaces, values: NDArray[np.floating]) -> Floats:
    """Return (2, nodes, D): values (N, D) of a man and of a woman at each node of age."""
    hats = age_weights(faces.age)
    others = faces.others - faces.others.mean(axis=0)
    x = np.concatenate(
        [hats * (1 - faces.female)[:, None], hats * faces.female[:, None], others], axis=1
    ).astype(np.float64)
    count = len(NODES)
    bends = np.diff(np.eye(count), 2, axis=0)
    stiff = np.zeros((x.shape[1], x.shape[1]))
    for start in (0, count):
        stiff[start : start + count, start : start + count] = _STIFF * bends.T @ bends
    stiff[2 * count :, 2 * count :] = _RIDGE * np.eye(others.shape[1])
    solve = np.linalg.solve(x.T @ x + stiff + 1e-6 * np.eye(len(stiff)), x.T)
    rows = [
        np.float32(solve[: 2 * count] @ values[:, at : at + 4096].astype(np.float64))
        for at in range(0, values.shape[1], 4096)
    ]
    return np.asarray(np.concatenate(rows, axis=1).reshape(2, count, -1), np.float32)


def _mirror(pictures: Floats) -> Floats:
    """Return pictures (..., h, w, C), each the mean of itself and its mirror image."""
    return np.asarray((pictures + pictures[..., ::-1, :]) / 2, np.float32)


def fit_years(faces: YearsFaces) -> Years:
    """Fit the statistics."""

    def fitted(values: NDArray[np.floating]) -> Floats:
        return regress(faces, values.reshape(len(values), -1)).reshape(
            2, len(NODES), *values.shape[1:]
        )

    shape = fitted(faces.shape)
    other = mirrored(shape.reshape(-1, 68, 2), SIZE).reshape(shape.shape)
    shape = np.asarray((shape + other) / 2, np.float32)
    color, energy = _mirror(fitted(faces.color)), _mirror(fitted(faces.energy))
    fold = _mirror(fitted(faces.fold[..., None]))
    turned = faces.flow[:, ::-1] * np.array([1, -1], np.float32)
    flow = np.asarray((faces.flow + turned) / 2, np.float32)
    curves = {"shape": shape, "color": color, "energy": energy, "fold": fold}
    return Years.from_curves(curves, flow, _RANK)
