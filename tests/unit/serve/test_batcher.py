from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.serve.batcher import Batcher, BatchLimits, QueueFullError


class Doubler:
    """Doubles numbers; remembers its batches; waits where told to; refuses 13."""

    def __init__(self):
        self.batches = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, values):
        self.batches.append(list(values))
        assert self.may_go_on.wait(20)
        if 13 in values:
            raise ValueError("13")
        return [2 * value for value in values]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


async def submit_all(batcher, requests):
    tasks = [
        asyncio.ensure_future(batcher.submit(values, [1] * len(values))) for values in requests
    ]
    try:
        return await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        batcher.close()


def test_requests_that_come_together_are_computed_together():
    compute = Doubler()

    async def main():
        return await submit_all(
            Batcher(compute, BatchLimits(max_inputs=8, num_workers=1)), [[1], [2, 3], [4]]
        )

    assert run(main()) == [[2], [4, 6], [8]]
    assert compute.batches == [[1, 2, 3, 4]]


@given(
    st.lists(st.lists(st.integers(0, 12), max_size=7), max_size=12),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_each_request_gets_its_own_answers_in_order(requests, max_inputs, num_workers):
    compute = Doubler()

    async def main():
        return await submit_all(
            Batcher(compute, BatchLimits(max_inputs, 8192, 1000, num_workers)), requests
        )

    assert run(main()) == [[2 * value for value in values] for values in requests]
    assert max(map(len, compute.batches), default=0) <= max_inputs
    assert sum(map(len, compute.batches)) == sum(map(len, requests))


def test_an_input_that_fails_fails_alone():
    async def main():
        batcher = Batcher(Doubler(), BatchLimits(max_inputs=8, num_workers=1))
        return await submit_all(batcher, [[1], [13], [3, 13], [4]])

    first, second, third, fourth = run(main())
    assert (first, fourth) == ([2], [8])
    assert isinstance(second, ValueError)
    assert isinstance(third, ValueError)


def test_texts_of_very_different_length_are_not_computed_together():
    compute = Doubler()

    async def main():
        batcher = Batcher(compute, BatchLimits(max_inputs=8, num_workers=1))
        found = await batcher.submit([1, 2, 3, 4], [400, 5, 390, 6])
        batcher.close()
        return found

    assert run(main()) == [2, 4, 6, 8]
    assert compute.batches == [[1, 3], [2, 4]]


def test_a_batch_is_bounded_in_steps_and_one_long_input_goes_alone():
    compute = Doubler()

    async def main():
        batcher = Batcher(compute, BatchLimits(max_inputs=8, max_steps=100, num_workers=1))
        found = await batcher.submit([1, 2, 3, 4], [300, 40, 40, 40])
        batcher.close()
        return found

    assert run(main()) == [2, 4, 6, 8]
    assert compute.batches == [[1], [2, 3], [4]]


def test_a_full_queue_takes_none_of_a_request_and_works_on():
    compute = Doubler()
    compute.may_go_on.clear()

    async def main():
        batcher = Batcher(compute, BatchLimits(max_inputs=1, max_queue=2, num_workers=1))
        first = asyncio.ensure_future(batcher.submit([1], [1]))
        while not compute.batches:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(batcher.submit([2], [1]))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.submit([3, 4], [1, 1])
        assert batcher.num_waiting == 1
        compute.may_go_on.set()
        found = [await first, await second, await batcher.submit([3, 4], [1, 1])]
        batcher.close()
        return found

    assert run(main()) == [[2], [4], [6, 8]]


def test_what_nobody_waits_for_any_more_is_not_computed_and_makes_room():
    compute = Doubler()
    compute.may_go_on.clear()

    async def main():
        batcher = Batcher(compute, BatchLimits(max_inputs=1, max_queue=1, num_workers=1))
        first = asyncio.ensure_future(batcher.submit([1], [1]))
        while not compute.batches:
            await asyncio.sleep(0.001)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.submit([2], [1]), 0.01)
        third = asyncio.ensure_future(batcher.submit([3], [1]))
        await asyncio.sleep(0)
        compute.may_go_on.set()
        found = [await first, await third]
        batcher.close()
        return found

    assert run(main()) == [[2], [6]]
    assert compute.batches == [[1], [3]]
