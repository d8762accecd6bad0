"""Run many tasks in this process, in worker processes or on a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from faceflex.parallel.cluster import run_on_cluster
from faceflex.parallel.process_pool import Result, Work, run_in_processes


def run_tasks(
    work: Work, shared: Any, tasks: Iterable[Any], *, jobs: int, cluster: str | None = None
) -> Iterator[Result]:
    """Run tasks.

    Parameters
    ----------
    work
        Generator function at the top level of a module; called with ``shared`` and a task.
    shared
        Argument common to all tasks; sent to each worker once.
    tasks
        Consumed lazily.
    jobs
        Number of worker processes; 1 runs the tasks in this process.
    cluster
        Address of a Dask scheduler to use instead.

    Yields
    ------
    Number and result of a task, in order of completion;
    :class:`~faceflex.parallel.process_pool.WorkerCrashed` for a task whose worker died.
    """
    if cluster is not None:
        yield from run_on_cluster(work, shared, tasks, cluster)
    elif jobs > 1:
        yield from run_in_processes(work, shared, tasks, jobs)
    else:
        for number, task in enumerate(tasks):
            for value in work(shared, task):
                yield number, value
