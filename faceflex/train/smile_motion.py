"""Fit how people smile to pairs of pictures: neutral, smiling.

Pairs are aligned by nose and corners of the eyes. To see how much a face smiles already, the shapes
part of the way from one to the other are learned, too; and each pair also mirrored, so that no side
is preferred.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.data.template import MIRROR
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE, estimate_similarity, transform_points
from faceflex.faces.find import FaceFinder
from faceflex.faces.landmark_groups import MOUTH
from faceflex.faces.lips import Lips, find_lips, lips_from_landmarks
from faceflex.methods.smile_motion import (
    FIRST,
    OUTPUTS,
    TERMS,
    SmileMotion,
    lips_apart,
    normalised,
    shape_code,
)
from faceflex.photo import load_rgb

_PART_WAY = (0.0, 0.25, 0.5, 0.75, 1.0)
_SURELY_OPEN = 2.5  # Pixels of the crop.
_PADDING = 60  # Pixels around pictures whose faces touch their edges.
# Points by hand of the FEI set that lie where landmarks do: corners of mouth and eyes, lips.
_HAND = {2: 48, 3: 50, 4: 51, 5: 52, 6: 54, 7: 56, 8: 58, 9: 36, 11: 39, 13: 42, 15: 45}

Face = tuple[NDArray[np.float32], Lips]


@dataclass(frozen=True)
class SmilePair:
    """A person's two faces, each as landmarks (68, 2) and lips in pixels of its aligned crop.

    Attributes
    ----------
    name
        The person.
    source
        The set of pictures.
    neutral, smiling
        The faces.
    """

    name: str
    source: str
    neutral: Face
    smiling: Face


@dataclass(frozen=True)
class SmileMotionConfig:
    """How smile motion is fitted.

    Attributes
    ----------
    ridge
        Penalty of the displacements' weights, in units of a mean squared pixel.
    degree_ridge
        The same of the smile degree's.
    balance
        How far sets of different size count the same, 0 to 1.
    modes
        How many kinds of smile are kept.
    small
        How far small smiles count more than large ones, 0 to 1: at 1 each counts by the share of
        its way that is missed.
    closed_prior
        How many smiles that are like all others are counted beside those whose lips meet.
    """

    ridge: float = 3.0
    degree_ridge: float = 1.0
    balance: float = 0.5
    modes: int = 8
    small: float = 1.0
    closed_prior: float = 4.0


def find_pairs(root: Path) -> list[tuple[str, Path, Path]]:
    """Return name, neutral and smiling picture of each person of a set.

    Known are FEI's (``images/1a.jpg`` and ``1b.jpg``) and London's (``neutral_front/001_03.jpg``
    and ``smiling_front/001_08.jpg``).

    Raises
    ------
    UsageError
        If the folder has no such pairs.
    """
    pairs = []
    for path in sorted(root.rglob("*.jpg")):
        for neutral, smiling in (("a.jpg", "b.jpg"), ("_03.jpg", "_08.jpg")):
            if path.name.endswith(neutral):
                name = path.name.removesuffix(neutral)
                other = path.with_name(name + smiling)
                if smiling == "_08.jpg" and not other.is_file():
                    other = path.parent.parent / "smiling_front" / other.name
                if other.is_file():
                    pairs.append((name, path, other))
    if not pairs:
        raise UsageError(f"{root}: no pairs of pictures, as the FEI and the London set have them")
    return pairs


def _read_hand(root: Path) -> dict[str, NDArray[np.float64]]:
    """Return the points by hand (46, 2) by file name; empty where there are none."""
    path = root / "points46.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return {row[0]: np.array(row[1:], np.float64).reshape(-1, 2) for row in rows}


def _find_face(rgb: NDArray[np.uint8], finder: FaceFinder) -> NDArray[np.float32] | None:
    """Return the largest face's landmarks (68, 2), found twice so that the start matters less."""
    for room in (0, _PADDING):
        kind = cv2.BORDER_REFLECT_101
        picture = cv2.copyMakeBorder(rgb, room, room, room, room, kind)
        faces = finder.find(np.asarray(picture, np.uint8))
        if faces:
            points = max(faces, key=lambda f: f.width).points - np.float32(room)
            return finder.landmarks.refine(rgb, points)
    return None


def _to_crop(rgb: NDArray[np.uint8], points: NDArray[np.float32]) -> Face:
    """Return landmarks and lips in the crop.

    In grey pictures teeth are not told from lips by colour: where landmarks are sure that lips are
    apart, theirs are taken.
    """
    landmarks, lips = transform_points(estimate_similarity(points), points), find_lips(rgb, points)
    rough = lips_from_landmarks(landmarks)
    return landmarks, rough if rough.gap > _SURELY_OPEN and not lips.open else lips


def read_pairs(root: Path, finder: FaceFinder) -> Iterator[SmilePair]:
    """Find faces, landmarks and lips of a set's pairs; those without a face are left out.

    Landmarks that were also set by hand move halfway as those do.
    """
    hand = _read_hand(root)
    for name, *paths in find_pairs(root):
        pictures = [load_rgb(p) for p in paths]
        points = [_find_face(p, finder) for p in pictures]
        first, second = points
        if first is None or second is None:
            continue
        marks = [hand.get(p.name) for p in paths]
        faces = [_to_crop(r, p) for r, p in zip(pictures, (first, second), strict=True)]
        if marks[0] is not None and marks[1] is not None:
            faces[1] = _corrected(faces, (first, second), (marks[0], marks[1]))
        yield SmilePair(name, root.name, faces[0], faces[1])


def _corrected(
    faces: Sequence[Face],
    points: tuple[NDArray[np.float32], NDArray[np.float32]],
    marks: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Face:
    """Return the smiling face, its landmarks moved halfway to what the points by hand say."""
    level, back = [], np.zeros((2, 3))
    for (crop, lips), found, mark in zip(faces, points, marks, strict=True):
        _, _, matrix = normalised(crop, lips)
        there = transform_points(matrix, transform_points(estimate_similarity(found), mark))
        level.append((transform_points(matrix, crop), there))
        back = matrix[:, :2]
    smiling = faces[1][0].copy()
    for number, k in _HAND.items():
        found_shift = level[1][0][k] - level[0][0][k]
        hand_shift = level[1][1][number] - level[0][1][number]
        smiling[k] += np.float32(np.linalg.inv(back) @ ((hand_shift - found_shift) / 2))
    return smiling, faces[1][1]


def mirrored_face(face: Face) -> Face:
    """Return landmarks and lips of the mirrored crop."""
    points, lips = face
    flipped = points[MIRROR].copy()
    flipped[:, 0] = SIZE - 1 - flipped[:, 0]
    x = np.float32(SIZE - 1 - lips.x[::-1])
    return flipped, Lips(x, lips.upper[::-1].copy(), lips.lower[::-1].copy())


def _code(face: Face) -> NDArray[np.float64]:
    points, lips, _ = normalised(*face)
    return shape_code(points, lips)


def _ridge(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64], penalty: float
) -> NDArray[np.float32]:
    """Return weighted ridge regression's weights, and below them the mean of ``y``."""
    mean = weight @ y
    covariance = x.T @ (weight[:, None] * x) + penalty * np.eye(x.shape[1])
    solved = np.linalg.solve(covariance, x.T @ (weight[:, None] * (y - mean)))
    return np.concatenate([solved, mean[None]]).astype(np.float32)


def fit_smile_motion(
    pairs: Sequence[SmilePair], config: SmileMotionConfig | None = None
) -> SmileMotion:
    """Fit smile motion to pairs.

    Parameters
    ----------
    pairs
        Of any sets.
    config
        Penalties and weights.
    """
    config = config or SmileMotionConfig()
    sources = [p.source for p in pairs]
    starts, ends, weights = [], [], []
    for pair in pairs:
        for mirror in (False, True):
            faces = (pair.neutral, pair.smiling)
            a, b = (_code(mirrored_face(f) if mirror else f) for f in faces)
            starts.append(a)
            ends.append(b)
            moved = (b - a)[: 2 * (68 - FIRST)].reshape(-1, 2)
            size = float(np.hypot(moved[:, 0], moved[:, 1]).mean())
            weights.append(
                sources.count(pair.source) ** -config.balance / max(size, 0.5) ** config.small
            )
    neutral, smiling, w = np.array(starts), np.array(ends), np.array(weights)
    way = smiling - neutral
    x = np.concatenate([neutral + t * way for t in _PART_WAY])
    weight = np.tile(w, len(_PART_WAY)) / (len(_PART_WAY) * w.sum())
    mean = weight @ x
    smile = np.tile(way, (len(_PART_WAY), 1))
    relax = np.concatenate([-t * way for t in _PART_WAY])
    degree = np.repeat(_PART_WAY, len(way))[:, None]
    to_smile = _ridge(x - mean, smile, weight, config.ridge)
    # How far lips part is learned from those that do: between both kinds there is no smile.
    parted = weight * np.tile([lips_apart(code) for code in smiling], len(_PART_WAY))
    if parted.any():
        parted /= parted.sum()
        gap = slice(OUTPUTS - TERMS, OUTPUTS)
        middle = parted @ x
        to_smile[:, gap] = _ridge(x - middle, smile[:, gap], parted, config.ridge)
        to_smile[-1, gap] += (mean - middle) @ to_smile[:-1, gap]
    left = way - ((neutral - mean) @ to_smile[:-1] + to_smile[-1])
    _, spread, modes = np.linalg.svd(left * np.sqrt(w / w.sum())[:, None], full_matrices=False)
    kept = spread[: config.modes, None] * modes[: config.modes]
    meets = w * [not lips_apart(code) for code in smiling]
    closed = meets @ left / (meets.sum() + config.closed_prior * w.mean())
    return SmileMotion(
        mean.astype(np.float32),
        to_smile,
        _ridge(x - mean, relax, weight, config.ridge),
        _ridge(x - mean, degree, weight, config.degree_ridge)[:, 0],
        kept.astype(np.float32).reshape(-1, OUTPUTS),
        closed.astype(np.float32),
    )


def cross_validate(
    pairs: Sequence[SmilePair], config: SmileMotionConfig | None = None, folds: int = 5
) -> dict[str, tuple[int, float, float]]:
    """Measure smiles at strength 1 of people that a model was not fitted to.

    Parameters
    ----------
    pairs, config
        As for :func:`fit_smile_motion`.
    folds
        Into how many parts people are divided.

    Returns
    -------
    For each set its people, the share of them whose mouth comes nearer to their own real smile, and
    the median share of the way. Landmarks are compared where they are to go, and not found again
    in an edited picture.
    """
    results: dict[str, list[float]] = {}
    fold: dict[int, int] = {}
    for source in sorted({p.source for p in pairs}):
        members = [i for i, p in enumerate(pairs) if p.source == source]
        fold |= {i: n % folds for n, i in enumerate(members)}
    for k in range(folds):
        motion = fit_smile_motion([p for i, p in enumerate(pairs) if fold[i] != k], config)
        for pair in (p for i, p in enumerate(pairs) if fold[i] == k):
            shown = (*motion.targets(*pair.neutral, 1.0),)
            before, after, real = (
                normalised(*face)[0][MOUTH] for face in (pair.neutral, shown, pair.smiling)
            )
            left, way = (np.hypot(*(p - real).T).mean() for p in (after, before))
            results.setdefault(pair.source, []).append(float(1 - left / max(way, 1e-6)))
    return {
        source: (len(v), float(np.mean(np.array(v) > 0)), float(np.median(v)))
        for source, v in results.items()
    }
