from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.serve.batch_workers import BatchWorkers
from lstm_cli.serve.batcher import Batcher, BatchLimits, QueueFullError


class Doubler:
    """Doubles numbers, records batches, waits for `release`, and raises for 13."""

    def __init__(self):
        self.batches = []
        self.release = threading.Event()
        self.release.set()

    def __call__(self, values):
        self.batches.append(list(values))
        assert self.release.wait(20)
        if 13 in values:
            raise ValueError("13")
        return [2 * value for value in values]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def make_batcher(compute, num_workers=1, max_queue=1000, **limits):
    return Batcher(compute, BatchLimits(**limits), BatchWorkers(max_queue, num_workers))


async def submit_all(batcher, requests):
    tasks = [
        asyncio.ensure_future(batcher.submit(values, [1] * len(values))) for values in requests
    ]
    try:
        return await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        batcher._workers.close()


def test_concurrent_requests_share_a_batch():
    compute = Doubler()

    async def main():
        return await submit_all(make_batcher(compute, max_inputs=8), [[1], [2, 3], [4]])

    assert run(main()) == [[2], [4, 6], [8]]
    assert compute.batches == [[1, 2, 3, 4]]


@given(
    st.lists(st.lists(st.integers(0, 12), max_size=7), max_size=12),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_each_request_gets_its_results_in_order(requests, max_inputs, num_workers):
    compute = Doubler()

    async def main():
        return await submit_all(make_batcher(compute, num_workers, max_inputs=max_inputs), requests)

    assert run(main()) == [[2 * value for value in values] for values in requests]
    assert max(map(len, compute.batches), default=0) <= max_inputs
    assert sum(map(len, compute.batches)) == sum(map(len, requests))


def test_failing_input_fails_only_its_request():
    async def main():
        batcher = make_batcher(Doubler(), max_inputs=8)
        return await submit_all(batcher, [[1], [13], [3, 13], [4]])

    first, second, third, fourth = run(main())
    assert (first, fourth) == ([2], [8])
    assert isinstance(second, ValueError)
    assert isinstance(third, ValueError)


def test_inputs_of_different_length_are_in_different_batches():
    compute = Doubler()

    async def main():
        batcher = make_batcher(compute, max_inputs=8)
        results = await batcher.submit([1, 2, 3, 4], [400, 5, 390, 6])
        batcher._workers.close()
        return results

    assert run(main()) == [2, 4, 6, 8]
    assert compute.batches == [[1, 3], [2, 4]]


def test_steps_of_a_batch_are_limited():
    compute = Doubler()

    async def main():
        batcher = make_batcher(compute, max_inputs=8, max_steps=100)
        results = await batcher.submit([1, 2, 3, 4], [300, 40, 40, 40])
        batcher._workers.close()
        return results

    assert run(main()) == [2, 4, 6, 8]
    assert compute.batches == [[1], [2, 3], [4]]


def test_full_queue_rejects_a_whole_request():
    compute = Doubler()
    compute.release.clear()

    async def main():
        batcher = make_batcher(compute, max_inputs=1, max_queue=2)
        first = asyncio.ensure_future(batcher.submit([1], [1]))
        while not compute.batches:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(batcher.submit([2], [1]))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.submit([3, 4], [1, 1])
        assert batcher.num_waiting == 1
        compute.release.set()
        results = [await first, await second, await batcher.submit([3, 4], [1, 1])]
        batcher._workers.close()
        return results

    assert run(main()) == [[2], [4], [6, 8]]


def test_cancelled_inputs_leave_the_queue():
    compute = Doubler()
    compute.release.clear()

    async def main():
        batcher = make_batcher(compute, max_inputs=1, max_queue=1)
        first = asyncio.ensure_future(batcher.submit([1], [1]))
        while not compute.batches:
            await asyncio.sleep(0.001)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.submit([2], [1]), 0.01)
        third = asyncio.ensure_future(batcher.submit([3], [1]))
        await asyncio.sleep(0)
        compute.release.set()
        results = [await first, await third]
        batcher._workers.close()
        return results

    assert run(main()) == [[2], [6]]
    assert compute.batches == [[1], [3]]


def test_batchers_share_the_threads_and_take_turns():
    """With one thread, the batches of a second batcher do not wait for all of the first."""
    compute = Doubler()
    compute.release.clear()

    async def main():
        workers = BatchWorkers(num_workers=1)
        one, other = (Batcher(compute, BatchLimits(max_inputs=1), workers) for _ in range(2))
        tasks = [asyncio.ensure_future(one.submit([1, 2, 3, 4], [1] * 4))]
        while not compute.batches:
            await asyncio.sleep(0.001)
        tasks.append(asyncio.ensure_future(other.submit([7, 8], [1] * 2)))
        await asyncio.sleep(0.01)
        assert compute.batches == [[1]]
        compute.release.set()
        results = await asyncio.gather(*tasks)
        # A model that is not served any more is freed: the workers forget queues that are empty.
        assert not workers._queues
        workers.close()
        return results

    assert run(main()) == [[2, 4, 6, 8], [14, 16]]
    assert compute.batches == [[1], [2], [7], [3], [8], [4]]
