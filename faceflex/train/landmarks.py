"""Train and measure the bundled 68-point landmark predictor.

Hand-labelled faces (300-W's HELEN and AFW crops) carry the truth; machine-labelled faces of
UTKFace and CelebA widen ages, skins and poses. Every training picture is the frame that
:class:`faceflex.faces.landmarks.LandmarkModel` cuts at run time, displaced as much as a detector's
box (first pass) or a first estimate (second pass) would be.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.data.readers import read_any
from faceflex.data.records import is_held_out
from faceflex.data.template import mirrored
from faceflex.errors import UsageError
from faceflex.faces.align import estimate_similarity, fit_error, transform_points, warp
from faceflex.faces.landmarks import (
    FRAME,
    LandmarkModel,
    frame_box,
    frame_rectangle,
    frame_template,
)
from faceflex.files import atomic_write

Labelled = tuple[Path, NDArray[np.float32]]


@dataclass(frozen=True)
class LandmarkConfig:
    """Size and effort of the predictor; the names are dlib's.

    Attributes
    ----------
    cascades, trees, depth
        Regression trees: cascade levels, trees a level, splits from root to leaf.
    copies
        Augmented copies of each hand-labelled face.
    extra
        Machine-labelled faces to add, once each.
    oversampling, pool, splits, nu
        dlib's oversampling amount, feature pool size, test splits, and shrinkage.
    seed
        Fixes augmentation and training.
    """

    cascades: int = 14
    trees: int = 320
    depth: int = 4
    copies: int = 12
    extra: int = 9000
    oversampling: int = 2
    pool: int = 600
    splits: int = 50
    nu: float = 0.1
    seed: int = 0


def read_hand_labelled(root: Path) -> list[Labelled]:
    """Read ``images/`` and ``landmarks68.csv`` (image, x0, y0, ... x67, y67).

    Raises
    ------
    UsageError
        If the table is missing or has another form.
    """
    table = root / "landmarks68.csv"
    if not table.is_file():
        raise UsageError(f"{table}: not found; hand-labelled faces need images/ and this table")
    with table.open(newline="") as file:
        rows = list(csv.reader(file))
    if len(rows) < 2 or len(rows[0]) != 137:
        raise UsageError(f"{table}: expected a header and rows of a name and 136 numbers")
    faces = []
    for name, *numbers in rows[1:]:
        stem = root / "images" / name
        path = stem if stem.suffix else stem.with_suffix(".jpg")
        faces.append((path, np.array(numbers, np.float32).reshape(68, 2)))
    return faces


def split_hand_labelled(faces: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """Split faces into training and a held-out fifth, by photograph and not by face."""
    photos = sorted({path.stem.rsplit("_", 1)[0] for path, _ in faces})
    order = np.random.default_rng(68).permutation(len(photos))
    held_out = {photos[i] for i in order[: len(photos) // 5]}
    train = [f for f in faces if f[0].stem.rsplit("_", 1)[0] not in held_out]
    return train, [f for f in faces if f[0].stem.rsplit("_", 1)[0] in held_out]


def _augment(
    image: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cut the frame, displaced as in a first pass (wide spread) or a second one (narrow)."""
    if rng.random() < 0.5:
        image, points = np.ascontiguousarray(image[:, ::-1]), mirrored(points, image.shape[1])
    wide = rng.random() < 0.4
    turn = np.radians(rng.normal(0, 9.0 if wide else 3.0))
    scale = np.exp(rng.normal(0, 0.08 if wide else 0.03))
    shift = rng.normal(0, [4.5, 5.5] if wide else [1.5, 2.0])
    centre = np.array(frame_box()[:2])
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    target = (frame_template() - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre + shift
    matrix = estimate_similarity(points, target)
    return warp(image, matrix, FRAME)[0], transform_points(matrix, points)


def _samples(
    hand: Sequence[Labelled], extra: Sequence[Labelled], config: LandmarkConfig
) -> tuple[list[NDArray[np.uint8]], list[Any]]:
    import cv2
    import dlib

    from faceflex.photo import load_rgb

    rng = np.random.default_rng(config.seed)
    pictures, shapes = [], []
    for faces, copies in ((hand, config.copies), (extra, 1)):
        for path, points in faces:
            image = load_rgb(path)
            for _ in range(copies):
                frame, moved = _augment(image, points, rng)
                pictures.append(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
                parts = [dlib.point(round(float(px)), round(float(py))) for px, py in moved]
                shapes.append(
                    [dlib.full_object_detection(dlib.rectangle(*frame_rectangle()), parts)]
                )
    return pictures, shapes


def machine_labelled(roots: Iterable[Path], count: int, seed: int) -> list[Labelled]:
    """Draw ``count`` faces with known landmarks from face sets, none of them held out."""
    known = [
        (r.path, r.points)
        for root in roots
        for r in read_any(root)
        if r.points is not None and not is_held_out(r.path.name) and fit_error(r.points) < 11
    ]
    order = np.random.default_rng((seed, 4)).permutation(len(known))
    return [known[i] for i in order[:count]]


def train_landmarks(
    hand: Sequence[Labelled], extra: Sequence[Labelled], out: Path, config: LandmarkConfig
) -> None:
    """Train a predictor with dlib and write it to ``out``, whole or not at all.

    A name ending in ``.dat`` keeps dlib's own format; any other gets the small form of
    :mod:`faceflex.faces.trees`.
    """
    import dlib

    from faceflex.faces.dlib_format import pack

    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.tree_depth = config.cascades, config.depth
    options.num_trees_per_cascade_level = config.trees
    options.oversampling_amount, options.nu = config.oversampling, config.nu
    options.feature_pool_size, options.num_test_splits = config.pool, config.splits
    options.random_seed, options.num_threads = str(config.seed), os.cpu_count() or 1
    pictures, shapes = _samples(hand, extra, config)
    predictor = dlib.train_shape_predictor(pictures, shapes, options)
    with tempfile.TemporaryDirectory() as work:
        plain = Path(work) / "predictor.dat"
        predictor.save(str(plain))
        data = plain.read_bytes()
    if out.suffix == ".dat":
        with atomic_write(out) as temporary:
            temporary.write_bytes(data)
    else:
        pack(data, out)


def landmark_error(model: LandmarkModel, faces: Sequence[Labelled]) -> dict[str, float]:
    """Measure a predictor from detection to points on labelled faces.

    Returns
    -------
    ``mean`` and ``median`` over faces of the mean point error, as a share of the distance between
    the outer eye corners (points 36 and 45); ``detected``, the share that the detector found. A
    face that it missed starts from the box it usually draws around such landmarks.
    """
    from faceflex.faces.detect import detect
    from faceflex.photo import load_rgb

    errors, detected = [], 0
    x, y, side = frame_box()
    for path, truth in faces:
        image = load_rgb(path)
        to_frame = estimate_similarity(truth, frame_template())
        centre = truth.mean(axis=0)
        boxes = [d for d in detect(image) if d.contains(*centre)]
        if boxes:
            detected += 1
            best = min(boxes, key=lambda d: float(np.hypot(*(np.array(d.centre) - centre))))
            points = model.find(image, best.centre, best.side, best.degrees)
        else:
            scale = float(np.hypot(to_frame[0, 0], to_frame[1, 0]))
            back = np.linalg.inv(np.vstack([to_frame, [0, 0, 1]]))[:2]
            middle = transform_points(back, np.array([[x, y]]))[0]
            points = model.find(image, (float(middle[0]), float(middle[1])), side / scale)
        eyes = float(np.hypot(*(truth[45] - truth[36])))
        errors.append(float(np.hypot(*(points - truth).T).mean()) / eyes)
    share = detected / max(1, len(faces))
    return {"mean": float(np.mean(errors)), "median": float(np.median(errors)), "detected": share}
