"""Metrics of a multi-label run, and the thresholds of its labels.

All are computed with NumPy; the tests compare them with scikit-learn.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_cli.evaluation import roc
from lstm_cli.prediction.label_sets import Thresholds, predicted_labels
from lstm_cli.runs.metrics_schema import BaselineScores, Bin, ClassScores, MicroScores

_SMALLEST_PROBABILITY = 1e-7
# A label's threshold is drawn towards that of all labels as by this many of its examples.
_PRIOR_EXAMPLES = 5.0


def loss_and_accuracy(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    thresholds: Thresholds | None = None,
) -> tuple[float, float]:
    """Return the loss, and the fraction of examples whose labels are exactly right.

    Args:
        labels: True label sets, `<int32>[num, labels]`.
        probabilities: `<float32>[num, labels]`. NaN gives loss NaN: the model has diverged.
        thresholds: By label; 0.5 for each by default.

    Returns:
        The mean negative log-likelihood of a label in nats, where each probability counts as at
        least 1e-7, and the subset accuracy.
    """
    true = np.where(labels > 0, probabilities, 1 - probabilities).astype(np.float64)
    loss = -np.log(np.clip(true, _SMALLEST_PROBABILITY, 1.0)).mean()
    thresholds = np.full(labels.shape[1], 0.5) if thresholds is None else thresholds
    return float(loss), float(is_correct(labels, probabilities, thresholds).mean())


def is_correct(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], thresholds: Thresholds
) -> NDArray[np.bool_]:
    """Return whether exactly the true labels of an example are predicted, `<bool>[num]`."""
    return np.asarray((predicted_labels(probabilities, thresholds) == (labels > 0)).all(axis=1))


def choose_thresholds(labels: NDArray[np.int32], probabilities: NDArray[np.float32]) -> Thresholds:
    """Choose the threshold of each label that gives it the highest F1.

    A label with few examples would get a threshold by chance. So the F1 that is maximized counts
    a few more examples, which behave as the examples of all labels do.

    Args:
        labels: True label sets, `<int32>[num, labels]`, that the model has not learned from.
        probabilities: `<float32>[num, labels]`.

    Returns:
        `<float64>[labels]`, each between 0.01 and 0.99.

    Source: Lipton, Elkan & Naryanaswamy 2014, "Thresholding Classifiers to Maximize F1 Score".
    """
    grid = np.linspace(0.01, 0.99, 99)
    counts = [_counts(labels, probabilities, threshold) for threshold in grid]
    correct, predicted = (np.array(part, np.float64) for part in zip(*counts, strict=True))
    support = labels.sum(axis=0)
    scale = _PRIOR_EXAMPLES / max(support.sum(), 1)
    prior_correct, prior_predicted = (
        scale * part.sum(axis=1, keepdims=True) for part in (correct, predicted)
    )
    f1 = 2 * (correct + prior_correct) / (predicted + prior_predicted + support + _PRIOR_EXAMPLES)
    # The middle of equally good thresholds.
    is_best = f1 >= f1.max(axis=0) - 1e-12
    first, last = is_best.argmax(axis=0), len(grid) - 1 - is_best[::-1].argmax(axis=0)
    return np.asarray(np.round((grid[first] + grid[last]) / 2, 4), np.float64)


def _counts(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many predictions of each label are correct, and how many there are."""
    predicted = predicted_labels(probabilities, np.full(labels.shape[1], threshold))
    return (predicted & (labels > 0)).sum(axis=0), predicted.sum(axis=0)


def label_scores(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    thresholds: Thresholds,
    names: tuple[str, ...],
) -> tuple[ClassScores, ...]:
    """Return the scores of each label; a score without a denominator is 0."""
    chosen, true = predicted_labels(probabilities, thresholds), labels > 0
    correct, predicted, support = (part.sum(axis=0) for part in (chosen & true, chosen, true))
    return tuple(
        ClassScores(
            name,
            float(correct[i] / max(predicted[i], 1)),
            float(correct[i] / max(support[i], 1)),
            float(2 * correct[i] / max(predicted[i] + support[i], 1)),
            int(support[i]),
            int(predicted[i]),
            float(thresholds[i]),
            roc.roc_auc(true[:, i], probabilities[:, i]) if 0 < support[i] < len(true) else None,
        )
        for i, name in enumerate(names)
    )


def micro_scores(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], thresholds: Thresholds
) -> MicroScores:
    """Return precision, recall and F1 of the labels of all examples together."""
    chosen, true = predicted_labels(probabilities, thresholds), labels > 0
    correct, predicted, support = (int(p.sum()) for p in (chosen & true, chosen, true))
    return MicroScores(
        precision=correct / max(predicted, 1),
        recall=correct / max(support, 1),
        f1=2 * correct / max(predicted + support, 1),
        num_labels=support,
        num_predicted=predicted,
    )


def macro_scores(classes: tuple[ClassScores, ...]) -> tuple[float, float, float]:
    """Return the means of precision, recall and F1 over labels that occur or are predicted."""
    present = [each for each in classes if each.support or each.num_predicted]
    num = max(len(present), 1)
    precision = sum(each.precision for each in present) / num
    recall = sum(each.recall for each in present) / num
    return precision, recall, sum(each.f1 for each in present) / num


def mean_area(classes: tuple[ClassScores, ...]) -> tuple[float | None, str]:
    """Return the mean ROC area of the labels that have one; None and the reason if none has."""
    areas = [each.roc_auc for each in classes if each.roc_auc is not None]
    if not areas:
        return None, "no label has both examples with it and examples without it"
    return math.fsum(areas) / len(areas), ""


def majority_scores(labels: NDArray[np.int32]) -> BaselineScores:
    """Return the scores of always predicting the most frequent set of labels.

    Args:
        labels: True label sets, `<int32>[num, labels]`.
    """
    sets, counts = np.unique(labels, axis=0, return_counts=True)
    support = labels.sum(axis=0)
    predicted = sets[counts.argmax()] * len(labels)
    correct = np.minimum(predicted, support)
    present = predicted + support > 0
    f1 = 2 * correct[present] / (predicted + support)[present]
    return BaselineScores(
        accuracy=float(counts.max() / len(labels)),
        f1=float(f1.mean()) if len(f1) else 0.0,
        micro_f1=float(2 * correct.sum() / max(predicted.sum() + support.sum(), 1)),
    )


def reliability_bins(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], num_bins: int
) -> tuple[Bin, ...]:
    """Group the labels of all examples by their probability, in equal bins from 0 to 1.

    `confidence` is the mean probability, and `accuracy` the fraction of true labels.
    """
    values = probabilities.astype(np.float64).ravel()
    index = np.clip(np.ceil(values * num_bins).astype(int) - 1, 0, num_bins - 1)
    counts = np.bincount(index, minlength=num_bins)
    sums = np.bincount(index, weights=values, minlength=num_bins)
    num_true = np.bincount(index, weights=labels.ravel(), minlength=num_bins)
    return tuple(
        Bin(
            low=i / num_bins,
            high=(i + 1) / num_bins,
            count=int(counts[i]),
            confidence=float(sums[i] / counts[i]) if counts[i] else None,
            accuracy=float(num_true[i] / counts[i]) if counts[i] else None,
        )
        for i in range(num_bins)
    )


def errors(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], thresholds: Thresholds
) -> NDArray[np.float64]:
    """Return how certain the model is of each wrong label, `<float64>[num, labels]`.

    It is the probability of a label that is wrongly predicted, or 1 minus that of one that is
    missing; 0 for a label that is right.
    """
    chosen, true = predicted_labels(probabilities, thresholds), labels > 0
    confidence = np.where(chosen, probabilities, 1 - probabilities)
    return np.where(chosen != true, confidence, 0.0).astype(np.float64)
