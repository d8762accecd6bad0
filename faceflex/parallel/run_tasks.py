"""One ladder for everything that has many tasks: this process, several, or a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from faceflex.parallel.cluster import run_on_cluster
from faceflex.parallel.process_pool import Result, Work, run_in_processes


def run_tasks(
    work: Work, shared: Any, tasks: Iterable[Any], *, jobs: int, cluster: str | None = None
) -> Iterator[Result]:
    """Work on tasks.

    Parameters
    ----------
    work
        A generator function of a module; called with ``shared`` and a task.
    shared
        What all tasks share; sent to each process once.
    tasks
        Taken one by one.
    jobs
        Processes; 1: this one.
    cluster
        Address of a Dask scheduler to work on instead.

    Yields
    ------
    A task's number and a result of it, as they come;
    :class:`~faceflex.parallel.process_pool.WorkerCrashed` for a task whose process died.
    """
    if cluster is not None:
        yield from run_on_cluster(work, shared, tasks, cluster)
    elif jobs > 1:
        yield from run_in_processes(work, shared, tasks, jobs)
    else:
        for number, task in enumerate(tasks):
            for value in work(shared, task):
                yield number, value
