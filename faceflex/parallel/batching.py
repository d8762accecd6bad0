"""Dynamic batching: concurrent calls of several threads run as one batch, for accelerators."""

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
    """Dynamic batching of a function on rows.

    Calls that arrive while the function runs are queued, and joined into its next batch. So batches
    grow with the load, and a single call never waits for others.

    Parameters
    ----------
    function
        Maps (N, ...) rows to (N, ...) rows.
    max_batch
        Rows in one call of ``function``, unless a single call has more.
    """

    def __init__(self, function: Callable[[Rows], Rows], max_batch: int = 64) -> None:
        self._function, self._max_batch = function, max_batch
        self._calls: queue.SimpleQueue[tuple[Rows, Future[Rows]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def __call__(self, rows: Rows) -> Rows:
        """Return ``function(rows)``."""
        future: Future[Rows] = Future()
        self._calls.put((rows, future))
        return future.result()

    def _serve(self) -> None:
        deferred: tuple[Rows, Future[Rows]] | None = None
        while True:
            batch, deferred = [deferred or self._calls.get()], None
            count = len(batch[0][0])
            while deferred is None and count < self._max_batch and not self._calls.empty():
                call = self._calls.get()
                if count + len(call[0]) > self._max_batch:
                    deferred = call
                else:
                    batch.append(call)
                    count += len(call[0])
            self._run_batch(batch)

    def _run_batch(self, batch: list[tuple[Rows, Future[Rows]]]) -> None:
        try:
            results = self._function(np.concatenate([rows for rows, _ in batch]))
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
            return
        start = 0
        for rows, future in batch:
            future.set_result(results[start : start + len(rows)])
            start += len(rows)
