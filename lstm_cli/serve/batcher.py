"""Dynamic batching: the inputs of many requests are computed in few batches, in threads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

# How long inputs wait for others to fill a batch.
_MAX_DELAY_SECONDS = 0.002
# Inputs of a batch differ in length by at most this factor or this number of steps, so that a short
# text is not padded to the length of a long one.
_MAX_LENGTH_RATIO = 1.5
_MAX_LENGTH_DIFFERENCE = 16


class QueueFullError(Exception):
    """The queue has no room for the inputs of a request."""


@dataclass(frozen=True)
class BatchLimits:
    """Limits of batches and of the queue.

    Attributes:
        max_inputs: Inputs in a batch.
        max_steps: Time steps in a batch, padding included; a longer input gets its own batch.
        max_queue: Inputs in the queue.
        num_workers: Threads, one batch each.
    """

    max_inputs: int = 16
    max_steps: int = 8192
    max_queue: int = 1024
    num_workers: int = os.cpu_count() or 1


class _Request:
    """The results of one request."""

    __slots__ = ("future", "num_missing", "results")

    def __init__(self, num_inputs: int, future: asyncio.Future[list[Any]]) -> None:
        self.results: list[Any] = [None] * num_inputs
        self.num_missing = num_inputs
        self.future = future

    def set_result(self, index: int, result: Any) -> None:
        self.results[index] = result
        self.num_missing -= 1
        if not self.num_missing and not self.future.done():
            self.future.set_result(self.results)

    def set_error(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class _QueueItem:
    request: _Request
    index: int
    value: Any
    num_steps: int


class Batcher:
    """A bounded queue in front of a function that computes a batch faster than single inputs.

    Used from one event loop. If an input makes the function raise, only its request fails: the
    others of the batch are computed again without it.

    Args:
        compute: Takes inputs and returns one result for each; called in threads.
        limits: Limits of batches and of the queue.
        observe_batch: Receives the number of inputs of each batch.
    """

    def __init__(
        self,
        compute: Callable[[list[Any]], Iterable[Any]],
        limits: BatchLimits,
        observe_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._limits = limits
        self._compute = compute
        self._observe_batch = observe_batch
        self._queue: list[_QueueItem] = []
        self._num_running = 0
        self._flush_timer: asyncio.TimerHandle | None = None
        self._pool = ThreadPoolExecutor(self._limits.num_workers, "lstm-batch")

    @property
    def num_waiting(self) -> int:
        """Inputs in the queue, which no batch has yet."""
        return len(self._queue)

    async def submit(self, values: Sequence[Any], num_steps: Sequence[int]) -> list[Any]:
        """Compute the inputs of one request, in order.

        If the request is cancelled or times out, its inputs are dropped from the queue.

        Args:
            values: The inputs.
            num_steps: The number of time steps of each.

        Raises:
            QueueFullError: The inputs do not fit into the queue; none of them is queued.
        """
        if len(self._queue) + len(values) > self._limits.max_queue:
            self._drop_cancelled()
        if len(self._queue) + len(values) > self._limits.max_queue:
            raise QueueFullError
        if not values:
            return []
        request = _Request(len(values), asyncio.get_running_loop().create_future())
        for index, (value, steps) in enumerate(zip(values, num_steps, strict=True)):
            self._queue.append(_QueueItem(request, index, value, steps))
        self._schedule()
        return await request.future

    def close(self) -> None:
        """Stop the threads after the batches that are being computed."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _drop_cancelled(self) -> None:
        self._queue = [item for item in self._queue if not item.request.future.done()]

    def _schedule(self) -> None:
        """Start batches on idle workers: full ones now, others after a short delay."""
        while (
            self._num_running < self._limits.num_workers
            and len(self._queue) >= self._limits.max_inputs
        ):
            self._start_batch()
        if (
            self._queue
            and self._num_running < self._limits.num_workers
            and self._flush_timer is None
        ):
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(_MAX_DELAY_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        while self._queue and self._num_running < self._limits.num_workers:
            self._start_batch()

    def _start_batch(self) -> None:
        batch = self._take_batch()
        if not batch:
            return
        self._num_running += 1
        self._observe_batch(len(batch))
        loop = asyncio.get_running_loop()
        values = [item.value for item in batch]
        future = loop.run_in_executor(self._pool, self._compute_batch, values)
        future.add_done_callback(lambda done: self._finish(batch, done))

    def _take_batch(self) -> list[_QueueItem]:
        """Dequeue the input that has waited longest, and those nearest to it in length."""
        self._drop_cancelled()
        if not self._queue:
            return []
        first = self._queue[0].num_steps
        by_distance = sorted(
            (abs(item.num_steps - first), index) for index, item in enumerate(self._queue)
        )
        chosen: list[int] = []
        longest = 0
        for _, index in by_distance:
            steps = self._queue[index].num_steps
            longest = max(longest, steps)
            too_many = (len(chosen) + 1) * longest > self._limits.max_steps
            if chosen and (too_many or not _is_similar_length(first, steps)):
                break
            chosen.append(index)
            if len(chosen) == self._limits.max_inputs:
                break
        taken = set(chosen)
        batch = [item for index, item in enumerate(self._queue) if index in taken]
        self._queue = [item for index, item in enumerate(self._queue) if index not in taken]
        return batch

    def _compute_batch(self, values: list[Any]) -> list[Any]:
        """Compute a batch in a thread; for an input that fails, the result is the exception."""
        try:
            return list(self._compute(values))
        except Exception as error:  # any error must reach the request that waits for the result
            if len(values) == 1:
                return [error]
        return [self._compute_batch([value])[0] for value in values]

    def _finish(self, batch: list[_QueueItem], done: asyncio.Future[list[Any]]) -> None:
        self._num_running -= 1
        if not done.cancelled():
            for item, result in zip(batch, done.result(), strict=True):
                if isinstance(result, Exception):
                    item.request.set_error(result)
                else:
                    item.request.set_result(item.index, result)
        # Inputs that arrived while this batch was computed have waited long enough.
        if self._flush_timer is None:
            self._flush()


def _is_similar_length(a: int, b: int) -> bool:
    low, high = min(a, b), max(a, b)
    return high <= low * _MAX_LENGTH_RATIO or high - low <= _MAX_LENGTH_DIFFERENCE
