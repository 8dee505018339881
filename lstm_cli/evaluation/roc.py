"""ROC and precision-recall curves: one class against the rest, and the mean of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Curve:
    """How well one class is told from the rest at every threshold.

    Attributes:
        name: The class.
        false_positives: False positive rates, `<float64>[points]`, rising.
        true_positives: True positive rate at each.
        area: Area under the ROC curve.
        recalls: Recalls, `<float64>[points']`.
        precisions: Precision at each.
        average_precision: Precision averaged over recall.
    """

    name: str
    false_positives: NDArray[np.float64]
    true_positives: NDArray[np.float64]
    area: float
    recalls: NDArray[np.float64]
    precisions: NDArray[np.float64]
    average_precision: float


def class_curves(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], class_names: Sequence[str]
) -> list[Curve]:
    """Compute a curve for each class, or for the second of two.

    Args:
        labels: True class ids, `<int32>[num]`.
        probabilities: `<float32>[num, classes]`.
        class_names: Name of each column.

    Returns:
        The curves in order of class; without those of classes that have no example, or nothing
        but their examples.
    """
    ids = [1] if len(class_names) == 2 else range(len(class_names))
    present = [i for i in ids if 0 < np.count_nonzero(labels == i) < len(labels)]
    return [_curve(class_names[i], labels == i, probabilities[:, i]) for i in present]


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Average curves at equal false positive rates, and at equal recalls.

    Args:
        curves: At least one.

    Returns:
        A curve of 502 points whose area and average precision are the means of the curves'.

    Source: Fawcett 2006, "An introduction to ROC analysis", section 9.1, vertical averaging.
    """
    grid = np.linspace(0, 1, 501)
    rates = [np.interp(grid, c.false_positives, c.true_positives) for c in curves]
    precisions = [np.interp(grid, c.recalls[::-1], c.precisions[::-1]) for c in curves]
    return Curve(
        name="mean",
        false_positives=np.append(0.0, grid),
        true_positives=np.append(0.0, np.mean(rates, axis=0)),
        area=float(np.mean([c.area for c in curves])),
        recalls=grid,
        precisions=np.mean(precisions, axis=0),
        average_precision=float(np.mean([c.average_precision for c in curves])),
    )


def _curve(name: str, truth: NDArray[np.bool_], score: NDArray[np.float32]) -> Curve:
    from sklearn import metrics

    false_positives, true_positives, _ = metrics.roc_curve(truth, score)
    precisions, recalls, _ = metrics.precision_recall_curve(truth, score)
    return Curve(
        name=name,
        false_positives=false_positives,
        true_positives=true_positives,
        area=float(metrics.auc(false_positives, true_positives)),
        recalls=recalls,
        precisions=precisions,
        average_precision=float(metrics.average_precision_score(truth, score)),
    )
