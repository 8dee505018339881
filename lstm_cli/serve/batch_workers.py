"""The threads that compute the batches of all models of a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol


class BatchQueue(Protocol):
    """The inputs of one model that wait for a batch."""

    @property
    def num_waiting(self) -> int:
        """Inputs that no batch has yet."""

    def drop_cancelled(self) -> None:
        """Drop inputs whose result is not needed any more."""

    def start_next(self) -> bool:
        """Start a batch, and return whether there was one to start."""


class BatchWorkers:
    """As many threads as the machine has cores, shared by all models; they take turns.

    It knows only the queues with waiting inputs, so that a model that is no longer served is freed
    after its last request. Used from one event loop.

    Args:
        max_queue: Inputs in the queues of all models.
        num_workers: Threads, one batch each.
    """

    def __init__(self, max_queue: int = 1024, num_workers: int = os.cpu_count() or 1) -> None:
        self._max_queue = max_queue
        self._num_workers = num_workers
        self._num_running = 0
        # The keys, in the order of their turns.
        self._queues: dict[BatchQueue, None] = {}
        self._pool = ThreadPoolExecutor(num_workers, "lstm-batch")

    @property
    def has_idle(self) -> bool:
        """Whether a thread is idle."""
        return self._num_running < self._num_workers

    def has_room(self, num_inputs: int) -> bool:
        """Return whether so many inputs may be queued."""
        if self._num_waiting() + num_inputs <= self._max_queue:
            return True
        for queue in list(self._queues):
            queue.drop_cancelled()
        return self._num_waiting() + num_inputs <= self._max_queue

    def enroll(self, queue: BatchQueue) -> None:
        """Give turns to a queue that has waiting inputs."""
        self._queues.setdefault(queue)

    def withdraw(self, queue: BatchQueue) -> None:
        """Forget a queue that is empty."""
        self._queues.pop(queue, None)

    def run(
        self,
        compute: Callable[[list[Any]], list[Any]],
        values: list[Any],
        on_results: Callable[[list[Any]], None],
    ) -> None:
        """Compute a batch in a thread, then start the next batches.

        Args:
            compute: Returns one result for each value.
            values: The inputs.
            on_results: Receives the results in the event loop.
        """
        self._num_running += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, compute, values)
        future.add_done_callback(partial(self._finish, on_results))

    def close(self) -> None:
        """Stop the threads after the batches that are being computed."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _num_waiting(self) -> int:
        return sum(queue.num_waiting for queue in self._queues)

    def _finish(
        self, on_results: Callable[[list[Any]], None], done: asyncio.Future[list[Any]]
    ) -> None:
        self._num_running -= 1
        if not done.cancelled():
            on_results(done.result())
        while self.has_idle and self._start_next():
            pass

    def _start_next(self) -> bool:
        """Start a batch of the queue whose turn it is; return whether there was one to start."""
        for queue in list(self._queues):
            del self._queues[queue]
            self._queues[queue] = None
            if queue.start_next():
                return True
        return False
