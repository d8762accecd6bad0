"""Cached chunks of work on face sets: files that appear whole or not at all, named by their input.

So work that is stopped goes on where it stood, and nothing stale is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.data.records import Record
from faceflex.errors import FaceflexError
from faceflex.files import atomic_write
from faceflex.parallel.process_pool import WorkerCrashed

Arrays = dict[str, NDArray[Any]]
Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""


def records_digest(records: Sequence[Record], form: str) -> str:
    """Return 24 hex digits of a chunk: of its pictures' names, sizes, times and landmarks.

    Parameters
    ----------
    records
        The chunk.
    form
        What is made of it, and in which form.
    """
    digest = hashlib.sha256(form.encode())
    for r in records:
        try:
            stat = r.path.stat()
            digest.update(f"{r.path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(f"{r.path.name} missing\n".encode())
        for known in (r.points, r.five):
            digest.update(b"-" if known is None else known.tobytes())
    return digest.hexdigest()[:24]


def write_chunks(results: Iterable[tuple[int, Any]], paths: Sequence[Path]) -> Iterator[int]:
    """Write each chunk's arrays to its file as they come; yield the number of each.

    Raises
    ------
    FaceflexError
        If a process that worked on one died.
    """
    for number, arrays in results:
        if isinstance(arrays, WorkerCrashed):
            raise FaceflexError(
                f"a process died ({arrays.reason}), perhaps for lack of memory; started again with"
                " fewer `jobs`, it goes on where it stood"
            )
        with atomic_write(paths[number]) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        yield number
