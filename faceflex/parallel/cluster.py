"""Tasks on the machines of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from faceflex.errors import UsageError
from faceflex.parallel.process_pool import Result, Work, WorkerCrashed

_ANSWER = 10.0  # Seconds for a cluster to answer.


def _all(work: Work, shared: Any, task: Any) -> list[Any]:
    """Do one task on a machine of a cluster."""
    return list(work(shared, task))


def run_on_cluster(work: Work, shared: Any, tasks: Iterable[Any], address: str) -> Iterator[Result]:
    """Work on tasks on a Dask cluster, whose machines must see the same files.

    Parameters
    ----------
    work, shared, tasks
        As for :func:`faceflex.parallel.process_pool.run_in_processes`.
    address
        Of the scheduler.

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
        client = Client(address, timeout=_ANSWER)
    except (OSError, ValueError) as error:
        raise UsageError(f"`cluster` {address}: no such cluster ({error})") from error
    with client:
        (everywhere,) = client.scatter([shared], broadcast=True)
        todo, number_of = enumerate(tasks), dict[str, int]()
        running = as_completed()

        def submit() -> bool:
            number, task = next(todo, (0, None))
            if task is None:
                return False
            future = client.submit(_all, work, everywhere, task, pure=False)
            number_of[future.key] = number
            running.add(future)
            return True

        for _ in range(4 * max(1, len(client.nthreads()))):
            if not submit():
                break
        for future in running:
            number = number_of.pop(future.key)
            try:
                values = future.result()
            except KilledWorker as error:
                values = [
                    WorkerCrashed(f"several times on the cluster, last on {error.last_worker}")
                ]
            yield from ((number, value) for value in values)
            submit()
