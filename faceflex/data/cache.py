"""Cache of aligned faces, shared by all training.

Faces are stored 4 pixels wider than the crop on every side, so that training can shift the crop a
little without reading outside it. Layout of a cache folder: ``faces.npy`` (N, 136, 136, 3) uint8
RGB, ``weight.npy`` (N, 136, 136) uint8, how much each pixel counts in a loss (0 where the picture
had no pixel), ``points.npy`` (N, 68, 2) float32 in pixels of the wide crop, ``table.json`` with
names, labels, and how many pictures were left out and why.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.data.readers import read_any
from faceflex.data.records import Record
from faceflex.errors import FaceflexError
from faceflex.faces.align import (
    SIZE,
    AlignedCrop,
    align,
    estimate_similarity,
    fit_error,
    transform_points,
)
from faceflex.faces.landmarks import LandmarkModel
from faceflex.faces.mask import fill_hull

MARGIN = 4
WIDE = SIZE + 2 * MARGIN
MAX_FIT_ERROR = 13.0
"""Faces that fit the template worse (collages, an eye alone, failed landmarks) are left out."""

_FORM = 3  # Raise when anything stored changes, so that old caches are made anew.

Points = NDArray[np.float32]
Progress = Callable[[int, int], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AlignedCache:
    """An opened cache; arrays are memory-mapped.

    Attributes
    ----------
    faces, weight, points
        As stored (see the module's text).
    names, sources, held_out, labels
        Per face: file name, reader, whether it is held out, labels.
    """

    faces: NDArray[np.uint8]
    weight: NDArray[np.uint8]
    points: NDArray[np.float32]
    names: list[str]
    sources: list[str]
    held_out: NDArray[np.bool_]
    labels: list[dict[str, float]]

    def __len__(self) -> int:
        return len(self.names)

    def crops(self, index: NDArray[np.integer] | Sequence[int]) -> NDArray[np.uint8]:
        """Return the centred (n, 128, 128, 3) crops of the faces ``index``."""
        m = slice(MARGIN, MARGIN + SIZE)
        return np.ascontiguousarray(self.faces[np.asarray(index)][:, m, m])


def loss_weight(points: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return how much each pixel of a crop counts, in hundredths.

    The picture behind the face counts 25, the face 100, eyes, brows and mouth 200, and pixels that
    the photo did not have 0.
    """
    side = valid.shape[0]
    weight = np.full((side, side), 25, np.uint8)
    weight[fill_hull(points, side, raise_brows=True)] = 100
    for part in (range(17, 22), range(22, 27), range(36, 42), range(42, 48), range(48, 68)):
        weight[fill_hull(points[list(part)], side, grow=3)] = 200
    weight = cv2.blur(weight, (5, 5))
    weight[~valid] = 0
    return weight


def align_record(
    record: Record, margin: int = 0, crop: str = "template"
) -> tuple[AlignedCrop, Points] | str:
    """Read a picture and align its face.

    Parameters
    ----------
    record
        The picture. Without landmarks of its own, they are found from its five points, or else
        for the largest face that is detected.
    margin
        Pixels to add to the crop on every side.
    crop
        How the model at hand cuts its faces, as for :func:`faceflex.faces.align.align`.

    Returns
    -------
    The aligned face and its (68, 2) landmarks in pixels of the template's crop (with the margin),
    however it is cut; or why there is none.
    """
    from faceflex.photo import load_rgb

    try:
        image = load_rgb(record.path)
        points = record.points
        if points is None and record.five is not None:
            from faceflex.assets import resolve

            points = LandmarkModel(resolve("landmarks68")).find_from_five(image, record.five)
        elif points is None:
            from faceflex.faces import find_faces

            faces = find_faces(image)
            if not faces:
                return "no face found"
            points = max(faces, key=lambda f: f.width).points
        if fit_error(points) > MAX_FIT_ERROR:
            return "landmarks do not look like a face"
        aligned = align(image, points, margin, crop)
        matrix = aligned.matrix if crop == "template" else estimate_similarity(points)
    except (FaceflexError, OSError, ValueError) as error:
        log.warning("%s: %s", record.path, error)
        return "unreadable"
    return aligned, transform_points(matrix, points)


def _load_one(record: Record) -> tuple[Record, NDArray[np.uint8], NDArray[np.uint8], Points] | str:
    face = align_record(record, MARGIN)
    if isinstance(face, str):
        return face
    aligned, points = face
    return record, aligned.crop, loss_weight(points, aligned.valid), points


def _key(records: Sequence[Record]) -> str:
    digest = hashlib.sha256(f"{_FORM} {MARGIN} {MAX_FIT_ERROR}".encode())
    for r in records:
        digest.update(f"{r.path.resolve()} {r.points is not None}\n".encode())
    return digest.hexdigest()[:16]


def _write(records: Sequence[Record], folder: Path, progress: Progress | None) -> None:
    n = len(records)
    shapes = {"faces": (n, WIDE, WIDE, 3), "weight": (n, WIDE, WIDE)}
    maps = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)
        for name, shape in shapes.items()
    }
    points = np.zeros((n, 68, 2), np.float32)
    kept: list[Record] = []
    left_out: Counter[str] = Counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, n, 512):
            for result in pool.map(_load_one, records[start : start + 512]):
                if isinstance(result, str):
                    left_out[result] += 1
                    continue
                record, maps["faces"][len(kept)], maps["weight"][len(kept)], moved = result
                points[len(kept)] = moved
                kept.append(record)
            if progress:
                progress(min(n, start + 512), n)
    np.save(folder / "points.npy", points[: len(kept)])
    table = {
        "names": [r.path.name for r in kept],
        "sources": [r.source for r in kept],
        "labels": [dict(r.labels) for r in kept],
        "left_out": left_out,
    }
    (folder / "table.json").write_text(json.dumps(table))


def open_cache(
    roots: Sequence[Path], folder: Path, progress: Progress | None = None
) -> AlignedCache:
    """Open the cache of the face sets ``roots``, building it in ``folder`` when needed.

    Parameters
    ----------
    roots
        Folders of face sets.
    folder
        Where caches are kept; each has its own sub-folder and appears there whole or not at all.
    progress
        Called with (pictures done, pictures in all).

    Raises
    ------
    UsageError
        If a root is not a folder of pictures.
    FaceflexError
        If no picture had a usable face.
    """
    records = [r for root in roots for r in read_any(root)]
    target = folder / f"aligned-{_key(records)}"
    if not (target / "table.json").is_file():
        partial = folder / f".partial-{target.name}-{os.getpid()}"
        partial.mkdir(parents=True)
        try:
            _write(records, partial, progress)
            os.replace(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    table = json.loads((target / "table.json").read_text())
    names: list[str] = table["names"]
    if not names:
        raise FaceflexError(f"{roots[0]}: none of {len(records)} pictures had a usable face")
    held_out = {r.path.name: r.held_out for r in records}
    return AlignedCache(
        np.load(target / "faces.npy", mmap_mode="r")[: len(names)],
        np.load(target / "weight.npy", mmap_mode="r")[: len(names)],
        np.load(target / "points.npy"),
        names,
        table["sources"],
        np.array([held_out[n] for n in names]),
        table["labels"],
    )
