"""Inputs of many requests -> few batches, computed in threads while the event loop goes on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

_GATHER_SECONDS = 0.002
# Texts that share a batch differ by at most this factor in length, or by so many steps: a short
# one is not computed at the length of a long one.
_ALIKE_FACTOR = 1.5
_ALIKE_STEPS = 16


class QueueFullError(Exception):
    """The queue has no room for these inputs now."""


@dataclass(frozen=True)
class Sizes:
    """What a batch may hold, and what may wait.

    Attributes:
        inputs: Most inputs in a batch.
        steps: Most time steps in a batch, padding included; one input may exceed it alone.
        waiting: Most inputs that wait.
        workers: Batches computed at once.
    """

    inputs: int = 16
    steps: int = 8192
    waiting: int = 1024
    workers: int = os.cpu_count() or 1


class _Ticket:
    """The inputs of one request, and what is known of them."""

    __slots__ = ("future", "missing", "results")

    def __init__(self, num: int, future: asyncio.Future[list[Any]]) -> None:
        self.results: list[Any] = [None] * num
        self.missing = num
        self.future = future

    def put(self, index: int, result: Any) -> None:
        self.results[index] = result
        self.missing -= 1
        if not self.missing and not self.future.done():
            self.future.set_result(self.results)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Job:
    ticket: _Ticket
    index: int
    value: Any
    num_steps: int


class Batcher:
    """A bounded queue in front of a function that computes many inputs faster than one by one.

    Used from one event loop. An input that makes the function raise fails alone: the others of
    its batch are computed without it.
    """

    def __init__(
        self,
        compute: Callable[[list[Any]], Iterable[Any]],
        sizes: Sizes | None = None,
        observe: Callable[[int], None] | None = None,
    ) -> None:
        """Put a queue in front of `compute`.

        Args:
            compute: Takes inputs and returns one result for each; called in threads.
            sizes: Of batches and of the queue.
            observe: Told the number of inputs of each batch.
        """
        self.sizes = sizes or Sizes()
        self._compute = compute
        self._observe = observe or (lambda _: None)
        self._jobs: list[_Job] = []
        self._running = 0
        self._gathering: asyncio.TimerHandle | None = None
        self._pool = ThreadPoolExecutor(self.sizes.workers, "lstm-batch")

    @property
    def num_waiting(self) -> int:
        """Inputs that are in no batch yet."""
        return len(self._jobs)

    async def submit(self, values: Sequence[Any], num_steps: Sequence[int]) -> list[Any]:
        """Compute the inputs of one request, in order.

        Inputs whose request is given up (cancelled, timed out) are dropped from the queue.

        Raises:
            QueueFullError: They do not fit into the queue; none of them waits.
        """
        if len(self._jobs) + len(values) > self.sizes.waiting:
            self._drop()
        if len(self._jobs) + len(values) > self.sizes.waiting:
            raise QueueFullError
        if not values:
            return []
        ticket = _Ticket(len(values), asyncio.get_running_loop().create_future())
        for index, (value, steps) in enumerate(zip(values, num_steps, strict=True)):
            self._jobs.append(_Job(ticket, index, value, steps))
        self._schedule()
        return await ticket.future

    def close(self) -> None:
        """End the threads; what is being computed is finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _drop(self) -> None:
        self._jobs = [job for job in self._jobs if not job.ticket.future.done()]

    def _schedule(self) -> None:
        """Start batches on idle workers: full ones now, others once a moment has passed."""
        while self._running < self.sizes.workers and len(self._jobs) >= self.sizes.inputs:
            self._start()
        if self._jobs and self._running < self.sizes.workers and self._gathering is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.call_later(_GATHER_SECONDS, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        while self._jobs and self._running < self.sizes.workers:
            self._start()

    def _start(self) -> None:
        batch = self._take()
        if not batch:
            return
        self._running += 1
        self._observe(len(batch))
        loop = asyncio.get_running_loop()
        values = [job.value for job in batch]
        running = loop.run_in_executor(self._pool, self._outcomes, values)
        running.add_done_callback(lambda done: self._finish(batch, done))

    def _take(self) -> list[_Job]:
        """Take the job that waited longest, and with it those nearest to it in length."""
        self._drop()
        if not self._jobs:
            return []
        first = self._jobs[0].num_steps
        alike = sorted((abs(job.num_steps - first), place) for place, job in enumerate(self._jobs))
        places: list[int] = []
        longest = 0
        for _, place in alike:
            steps = self._jobs[place].num_steps
            longest = max(longest, steps)
            too_many = (len(places) + 1) * longest > self.sizes.steps
            if places and (too_many or not _are_alike(first, steps)):
                break
            places.append(place)
            if len(places) == self.sizes.inputs:
                break
        taken = set(places)
        batch = [job for place, job in enumerate(self._jobs) if place in taken]
        self._jobs = [job for place, job in enumerate(self._jobs) if place not in taken]
        return batch

    def _outcomes(self, values: list[Any]) -> list[Any]:
        """Compute a batch in a worker's thread; an error stands in the place of its input."""
        try:
            return list(self._compute(values))
        except Exception as error:  # whatever it is, it must reach who waits for an answer
            if len(values) == 1:
                return [error]
        return [self._outcomes([value])[0] for value in values]

    def _finish(self, batch: list[_Job], done: asyncio.Future[list[Any]]) -> None:
        self._running -= 1
        if not done.cancelled():
            for job, result in zip(batch, done.result(), strict=True):
                if isinstance(result, Exception):
                    job.ticket.fail(result)
                else:
                    job.ticket.put(job.index, result)
        # What came while this batch was computed has waited long enough.
        if self._gathering is None:
            self._gathered()


def _are_alike(a: int, b: int) -> bool:
    low, high = min(a, b), max(a, b)
    return high <= low * _ALIKE_FACTOR or high - low <= _ALIKE_STEPS
