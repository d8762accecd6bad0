"""A process pool that loses only the task of a worker that crashes.

Work is a generator function ``work(shared, task)``, whose results are streamed back as it yields
them. When a worker dies (a decoder crashes, the system runs out of memory), its task alone ends in
:class:`WorkerCrashed`, and a new worker replaces it; ``concurrent.futures`` would lose all tasks.
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

_BYTES_PER_WORKER = 0.8 * 2**30
_JOIN_TIMEOUT = 5.0  # Seconds.


@dataclass(frozen=True)
class WorkerCrashed:
    """Result of a task whose worker died; ``reason`` is its signal or exit code."""

    reason: str


class _TaskDone:
    """Sentinel after a task's last result."""


@dataclass
class _Raised:
    """An exception that a task raised."""

    error: Exception


def default_jobs() -> int:
    """Return the number of workers that the machine's cores and available memory allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    by_memory = [int(available / _BYTES_PER_WORKER) for available in _available_memory()]
    return max(1, min([cores or 1, *by_memory]))


def _available_memory() -> Iterator[int]:
    """Yield the bytes available on the machine, and the limit of its container (cgroup)."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            yield int(limit)
    except (OSError, ValueError, IndexError):
        return


def use_one_thread() -> None:
    """Limit OpenCV and PyTorch to one thread per caller: workers already use all cores.

    It also makes a network's results reproducible to the bit.
    """
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _worker_main(pipe: Connection, work: Work, shared: Any) -> None:
    """Run tasks from the pipe until it sends None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        for number, task in iter(pipe.recv, None):
            try:
                for value in work(shared, task):
                    pipe.send((number, value))
            except Exception as error:
                pipe.send((number, _Raised(error)))
            pipe.send((number, _TaskDone()))
    except (EOFError, OSError):
        return  # The parent has exited.


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class _Pool:
    """The workers, and the number of each one's task."""

    def __init__(self, work: Work, shared: Any, tasks: Iterable[Any]) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._work, self._shared = work, shared
        self._pending: Iterator[tuple[int, Any]] = enumerate(tasks)
        self.workers: dict[Connection, tuple[Any, int]] = {}

    def start(self) -> bool:
        """Start a worker with the next task; return False when there is none."""
        task = next(self._pending, None)
        if task is None:
            return False
        pipe, worker_pipe = self._context.Pipe()
        process = self._context.Process(
            target=_worker_main, args=(worker_pipe, self._work, self._shared), daemon=True
        )
        process.start()
        worker_pipe.close()
        pipe.send(task)
        self.workers[pipe] = (process, task[0])
        return True

    def assign(self, pipe: Connection) -> None:
        """Send a worker the next task, or let it exit."""
        process, _ = self.workers.pop(pipe)
        task = next(self._pending, None)
        try:
            pipe.send(task)
        except OSError:  # It died between two tasks: a new worker takes this one.
            pipe.close()
            if task is not None:
                self._pending = chain([task], self._pending)
                self.start()
            return
        if task is not None:
            self.workers[pipe] = (process, task[0])
            return
        process.join(_JOIN_TIMEOUT)
        pipe.close()

    def reap(self, pipe: Connection) -> Result:
        """Remove a worker that died; return the result of its task."""
        process, number = self.workers.pop(pipe)
        pipe.close()
        process.join(_JOIN_TIMEOUT)
        code = process.exitcode or 0
        reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return number, WorkerCrashed(reason)

    def stop(self) -> None:
        """Terminate all workers."""
        for process, _ in self.workers.values():
            process.terminate()
        for process, _ in self.workers.values():
            process.join(_JOIN_TIMEOUT)
            if process.is_alive():
                process.kill()


def run_in_processes(work: Work, shared: Any, tasks: Iterable[Any], jobs: int) -> Iterator[Result]:
    """Run tasks in worker processes.

    Parameters
    ----------
    work
        Generator function at the top level of a module; called with ``shared`` and a task.
    shared
        Argument common to all tasks; sent to each worker once.
    tasks
        Consumed lazily.
    jobs
        Number of workers.

    Yields
    ------
    Number and result of a task, in order of completion; :class:`WorkerCrashed` for a task whose
    worker died.
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
                    yield pool.reap(pipe)
                    pool.start()
                    continue
                if isinstance(value, _Raised):
                    raise value.error
                if isinstance(value, _TaskDone):
                    pool.assign(pipe)
                else:
                    yield number, value
    finally:
        pool.stop()
