"""Tasks in threads, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def run_in_threads(tasks: Iterable[Callable[[], Result]], threads: int) -> Iterator[Result]:
    """Run tasks in threads; yield their results in the tasks' order.

    At most ``threads`` tasks are in flight, which bounds memory; the first exception propagates.
    """
    if threads <= 1:
        yield from (task() for task in tasks)
        return
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                if len(running) == threads:
                    yield running.popleft().result()
                running.append(pool.submit(task))
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
