"""Chunks of training pairs of the content renderer: made on all cores, and cached.

What pairs are is told in :mod:`faceflex.data.round_trips`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from faceflex.assets import resolve
from faceflex.assets.registry import sha256_of
from faceflex.data.chunks import Arrays, Progress, records_digest, write_chunks
from faceflex.data.records import Record
from faceflex.data.round_trips import ContentPair, RoundTrips
from faceflex.errors import UsageError
from faceflex.faces.lips import SAMPLES
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.parallel.process_pool import default_jobs, use_one_thread
from faceflex.parallel.run_tasks import run_tasks

_CHUNK = 128  # Pictures in a chunk.
_FORM = 1  # Raise when anything stored changes, so that old chunks are made anew.
_PERSONS_AGE = 28.0


@dataclass(frozen=True)
class Task:
    """A chunk of work.

    Attributes
    ----------
    kind
        ``pairs``, ``edits`` or ``persons``: what to make.
    records
        The pictures; of persons, neutral and smiling ones in turn.
    digest
        Names the chunk, and fixes all that is random.
    """

    kind: str
    records: tuple[Record, ...]
    digest: str


def _from_photos(
    make: Callable[[Record, np.random.Generator], ContentPair | None], task: Task
) -> Iterator[ContentPair]:
    for number, record in enumerate(task.records):
        pair = make(record, np.random.default_rng((int(task.digest, 16), number)))
        if pair is not None:
            yield pair


def _from_persons(maker: RoundTrips, task: Task) -> Iterator[ContentPair]:
    for couple in zip(task.records[::2], task.records[1::2], strict=True):
        neutral, smiling = (maker.open(record) for record in couple)
        if neutral is None or smiling is None:
            continue
        for first, second in ((neutral, smiling), (smiling, neutral)):
            pair = maker.persons(first, second, _PERSONS_AGE)
            if pair is not None:
                yield pair


def work(method: AttributeVectorMethod, task: Task) -> Iterator[Arrays]:
    """Make a chunk's pairs on one core: what every process does.

    Yields
    ------
    An array for each field of :class:`ContentPair`.
    """
    import torch

    threads = torch.get_num_threads()
    use_one_thread()
    try:
        maker = RoundTrips(method)
        make = {
            "pairs": partial(_from_photos, maker.round_trip),
            "edits": partial(_from_photos, maker.edit),
            "persons": partial(_from_persons, maker),
        }[task.kind]
        pairs = list(make(task))
        shapes = {"source": (128, 160, 3), "target": (128, 160, 3), "lips": (3, SAMPLES)}
        kinds = {"source": np.uint8, "target": np.uint8}
        yield {
            f.name: np.array(
                [getattr(p, f.name) for p in pairs], kinds.get(f.name, np.float32)
            ).reshape(-1, *shapes.get(f.name, (68, 2) if f.name == "landmarks" else ()))
            for f in fields(ContentPair)
        }
    finally:
        torch.set_num_threads(threads)


def person_records(folder: Path) -> list[Record]:
    """Return a folder's persons: records of ``NAMEa.jpg`` (neutral) and ``NAMEb.jpg`` in turn.

    Persons of whom a picture is held out are left out.

    Raises
    ------
    UsageError
        If there are none.
    """
    records = []
    for path in sorted(folder.glob("*a.jpg")):
        couple = [Record(p, "folder") for p in (path, path.with_name(path.name[:-5] + "b.jpg"))]
        if couple[1].path.is_file() and not any(r.held_out for r in couple):
            records += couple
    if not records:
        raise UsageError(f"{folder}: has no pictures NAMEa.jpg (neutral) and NAMEb.jpg (smiling)")
    return records


@dataclass(frozen=True)
class PairFiles:
    """Chunks of pairs: round trips, edits without a target, persons, held-out round trips."""

    pairs: list[Path]
    edits: list[Path]
    persons: list[Path]
    held_out: list[Path]


def make_pairs(
    records: Sequence[Record],
    persons: Sequence[Record],
    method: AttributeVectorMethod,
    cache: Path,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> PairFiles:
    """Make all pairs of a face set, using and filling the cache.

    Parameters
    ----------
    records
        Photos for round trips, in an order that their names do not tell. A third of those that are
        not held out give edits without a target too; the held-out ones are only for checks.
    persons
        From :func:`person_records`.
    method
        Takes smiles away, and adds them.
    cache
        Folder of the chunks.
    jobs
        Processes; all cores by default.
    progress
        Called as chunks are done.
    """
    vectors = sha256_of(resolve(method.vectors_name))[:16]
    folder = cache / f"content-pairs-{method.fingerprints['model']}"
    folder.mkdir(parents=True, exist_ok=True)
    learned = [r for r in records if not r.held_out]
    groups = {
        "pairs": ("pairs", learned),
        "edits": ("edits", learned[: len(learned) // 3]),
        "persons": ("persons", persons),
        "held_out": ("pairs", [r for r in records if r.held_out]),
    }
    tasks: dict[Path, Task] = {}
    files: dict[str, list[Path]] = {}
    for name, (kind, group) in groups.items():
        files[name] = []
        for start in range(0, len(group), _CHUNK):
            chunk = tuple(group[start : start + _CHUNK])
            digest = records_digest(chunk, f"{_FORM} {kind} {vectors}")
            path = folder / f"{name}-{digest}.npz"
            files[name].append(path)
            tasks[path] = Task(kind, chunk, digest)
    total = sum(len(task.records) for task in tasks.values())
    missing = [path for path in tasks if not path.is_file()]
    done = total - sum(len(tasks[path].records) for path in missing)
    todo = [tasks[path] for path in missing]
    jobs = max(1, min(jobs or default_jobs(), len(todo)))
    results: Iterable[tuple[int, Arrays]] = run_tasks(work, method, todo, jobs=jobs) if todo else ()
    for number in write_chunks(results, missing):
        done += len(todo[number].records)
        if progress:
            progress(done, total)
    return PairFiles(**files)
