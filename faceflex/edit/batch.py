"""Edit any number of photos: one after the other, on all cores, or on a cluster's machines.

Whatever happens to one photo, the others are edited; memory does not grow with their number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from faceflex.edit.editor import Editor
from faceflex.edit.options import EditOptions, Target
from faceflex.edit.photo_job import OwnOutputError, ReadSource, edit_photo_file
from faceflex.edit.result import OutputResult, PhotoResult
from faceflex.errors import AssetError, FaceflexError, NoFaceError, UsageError, describe_unexpected
from faceflex.parallel.process_pool import (
    WorkerCrashed,
    default_jobs,
    use_one_thread,
)
from faceflex.parallel.run_tasks import run_tasks
from faceflex.parallel.threads import run_in_threads

Task = tuple[str, Target]

_WORTH_PROCESSES = 3  # Photos for each process that make up for the time it takes to start.
_AHEAD = 2  # Photos for each process that are read ahead.


def edit_photo(
    options: EditOptions, editor: Editor, task: Task, read: ReadSource, threads: int = 1
) -> Iterator[OutputResult | PhotoResult]:
    """Edit one photo, whatever it is.

    Yields
    ------
    A result for each output as it is made, or that is refused, and the photo's at the end.

    Raises
    ------
    AssetError, UsageError
        If the models or the command are at fault, not the photo.
    """
    name, target = task
    made, refused = 0, ""
    try:
        for result in edit_photo_file(options, editor, name, target, read, threads):
            refused = refused or result.error
            made += result.output is not None
            yield result
    except (AssetError, UsageError):
        raise  # A model's fault, or the command's: it would be the same with every photo.
    except OwnOutputError:
        yield PhotoResult(name, "skipped", own=True)
    except NoFaceError as error:
        yield PhotoResult(name, "no face", made, str(error))
    except FaceflexError as error:
        yield PhotoResult(name, "failed", made, str(error))
    except Exception as error:
        if os.environ.get("FACEFLEX_DEBUG") and not isinstance(error, MemoryError):
            raise
        yield PhotoResult(name, "failed", made, f"{name}: {describe_unexpected(error)}")
    else:
        kind = "failed" if refused else "done" if made else "skipped"
        yield PhotoResult(name, kind, made, refused, reported=True)


def _read_path(argument: str) -> tuple[bytes | str, str]:
    return argument, argument


def _work(shared: tuple[EditOptions, Editor], task: Task) -> Iterator[OutputResult | PhotoResult]:
    """Edit one photo in a process beside others."""
    use_one_thread()
    options, editor = shared
    return edit_photo(options, editor, task, _read_path)


def _read_ahead(tasks: Sequence[Task], ahead: int) -> Iterator[Task]:
    """Yield tasks; ask the system to read the photos of the next ones meanwhile."""
    advise = getattr(os, "posix_fadvise", None)
    for number, task in enumerate(tasks):
        if advise is not None and number + ahead < len(tasks):
            _will_need(tasks[number + ahead][0], advise)
        yield task


def _will_need(name: str, advise: Any) -> None:
    try:
        if not Path(name).is_file():  # Opening a pipe would wait for somebody to write to it.
            return
        with Path(name).open("rb") as file:
            advise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
    except (OSError, ValueError):
        return  # The one who edits it will tell.


def _on_threads(
    options: EditOptions, editor: Editor, tasks: Sequence[Task], read: ReadSource, jobs: int
) -> Iterator[tuple[int, Any]]:
    """Edit photos in threads: one accelerator works for the faces of several photos together."""
    editor.method.load()  # Once, before the threads.
    _ = editor.finder.landmarks

    def edit(numbered: tuple[int, Task]) -> list[tuple[int, Any]]:
        number, task = numbered
        return [(number, result) for result in edit_photo(options, editor, task, read)]

    todo = (partial(edit, numbered) for numbered in enumerate(_read_ahead(tasks, _AHEAD * jobs)))
    for results in run_in_threads(todo, jobs):
        yield from results


def processes_for(count: int, jobs: int | None) -> int:
    """Return how many processes ``count`` photos are worth; 1: this one alone."""
    if jobs is not None:
        return min(jobs, count)
    most = default_jobs()
    return most if count >= _WORTH_PROCESSES * most else 1


def edit_photos(
    options: EditOptions,
    editor: Editor,
    tasks: Sequence[Task],
    read: ReadSource,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
) -> Iterator[tuple[int, OutputResult | PhotoResult]]:
    """Edit photos.

    Parameters
    ----------
    options, editor
        What to do, and what edits.
    tasks
        Photos, and where their results go.
    read
        Gives the content and the name of an argument, where this process edits.
    jobs
        Processes; by default as many as there are cores, where the photos are many. With an
        accelerator: threads, whose faces are encoded and decoded together.
    cluster
        Address of a Dask scheduler to work on instead; its machines must see the same files.

    Yields
    ------
    A photo's number, and what :func:`edit_photo` yields of it, as it is made.
    """
    count = processes_for(len(tasks), jobs)
    shared = (options, editor)
    if cluster is not None:
        results = run_tasks(_work, shared, tasks, jobs=count, cluster=cluster)
    elif len(tasks) > 1 and editor.method.accelerated:
        results = _on_threads(options, editor, tasks, read, jobs or default_jobs())
    elif count > 1 and all(name != "-" for name, _ in tasks):
        ahead = _read_ahead(tasks, _AHEAD * count)
        results = run_tasks(_work, shared, ahead, jobs=count)
    else:
        use_one_thread()  # For each output; and results do not depend on how many there are.
        threads = default_jobs() if jobs is None else jobs
        results = (
            (number, result)
            for number, task in enumerate(_read_ahead(tasks, 1))
            for result in edit_photo(options, editor, task, read, threads)
        )
    for number, result in results:
        if isinstance(result, WorkerCrashed):
            name = tasks[number][0]
            reason = f"{name}: the process that edited it died ({result.reason}); out of memory?"
            yield number, PhotoResult(name, "failed", 0, reason)
        else:
            yield number, result
