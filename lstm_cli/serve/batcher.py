"""Dynamic batching: the inputs of many requests are computed in few batches, in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lstm_cli.serve.batch_workers import BatchWorkers

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
    """Limits of batches.

    Attributes:
        max_inputs: Inputs in a batch.
        max_steps: Time steps in a batch, padding included; a longer input gets its own batch.
    """

    max_inputs: int = 16
    max_steps: int = 8192


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
    """A queue in front of a function that computes a batch faster than single inputs.

    Used from one event loop. If an input makes the function raise, only its request fails: the
    others of the batch are computed again without it.

    Args:
        compute: Takes inputs and returns one result for each; called in threads.
        limits: Limits of batches.
        workers: The threads, which several batchers share.
        observe_batch: Receives the number of inputs of each batch.
    """

    def __init__(
        self,
        compute: Callable[[list[Any]], Iterable[Any]],
        limits: BatchLimits,
        workers: BatchWorkers,
        observe_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._limits = limits
        self._workers = workers
        self._compute = compute
        self._observe_batch = observe_batch
        self._queue: list[_QueueItem] = []
        self._flush_timer: asyncio.TimerHandle | None = None

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
            QueueFullError: The inputs do not fit into the queues of all models; none is queued.
        """
        if not self._workers.has_room(len(values)):
            raise QueueFullError
        if not values:
            return []
        request = _Request(len(values), asyncio.get_running_loop().create_future())
        for index, (value, steps) in enumerate(zip(values, num_steps, strict=True)):
            self._queue.append(_QueueItem(request, index, value, steps))
        self._schedule()
        return await request.future

    def drop_cancelled(self) -> None:
        """Drop inputs whose requests were cancelled or have timed out."""
        self._queue = [item for item in self._queue if not item.request.future.done()]
        if not self._queue:
            self._workers.withdraw(self)

    def start_next(self) -> bool:
        """Start a batch of inputs that waited for an idle worker; they need no further delay.

        Returns:
            Whether there was a batch to start.
        """
        return self._flush_timer is None and self._start_batch()

    def _schedule(self) -> None:
        """Start batches on idle workers: full ones now, others after a short delay."""
        self._workers.enroll(self)
        while self._workers.has_idle and len(self._queue) >= self._limits.max_inputs:
            self._start_batch()
        if self._queue and self._workers.has_idle and self._flush_timer is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(_MAX_DELAY_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        while self._queue and self._workers.has_idle:
            self._start_batch()

    def _start_batch(self) -> bool:
        batch = self._take_batch()
        if not batch:
            return False
        self._observe_batch(len(batch))
        values = [item.value for item in batch]
        self._workers.run(self._compute_batch, values, partial(_set_results, batch))
        return True

    def _take_batch(self) -> list[_QueueItem]:
        """Dequeue the input that has waited longest, and those nearest to it in length."""
        self.drop_cancelled()
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
        if not self._queue:
            self._workers.withdraw(self)
        return batch

    def _compute_batch(self, values: list[Any]) -> list[Any]:
        """Compute a batch in a thread; for an input that fails, the result is the exception."""
        try:
            return list(self._compute(values))
        except Exception as error:  # any error must reach the request that waits for the result
            if len(values) == 1:
                return [error]
        return [self._compute_batch([value])[0] for value in values]


def _set_results(batch: list[_QueueItem], results: list[Any]) -> None:
    for item, result in zip(batch, results, strict=True):
        if isinstance(result, Exception):
            item.request.set_error(result)
        else:
            item.request.set_result(item.index, result)


def _is_similar_length(a: int, b: int) -> bool:
    low, high = min(a, b), max(a, b)
    return high <= low * _MAX_LENGTH_RATIO or high - low <= _MAX_LENGTH_DIFFERENCE
