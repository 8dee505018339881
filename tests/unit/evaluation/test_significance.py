"""McNemar's test, Holm's adjustment and the interval of a difference, against known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.evaluation.significance import difference_interval, holm, mcnemar


def test_mcnemar_gives_known_values():
    # Computed by hand: 2 (C(13,0) + C(13,1) + C(13,2) + C(13,3)) / 2^13.
    assert mcnemar(10, 3) == pytest.approx(2 * (1 + 13 + 78 + 286) / 2**13)
    assert mcnemar(0, 6) == 2 / 2**6
    assert mcnemar(0, 0) == mcnemar(4, 4) == 1.0
    # Agresti, Categorical data analysis, approval of a prime minister: 150 against 86.
    assert mcnemar(150, 86) == pytest.approx(3.7e-5, rel=0.02)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_twice_the_tail_of_the_binomial_distribution(first, second):
    num = first + second
    tail = sum(math.comb(num, k) for k in range(min(first, second) + 1))
    assert mcnemar(first, second) == pytest.approx(min(1.0, 2 * tail / 2**num), rel=1e-9)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_mcnemar_accepts_thousands_of_examples():
    assert mcnemar(12_600, 12_400) == pytest.approx(0.208, abs=1e-3)
    assert mcnemar(0, 5_000) == 0.0


def test_equal_classifiers_differ_significantly_in_less_than_5_percent():
    rng = np.random.default_rng(0)
    discordant = rng.binomial(300, 0.2, 4000)
    only_first = rng.binomial(discordant, 0.5)
    pairs = zip(only_first, discordant - only_first, strict=True)
    rate = np.mean([mcnemar(int(a), int(b)) < 0.05 for a, b in pairs])
    assert 0.02 < rate < 0.05  # an exact test is conservative


def test_different_classifiers_differ_significantly():
    rng = np.random.default_rng(0)
    only_first = rng.binomial(60, 0.75, 500)
    rate = np.mean([mcnemar(int(a), 60 - int(a)) < 0.05 for a in only_first])
    assert rate > 0.95


def test_holm_gives_known_values():
    # Each p times the number of p-values not smaller, at least as large as the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values):
    adjusted = holm(values)
    assert all(p <= a <= 1 for p, a in zip(values, adjusted, strict=True))
    order = np.argsort(values, kind="stable")
    assert list(np.array(adjusted)[order]) == sorted(adjusted)


def test_the_interval_of_a_difference_gives_published_values():
    # Newcombe 1998, table III, method 10.
    assert difference_interval(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=1e-4)
    # Both are often correct or wrong together, so the continuity correction matters.
    assert difference_interval(20, 12, 2, 16) == pytest.approx((0.0562, 0.3292), abs=1e-4)


def test_the_interval_of_a_difference_covers_the_true_value_in_95_percent():
    rng = np.random.default_rng(1)
    chances = (0.78, 0.12, 0.05, 0.05)
    drawn = rng.multinomial(200, chances, 2000)
    intervals = [difference_interval(*map(int, row)) for row in drawn]
    held = np.mean([low <= 0.12 - 0.05 <= high for low, high in intervals])
    assert 0.935 < held < 0.975


@given(*(st.integers(0, 40) for _ in range(4)))
def test_the_interval_of_a_difference_contains_it_and_is_antisymmetric(
    both, first, second, neither
):
    if not both + first + second + neither:
        return
    low, high = difference_interval(both, first, second, neither)
    difference = (first - second) / (both + first + second + neither)
    assert -1 - 1e-9 <= low <= difference <= high <= 1 + 1e-9
    reversed_interval = difference_interval(both, second, first, neither)
    assert reversed_interval == pytest.approx((-high, -low), abs=1e-12)
