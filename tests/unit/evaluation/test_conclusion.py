"""The sentence at the beginning of a comparison."""

from __future__ import annotations

import pytest

from lstm_cli.evaluation.compare import PairedTest, UntestedPair
from lstm_cli.evaluation.conclusion import conclude
from lstm_cli.evaluation.significance import difference_interval, mcnemar


def paired(first, second, only_first, only_second, both=40, neither=10, pairs=1):
    num = both + only_first + only_second + neither
    p_value = mcnemar(only_first, only_second)
    return PairedTest(
        first,
        second,
        num,
        both,
        only_first,
        only_second,
        (only_first - only_second) / num,
        difference_interval(both, only_first, only_second, neither),
        p_value,
        min(1.0, pairs * p_value),
    )


@pytest.mark.parametrize("is_first", [True, False])
def test_better_run_comes_first_with_difference_interval_and_p(is_first):
    counts = (20, 2) if is_first else (2, 20)
    test = paired("a", "b", *counts)
    better = "a" if is_first else "b"
    found = conclude(("a", "b"), [test], [])
    assert found.better == better
    assert found.text == f"{better} is better: +25 points of accuracy, 13 to 36, p = 0.0001."


def test_small_differences_have_decimals():
    found = conclude(("a", "b"), [paired("a", "b", 200, 100, both=9000, neither=700)], [])
    assert found.text == "a is better: +1.0 points of accuracy, 0.7 to 1.3, p < 0.0001."


def test_no_difference_is_said_with_the_number_of_examples():
    found = conclude(("a", "b"), [paired("a", "b", 3, 5)], [])
    assert found.better is None
    assert found.text.startswith("No difference can be shown: b is +3 points of accuracy, -7 to 14")
    assert "ahead of a on 58 shared examples" in found.text
    same = conclude(("a", "b"), [paired("a", "b", 4, 4)], []).text
    assert "a and b have the same accuracy on 58 shared examples" in same


def test_p_counts_after_the_correction_for_all_pairs():
    test = paired("a", "b", 9, 1)
    assert conclude(("a", "b"), [test], []).better == "a"
    assert test.p_value < 0.05 < paired("a", "b", 9, 1, pairs=3).adjusted_p_value
    tests = [paired(*names, 9, 1, pairs=3) for names in (("a", "b"), ("a", "c"), ("b", "c"))]
    found = conclude(("a", "b", "c"), tests, [])
    assert found.better is None
    assert found.text.startswith(
        "No difference between the 3 runs can be shown: the smallest p of 3"
    )


def test_of_several_runs_one_is_better_than_all_others():
    tests = [paired("a", "b", 2, 20), paired("a", "c", 4, 4), paired("b", "c", 25, 2)]
    found = conclude(("a", "b", "c"), tests, [])
    assert found.better == "b"
    assert found.text.startswith(
        "b is better than all others: +25.0 to +29.9 points of accuracy, p "
    )
    assert found.text.endswith("0.0001 (Holm).")


def test_of_several_runs_one_is_better_than_some():
    tests = [paired("a", "b", 20, 2), paired("a", "c", 5, 4), paired("b", "c", 3, 12)]
    found = conclude(("a", "b", "c"), tests, [])
    assert found.better is None
    assert found.text == (
        "a is better than b: +25 points of accuracy, 13 to 36, p = 0.0001. "
        "No difference between it and c can be shown."
    )


def test_a_run_that_is_better_than_the_one_most_often_ahead_is_named():
    tests = [paired("a", "b", 2, 20), paired("a", "c", 20, 2), paired("a", "d", 20, 2)]
    untested = [UntestedPair(*pair, "no shared rows") for pair in ("bc", "bd", "cd")]
    found = conclude(("a", "b", "c", "d"), tests, untested)
    assert found.better is None
    assert found.text.startswith("a is better than c and d: ")
    assert " b is better than a: +25 points of accuracy, 13 to 36, p = 0.0001. " in found.text
    assert "No difference" not in found.text
    assert found.text.endswith("3 pairs were not tested.")


def test_no_best_run_but_a_pair_that_differs():
    # c is ahead of both, but not by enough; a is clearly ahead of b.
    tests = [paired("a", "b", 20, 2), paired("a", "c", 4, 5), paired("b", "c", 4, 6)]
    found = conclude(("a", "b", "c"), tests, [])
    assert found.better is None
    assert found.text.startswith(
        "No run can be shown to be the best. a is better than b: +25 points"
    )


def test_pairs_without_a_test_are_named():
    untested = [UntestedPair("a", "b", "their classes differ")]
    found = conclude(("a", "b"), [], untested)
    assert (found.better, found.text) == (
        None,
        "The runs could not be tested: their classes differ.",
    )
    found = conclude(("a", "b", "c"), [paired("a", "c", 2, 2)], untested)
    assert found.text.startswith("No difference can be shown: a and c have the same accuracy")
    assert found.text.endswith("1 pair was not tested.")
    tests = [paired("a", "c", 20, 2)]
    untested += [UntestedPair("b", "c", "their classes differ")]
    found = conclude(("a", "b", "c"), tests, untested)
    assert found.better is None
    assert found.text.startswith("a is better than c: ")
    assert found.text.endswith("2 pairs were not tested.")
