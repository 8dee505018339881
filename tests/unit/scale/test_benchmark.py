"""What `python -m benchmarks.ray` computes from the records of parts."""

from __future__ import annotations

import pytest

from benchmarks.ray import least_share, memory_growth


def test_memory_grows_from_the_second_part_on():
    assert memory_growth([50, 100, 105, 110]) == pytest.approx(1.1)
    assert memory_growth([50, 100]) == 1


def test_the_least_busy_worker_is_compared_with_a_fair_share():
    assert least_share([[1, 1, 1], [1]], 2) == pytest.approx(0.5)
    assert least_share([[1] * 12], 2) == 0
