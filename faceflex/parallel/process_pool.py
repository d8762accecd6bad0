"""A process pool that loses only the task of a worker that crashes.

A piece of work is a generator function ``work(shared, task)``: what it yields comes back as it is
made. A process that dies (a decoder that crashes, a system out of memory) takes nothing with it
but the task that it had: that one ends in :class:`WorkerCrashed`, another process takes its place.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

Work = Callable[[Any, Any], Iterable[Any]]
Result = tuple[int, Any]

_NEEDED = 0.8 * 2**30  # Bytes of memory for a process.
_PATIENCE = 5.0  # Seconds for a process to end.


@dataclass(frozen=True)
class WorkerCrashed:
    """What comes of a task whose process died: ``how`` says how, as far as it is known."""

    how: str


class _End:
    """Marks the end of a task's results."""


@dataclass
class _Raised:
    """An exception that a piece of work let through."""

    error: Exception


def default_jobs() -> int:
    """Return how many processes this machine has cores, and memory, for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rooms = [int(room / _NEEDED) for room in _free_memory()]
    return max(1, min([cores or 1, *rooms]))


def _free_memory() -> Iterator[int]:
    """Yield bytes that are available on the machine, and to a container, where known."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            yield int(limit)
    except (OSError, ValueError, IndexError):
        return


def one_thread() -> None:
    """Make each thread of this process compute on one core: others work beside it.

    With one thread a network's results are the same to the last bit.
    """
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _serve(pipe: Connection, work: Work, shared: Any) -> None:
    """Be a process of the pool: take tasks until there are none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent says what becomes of that.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        for number, task in iter(pipe.recv, None):
            try:
                for value in work(shared, task):
                    pipe.send((number, value))
            except Exception as error:
                pipe.send((number, _Raised(error)))
            pipe.send((number, _End()))
    except (EOFError, OSError):
        return  # The parent is gone.


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class _Pool:
    """The processes, and what each one works on."""

    def __init__(self, work: Work, shared: Any, tasks: Iterable[Any]) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._work, self._shared = work, shared
        self._todo: Iterator[tuple[int, Any]] = enumerate(tasks)
        self.workers: dict[Connection, tuple[Any, int]] = {}

    def start(self) -> bool:
        """Start a process with the next task, if there is one."""
        task = next(self._todo, None)
        if task is None:
            return False
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(there, self._work, self._shared), daemon=True
        )
        process.start()
        there.close()
        here.send(task)
        self.workers[here] = (process, task[0])
        return True

    def assign(self, pipe: Connection) -> None:
        """Give a process the next task, or send it home."""
        process, _ = self.workers.pop(pipe)
        task = next(self._todo, None)
        try:
            pipe.send(task)
        except OSError:  # It died between two tasks: another one takes this.
            pipe.close()
            if task is not None:
                self._todo = chain([task], self._todo)
                self.start()
            return
        if task is not None:
            self.workers[pipe] = (process, task[0])
            return
        process.join(_PATIENCE)
        pipe.close()

    def crashed(self, pipe: Connection) -> Result:
        """Return what comes of the task of a process that died."""
        process, number = self.workers.pop(pipe)
        pipe.close()
        process.join(_PATIENCE)
        code = process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return number, WorkerCrashed(how)

    def stop(self) -> None:
        """End all processes now."""
        for process, _ in self.workers.values():
            process.terminate()
        for process, _ in self.workers.values():
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()


def run_in_processes(work: Work, shared: Any, tasks: Iterable[Any], jobs: int) -> Iterator[Result]:
    """Work on tasks with processes of this machine.

    Parameters
    ----------
    work
        A generator function of a module; called with ``shared`` and a task.
    shared
        What all tasks share; sent to each process once.
    tasks
        Taken one by one, so that there may be any number of them.
    jobs
        How many processes.

    Yields
    ------
    A task's number and a result of it, as they come; :class:`WorkerCrashed` for a task whose
    process died.
    """
    pool = _Pool(work, shared, tasks)
    try:
        while len(pool.workers) < jobs and pool.start():
            pass
        while pool.workers:
            for pipe in wait(list(pool.workers)):
                assert isinstance(pipe, Connection)
                try:
                    number, value = pipe.recv()
                except (EOFError, OSError):
                    yield pool.crashed(pipe)
                    pool.start()
                    continue
                if isinstance(value, _Raised):
                    raise value.error
                if isinstance(value, _End):
                    pool.assign(pipe)
                else:
                    yield number, value
    finally:
        pool.stop()
