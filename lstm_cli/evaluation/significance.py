"""Paired tests of two classifiers on the same examples."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lstm_cli.evaluation.metrics import wilson_interval


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of the hypothesis that two classifiers are equally accurate.

    Under that hypothesis, an example that only one of them classifies correctly is equally likely
    to be the first's or the second's. The test is exact: it uses the binomial distribution, not
    the chi-squared approximation.

    Args:
        only_first: Examples that only the first classifies correctly.
        only_second: Examples that only the second classifies correctly.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated
        proportions or percentages", Psychometrika 12(2), p. 153-157; as a binomial test, Dixon &
        Mood 1946, "The statistical sign test", JASA 41(236), p. 557-566.
    """
    from scipy.stats import binomtest

    num = only_first + only_second
    return float(binomtest(min(only_first, only_second), num).pvalue) if num else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of tests, so that the family-wise error rate holds.

    Args:
        p_values: One per test.

    Returns:
        The adjusted p-values, in the same order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian
        Journal of Statistics 6(2), p. 65-70.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def difference_interval(
    both: int, only_first: int, only_second: int, neither: int
) -> tuple[float, float]:
    """Return the 95% interval of the difference of two accuracies on the same examples.

    Args:
        both: Examples that both classify correctly.
        only_first: Examples that only the first classifies correctly.
        only_second: Examples that only the second classifies correctly.
        neither: Examples that neither classifies correctly.

    Source: Newcombe 1998, "Improved confidence intervals for the difference between binomial
        proportions based on paired data", Statistics in Medicine 17, p. 2635-2650, method 10.
    """
    num = both + only_first + only_second + neither
    first, second = both + only_first, both + only_second
    (low1, high1), (low2, high2) = wilson_interval(first, num), wilson_interval(second, num)
    rate1, rate2 = first / num, second / num
    cross = float(both * neither - only_first * only_second)
    if cross > 0:
        cross = max(cross - num / 2, 0.0)
    margins = first * (num - first) * second * (num - second)
    phi = cross / math.sqrt(margins) if margins else 0.0
    below, above = rate1 - low1, high2 - rate2
    low = math.sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    below, above = rate2 - low2, high1 - rate1
    high = math.sqrt(max(0.0, above**2 - 2 * phi * above * below + below**2))
    return rate1 - rate2 - low, rate1 - rate2 + high
