"""Latents of a labelled face set, encoded once and cached.

Pictures are worked on in chunks, on all cores or on a cluster's machines, and each chunk's result
is a file of its own that appears whole or not at all. So the work can be stopped at any moment and
goes on where it stood; other labels, estimators and attributes use what is there. A chunk's name
is made of the model's id and of its pictures' names, sizes and times, so nothing stale is used.
Every chunk is encoded alike wherever it is worked on, so results are the same.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceflex.data.cache import align_record
from faceflex.data.chunks import Arrays, Progress, records_digest, write_chunks
from faceflex.data.records import Record
from faceflex.data.template import mirrored
from faceflex.errors import FaceflexError
from faceflex.faces.align import SIZE
from faceflex.parallel.process_pool import default_jobs, use_one_thread
from faceflex.parallel.run_tasks import run_tasks

if TYPE_CHECKING:
    from faceflex.models.vae import VAE

CHUNK = 256
"""Pictures in a chunk."""

_FORM = 2  # Raise when anything stored changes, so that old chunks are made anew.

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Latents:
    """Encoded faces.

    Attributes
    ----------
    records
        The pictures that had a usable face.
    plain, mirror
        (N, D) float32 posterior means of the faces, and of their mirror images.
    points, mirror_points
        (N, 68, 2) float32 landmarks in pixels of the template's crop, and of the mirror image.
    left_out
        Names of the other pictures, and why.
    """

    records: list[Record]
    plain: NDArray[np.float32]
    mirror: NDArray[np.float32]
    points: NDArray[np.float32]
    left_out: dict[str, str]

    @cached_property
    def mirror_points(self) -> NDArray[np.float32]:
        """Landmarks of the mirror images."""
        return np.stack([mirrored(p, SIZE) for p in self.points])

    @cached_property
    def held_out(self) -> NDArray[np.bool_]:
        """(N,) whether a face is held out."""
        return np.array([r.held_out for r in self.records])


@lru_cache(maxsize=1)
def _model(path: Path) -> VAE:
    from faceflex.models.checkpoint import load_vae

    return load_vae(path)[0]


def align_chunk(records: Sequence[Record], crop: str) -> Arrays:
    """Align a chunk's faces, each cut as the model learned it (``crop``).

    Returns
    -------
    ``kept`` (n,) places in the chunk, ``crops`` (n, 128, 128, 3) uint8, ``points`` (n, 68, 2) in
    pixels of the template's crop, and ``reasons`` (len(records),): why a picture was left out, or
    nothing.
    """
    kept, crops, points, reasons = [], [], [], []
    for place, record in enumerate(records):
        face = align_record(record, crop=crop)
        reasons.append(face if isinstance(face, str) else "")
        if not isinstance(face, str):
            kept.append(place)
            crops.append(face[0].crop)
            points.append(face[1])
    return {
        "kept": np.array(kept, np.int64),
        "crops": np.array(crops, np.uint8).reshape(-1, SIZE, SIZE, 3),
        "points": np.array(points, np.float32).reshape(-1, 68, 2),
        "reasons": np.array(reasons, "U40"),
    }


def encode_chunk(chunk: Arrays, model: VAE) -> Arrays:
    """Replace a chunk's ``crops`` by the latents of the faces and of their mirror images."""
    from faceflex.models.codec import encode_faces

    crops = chunk["crops"]
    rest = {k: v for k, v in chunk.items() if k != "crops"}
    plain = encode_faces(model, crops)
    return rest | {"plain": plain, "mirror": encode_faces(model, crops[:, :, ::-1])}


def work(model: str, records: Sequence[Record]) -> Iterator[Arrays]:
    """Align and encode a chunk on one core: what every process and machine does.

    Parameters
    ----------
    model
        Registered name or file of the face model.
    records
        The chunk; its pictures must be readable here.
    """
    import torch

    from faceflex.assets import resolve

    threads = torch.get_num_threads()
    use_one_thread()
    try:
        network = _model(resolve(model))
        yield encode_chunk(align_chunk(records, network.crop), network)
    finally:
        torch.set_num_threads(threads)


Done = tuple[int, Any]


def _on_accelerator(
    todo: Sequence[list[Record]], model: str, device: str, jobs: int
) -> Iterator[Done]:
    """Align on all cores, encode on an accelerator."""
    from concurrent.futures import Future, ThreadPoolExecutor

    from faceflex.assets import resolve
    from faceflex.models.checkpoint import load_vae

    network = load_vae(resolve(model), device)[0]
    with ThreadPoolExecutor(jobs) as pool:
        waiting, running = deque(enumerate(todo)), deque[tuple[int, Future[Arrays]]]()
        while waiting or running:
            while waiting and len(running) < 2 * jobs:
                number, records = waiting.popleft()
                running.append((number, pool.submit(align_chunk, records, network.crop)))
            number, coming = running.popleft()
            yield number, encode_chunk(coming.result(), network)


def encode_records(
    records: Sequence[Record],
    model: str,
    folder: Path,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Latents:
    """Encode a face set, using and filling the cache in ``folder``.

    Parameters
    ----------
    records
        The pictures. One that cannot be read is counted and left out.
    model
        Registered name or file of the face model.
    folder
        Where chunks are kept.
    jobs
        Processes; all cores by default.
    cluster
        Address of a Dask scheduler to work on instead.
    device
        ``cpu``, or an accelerator for the encoding.
    progress
        Called with (pictures done, pictures in all).

    Raises
    ------
    UsageError
        If the cluster cannot be reached, or Dask is not installed.
    FaceflexError
        If no picture had a usable face.
    """
    from faceflex.assets import resolve
    from faceflex.models.model_id import read_id

    target = folder / f"latents-{read_id(resolve(model))}"
    target.mkdir(parents=True, exist_ok=True)
    chunks = [list(records[i : i + CHUNK]) for i in range(0, len(records), CHUNK)]
    form = f"{_FORM} {CHUNK}"
    paths = [target / f"{records_digest(chunk, form)}.npz" for chunk in chunks]
    tasks = [(i, chunk) for i, chunk in enumerate(chunks) if not paths[i].is_file()]
    count = len(records) - sum(len(chunk) for _, chunk in tasks)
    jobs = max(1, min(jobs or default_jobs(), len(tasks)))
    todo = [records for _, records in tasks]
    if not tasks:
        results: Iterator[Done] = iter(())
    elif cluster is None and device != "cpu":
        results = _on_accelerator(todo, model, device, jobs)
    else:
        results = run_tasks(work, model, todo, jobs=jobs, cluster=cluster)
    todo_paths = [paths[number] for number, _ in tasks]
    for place in write_chunks(results, todo_paths):
        count += len(todo[place])
        if progress:
            progress(count, len(records))
    return _gather(chunks, paths)


def _gather(chunks: Sequence[list[Record]], paths: Sequence[Path]) -> Latents:
    kept: list[Record] = []
    left_out: dict[str, str] = {}
    columns: dict[str, list[NDArray[np.float32]]] = {"plain": [], "mirror": [], "points": []}
    for chunk, path in zip(chunks, paths, strict=True):
        with np.load(path, allow_pickle=False) as arrays:
            kept.extend(chunk[i] for i in arrays["kept"])
            reasons = zip(chunk, arrays["reasons"].tolist(), strict=True)
            left_out.update({r.path.name: reason for r, reason in reasons if reason})
            for name, rows in columns.items():
                rows.append(arrays[name])
    if not kept:
        raise FaceflexError(f"{chunks[0][0].path.parent}: none of the pictures had a usable face")
    for reason, number in Counter(left_out.values()).items():
        log.info("%d pictures left out: %s", number, reason)
    plain, mirror, points = (np.concatenate(columns[n]) for n in ("plain", "mirror", "points"))
    return Latents(kept, plain, mirror, points, left_out)
