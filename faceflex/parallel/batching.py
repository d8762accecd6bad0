"""Calls of several threads, worked on together: what an accelerator is for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


class BatchingQueue:
    """Makes one call of a function out of the calls that wait for it.

    While the function runs, further calls gather; they are joined for its next run. So batches
    grow with the load, and a single call waits for nobody.

    Parameters
    ----------
    work
        Takes (N, ...) rows and returns (N, ...) rows.
    most
        Rows in one call of ``work``, unless a single call has more.
    """

    def __init__(self, work: Callable[[Rows], Rows], most: int = 64) -> None:
        self._work, self._most = work, most
        self._calls: queue.SimpleQueue[tuple[Rows, Future[Rows]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def __call__(self, rows: Rows) -> Rows:
        """Return ``work(rows)``."""
        answer: Future[Rows] = Future()
        self._calls.put((rows, answer))
        return answer.result()

    def _serve(self) -> None:
        left: tuple[Rows, Future[Rows]] | None = None
        while True:
            calls, left = [left or self._calls.get()], None
            count = len(calls[0][0])
            while left is None and count < self._most and not self._calls.empty():
                call = self._calls.get()
                if count + len(call[0]) > self._most:
                    left = call
                else:
                    calls.append(call)
                    count += len(call[0])
            self._answer(calls)

    def _answer(self, calls: list[tuple[Rows, Future[Rows]]]) -> None:
        try:
            made = self._work(np.concatenate([rows for rows, _ in calls]))
        except BaseException as error:
            for _, answer in calls:
                answer.set_exception(error)
            return
        start = 0
        for rows, answer in calls:
            answer.set_result(made[start : start + len(rows)])
            start += len(rows)
