"""ROC and precision-recall curves of one class against the rest, and the mean of curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.dataset import class_counts


@dataclass(frozen=True)
class Curve:
    """The ROC curve and the precision-recall curve of one class against the rest.

    Attributes:
        name: The class.
        false_positive_rates: `<float64>[points]`, ascending.
        true_positive_rates: `<float64>[points]`.
        area: Area under the ROC curve.
        recalls: `<float64>[points']`, descending.
        precisions: `<float64>[points']`.
        average_precision: The mean precision, weighted by the gain in recall.
    """

    name: str
    false_positive_rates: NDArray[np.float64]
    true_positive_rates: NDArray[np.float64]
    area: float
    recalls: NDArray[np.float64]
    precisions: NDArray[np.float64]
    average_precision: float


def class_curves(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], class_names: Sequence[str]
) -> Iterator[Curve]:
    """Yield a curve for each class, or for the second of two.

    All curves of many classes together would take several times the memory of the probabilities.

    Args:
        labels: True class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.
        probabilities: `<float32>[num, classes]`.
        class_names: Name of each column.

    Yields:
        The curves in order of class. A class has no curve if no example, or every example, is of
        it.
    """
    counts = class_counts(labels, len(class_names))
    is_binary = len(class_names) == 2 and labels.ndim == 1
    for i in [1] if is_binary else range(len(class_names)):
        if 0 < counts[i] < len(labels):
            is_class = labels == i if labels.ndim == 1 else labels[:, i] > 0
            yield _curve(class_names[i], is_class, probabilities[:, i])


def mean_curve(curves: Iterable[Curve]) -> tuple[Curve | None, Curve | None]:
    """Average curves at equal false positive rates, and at equal recalls.

    Args:
        curves: Read one by one.

    Returns:
        A curve of 502 points whose area and average precision are the means of the curves', and
        the curve with the smallest area; both None without curves.

    Source: Fawcett 2006, "An introduction to ROC analysis", section 9.1, vertical averaging.
    """
    grid = np.linspace(0, 1, 501)
    rates, precisions, areas, average_precisions = np.zeros(501), np.zeros(501), [], []
    hardest: Curve | None = None
    for curve in curves:
        rates += np.interp(grid, curve.false_positive_rates, curve.true_positive_rates)
        precisions += np.interp(grid, curve.recalls[::-1], curve.precisions[::-1])
        areas.append(curve.area)
        average_precisions.append(curve.average_precision)
        if hardest is None or curve.area < hardest.area:
            hardest = curve
    if hardest is None:
        return None, None
    mean = Curve(
        name="mean",
        false_positive_rates=np.append(0.0, grid),
        true_positive_rates=np.append(0.0, rates / len(areas)),
        area=float(np.mean(areas)),
        recalls=grid,
        precisions=precisions / len(areas),
        average_precision=float(np.mean(average_precisions)),
    )
    return mean, hardest


def roc_auc(is_positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Return the area under the ROC curve.

    Args:
        is_positive: The true class, `<bool>[num]`; both values occur.
        scores: Scores of the positive class, `<float32>[num]`.
    """
    return _area(*_cumulative_counts(is_positive, scores))


def _area(false_counts: NDArray[np.int64], true_counts: NDArray[np.int64]) -> float:
    """Return the area under the ROC curve of these cumulative counts."""
    # Trapezoids, in whole numbers: nothing is rounded before the division.
    twice = np.sum(np.diff(false_counts) * (true_counts[1:] + true_counts[:-1]))
    return float(twice / (2 * false_counts[-1] * true_counts[-1]))


def _curve(name: str, is_positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> Curve:
    false_counts, true_counts = _cumulative_counts(is_positive, scores)
    recalls = true_counts / true_counts[-1]
    precisions = np.append(1.0, true_counts[1:] / (true_counts + false_counts)[1:])
    # Points inside a straight line add nothing to the picture.
    bends = (np.diff(false_counts, 2) != 0) | (np.diff(true_counts, 2) != 0)
    corners = np.flatnonzero(np.concatenate([[True], bends, [True]]))
    return Curve(
        name=name,
        false_positive_rates=(false_counts / false_counts[-1])[corners],
        true_positive_rates=recalls[corners],
        area=_area(false_counts, true_counts),
        recalls=recalls[::-1],
        precisions=precisions[::-1],
        average_precision=float(np.sum(np.diff(recalls) * precisions[1:])),
    )


def _cumulative_counts(
    is_positive: NDArray[np.bool_], scores: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count false and true positives at each distinct score, highest first, beginning with 0.

    Returns:
        False positives and true positives, each `<int64>[distinct + 1]`.
    """
    order = np.argsort(-scores)  # the order of equal scores does not matter
    last_of_equal = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true_counts = np.cumsum(is_positive[order], dtype=np.int64)[last_of_equal]
    false_counts = 1 + last_of_equal - true_counts
    return np.append(0, false_counts), np.append(0, true_counts)
