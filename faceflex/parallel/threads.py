"""Tasks run in threads, their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def in_order(tasks: Iterable[Callable[[], Result]], threads: int) -> Iterator[Result]:
    """Run tasks in threads; yield what they return, in their order.

    No more than ``threads`` results exist at once; the first exception ends it.
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
            for waiting in running:
                waiting.cancel()
