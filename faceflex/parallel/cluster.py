"""Tasks on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from faceflex.errors import UsageError
from faceflex.parallel.process_pool import Result, Work, WorkerCrashed

_TIMEOUT = 10.0  # Seconds to connect to the scheduler.


def _run_task(work: Work, shared: Any, task: Any) -> list[Any]:
    """Run one task on a worker of the cluster."""
    return list(work(shared, task))


def run_on_cluster(work: Work, shared: Any, tasks: Iterable[Any], address: str) -> Iterator[Result]:
    """Run tasks on a Dask cluster, whose workers must see the same files.

    Parameters
    ----------
    work, shared, tasks
        As for :func:`faceflex.parallel.process_pool.run_in_processes`.
    address
        Address of the scheduler.

    Yields
    ------
    As :func:`faceflex.parallel.process_pool.run_in_processes`.

    Raises
    ------
    UsageError
        If the cluster cannot be reached, or Dask is not installed.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError:
        raise UsageError(
            "`cluster` needs Dask; install it with: pip install 'faceflex[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=_TIMEOUT)
    except (OSError, ValueError) as error:
        raise UsageError(f"`cluster` {address}: no such cluster ({error})") from error
    with client:
        (shared_future,) = client.scatter([shared], broadcast=True)
        pending, task_numbers = enumerate(tasks), dict[str, int]()
        running = as_completed()

        def submit() -> bool:
            number, task = next(pending, (0, None))
            if task is None:
                return False
            future = client.submit(_run_task, work, shared_future, task, pure=False)
            task_numbers[future.key] = number
            running.add(future)
            return True

        for _ in range(4 * max(1, len(client.nthreads()))):
            if not submit():
                break
        for future in running:
            number = task_numbers.pop(future.key)
            try:
                values = future.result()
            except KilledWorker as error:
                reason = f"several times on the cluster, last on {error.last_worker}"
                values = [WorkerCrashed(reason)]
            yield from ((number, value) for value in values)
            submit()
