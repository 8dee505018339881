"""Metrics of labels and probabilities: accuracy, F1, ROC area, calibration, confusion matrix.

All are computed with NumPy; the tests compare them with scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.evaluation import label_set_metrics, roc
from lstm_cli.prediction.label_sets import Thresholds
from lstm_cli.runs.metrics_schema import BaselineScores
from lstm_cli.runs.metrics_schema import Bin as Bin
from lstm_cli.runs.metrics_schema import ClassScores as ClassScores
from lstm_cli.runs.metrics_schema import Report as Report

_NUM_BINS = 15
_SMALLEST_PROBABILITY = 1e-7
_Z_95 = 1.959963984540054  # the normal distribution's 97.5th percentile


def compute(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    class_names: tuple[str, ...],
    thresholds: Thresholds | None = None,
    answers: NDArray[np.int64] | None = None,
) -> Report:
    """Compare predictions with the true labels.

    Loss, ROC area and calibration are those of the probabilities, whatever the answers.

    Args:
        labels: True class ids, `<int32>[num]`; a class may be absent. In a multi-label run label
            sets, `<int32>[num, labels]`.
        probabilities: `<float32>[num, classes]`; rows sum to 1 unless there are several labels.
        class_names: Name of each column.
        thresholds: Of the labels of a multi-label run; 0.5 for each by default.
        answers: Predicted class ids, -1 for no answer, `<int64>[num]`; None for the most probable
            classes.

    Returns:
        The report. The accuracy is that of the answers; an example without one counts as missed
        in the recall of its class.

    Raises:
        LstmError: There is no example, or a probability is not a finite number.
        ValueError: The shapes do not match.
    """
    _check(labels, probabilities, class_names)
    if labels.ndim == 2:
        if thresholds is None:
            thresholds = np.full(len(class_names), 0.5)
        return _compute_label_sets(labels, probabilities, class_names, thresholds)
    num, num_classes = probabilities.shape
    loss, _ = loss_and_accuracy(labels, probabilities)
    predicted = probabilities.argmax(axis=1) if answers is None else answers
    is_answered = predicted >= 0
    num_answered, num_correct = int(is_answered.sum()), int((predicted == labels).sum())
    classes, macro = _class_scores(labels, predicted, class_names)
    roc_auc, reason = _roc_auc(labels, probabilities, class_names)
    bins = reliability(labels, probabilities)
    return Report(
        num_examples=num,
        accuracy=num_correct / max(num_answered, 1),
        accuracy_interval=wilson_interval(num_correct, num_answered),
        loss=loss,
        precision=macro[0],
        recall=macro[1],
        f1=macro[2],
        roc_auc=roc_auc,
        roc_auc_reason=reason,
        calibration_error=_calibration_error(bins),
        classes=classes,
        bins=bins,
        confusion=_confusion_cells(labels[is_answered], predicted[is_answered], num_classes),
        answered=num_answered / num,
        majority=_majority_scores([each.support for each in classes]),
    )


def _compute_label_sets(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    names: tuple[str, ...],
    thresholds: Thresholds,
) -> Report:
    """Return the report of a multi-label run."""
    loss, accuracy = label_set_metrics.loss_and_accuracy(labels, probabilities, thresholds)
    classes = label_set_metrics.label_scores(labels, probabilities, thresholds, names)
    precision, recall, f1 = label_set_metrics.macro_scores(classes)
    roc_auc, reason = label_set_metrics.mean_area(classes)
    bins = label_set_metrics.reliability_bins(labels, probabilities, _NUM_BINS)
    return Report(
        num_examples=len(labels),
        accuracy=accuracy,
        accuracy_interval=wilson_interval(round(accuracy * len(labels)), len(labels)),
        loss=loss,
        precision=precision,
        recall=recall,
        f1=f1,
        roc_auc=roc_auc,
        roc_auc_reason=reason,
        calibration_error=_calibration_error(bins),
        classes=classes,
        bins=bins,
        confusion=(),
        micro=label_set_metrics.micro_scores(labels, probabilities, thresholds),
        majority=label_set_metrics.majority_scores(labels),
    )


def loss_and_accuracy(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32]
) -> tuple[float, float]:
    """Return loss and accuracy only, which is fast enough for every epoch.

    Args:
        labels: True class ids, `<int32>[num]`, at least one; or label sets, for which a threshold
            of 0.5 is used.
        probabilities: `<float32>[num, classes]`. NaN gives loss NaN: the model has diverged.

    Returns:
        The mean negative log-likelihood in nats, where each probability counts as at least 1e-7,
        and the accuracy.
    """
    if labels.ndim == 2:
        return label_set_metrics.loss_and_accuracy(labels, probabilities)
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses = -np.log(np.clip(true, _SMALLEST_PROBABILITY, 1.0))
    accuracy = np.mean(probabilities.argmax(axis=1) == labels)
    return float(losses.mean()), float(accuracy)


def wilson_interval(num_correct: int, num: int) -> tuple[float, float]:
    """Return the 95% interval of a proportion; unlike the normal interval it stays in [0, 1].

    Args:
        num_correct: Number of successes.
        num: Number of trials.

    Returns:
        Lower and upper bound; 0 and 1 without a trial.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
        JASA 22(158), p. 209-212.
    """
    if not num:
        return 0.0, 1.0
    rate, z2 = num_correct / num, _Z_95**2
    centre = (rate + z2 / (2 * num)) / (1 + z2 / num)
    half = _Z_95 / (1 + z2 / num) * math.sqrt(rate * (1 - rate) / num + z2 / (4 * num**2))
    # At 0 and at num successes the bound is exactly 0 or 1; rounding must not change that.
    low = 0.0 if num_correct == 0 else max(0.0, centre - half)
    high = 1.0 if num_correct == num else min(1.0, centre + half)
    return low, high


def reliability(labels: NDArray[np.int32], probabilities: NDArray[np.float32]) -> tuple[Bin, ...]:
    """Group predictions by the probability of the predicted class, in 15 equal bins.

    Args:
        labels: True class ids, `<int32>[num]`.
        probabilities: `<float32>[num, classes]`.

    Returns:
        The bins from (0, 1/15] to (14/15, 1].

    Source: Guo et al. 2017, "On calibration of modern neural networks", section 2, B_m.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * _NUM_BINS).astype(int) - 1, 0, _NUM_BINS - 1)
    counts = np.bincount(index, minlength=_NUM_BINS)
    confidences = np.bincount(index, weights=confidence, minlength=_NUM_BINS)
    num_correct = np.bincount(index, weights=correct, minlength=_NUM_BINS)
    return tuple(
        Bin(
            low=i / _NUM_BINS,
            high=(i + 1) / _NUM_BINS,
            count=int(counts[i]),
            confidence=float(confidences[i] / counts[i]) if counts[i] else None,
            accuracy=float(num_correct[i] / counts[i]) if counts[i] else None,
        )
        for i in range(_NUM_BINS)
    )


def confusion_matrix(report: Report, ids: Sequence[int] | None = None) -> NDArray[np.int64]:
    """Return the confusion matrix of some classes.

    Args:
        report: The metrics of a split.
        ids: Which classes, in this order; None for all. Its size grows with the square of their
            number.

    Returns:
        Number of examples by true class (row) and predicted class (column),
        `<int64>[classes, classes]`.
    """
    ids = range(len(report.classes)) if ids is None else ids
    places = {id_: place for place, id_ in enumerate(ids)}
    matrix = np.zeros((len(places), len(places)), np.int64)
    for true, predicted, count in report.confusion:
        if true in places and predicted in places:
            matrix[places[true], places[predicted]] = count
    return matrix


def predicted_counts(report: Report) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the predictions of each class.

    Returns:
        How many are correct, and how many there are, each `<int64>[classes]`.
    """
    if report.micro is not None:
        pairs = [(round(c.recall * c.support), c.num_predicted or 0) for c in report.classes]
        correct, predicted = np.array(pairs, np.int64).T
        return correct, predicted
    counts = np.zeros((2, len(report.classes)), np.int64)
    for true, predicted, count in report.confusion:
        counts[0, predicted] += count * (true == predicted)
        counts[1, predicted] += count
    return counts[0], counts[1]


def most_common_errors(report: Report, num: int | None = None) -> list[tuple[int, int, int]]:
    """Find the classes that are most often taken for another.

    Args:
        report: The metrics of a split.
        num: The largest number of errors to return; None for all.

    Returns:
        Id of the true class, id of the predicted class, number of examples; the most common error
        first, equal ones in order of class.
    """
    errors = [cell for cell in report.confusion if cell[0] != cell[1]]
    return sorted(errors, key=lambda cell: -cell[2])[:num]


def most_confident_errors(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    num: int,
    answers: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Find the wrong predictions with the highest confidence.

    Args:
        labels: True class ids, `<int32>[num_examples]`.
        probabilities: `<float32>[num_examples, classes]`.
        num: The largest number of errors to return.
        answers: As for `compute`.

    Returns:
        Indices of wrongly predicted examples, `<int64>[<= num]`. The highest probability of the
        wrong class comes first; equal ones stay in order.
    """
    predicted = probabilities.argmax(axis=1) if answers is None else answers
    wrong = np.flatnonzero((predicted != labels) & (predicted >= 0))
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[order][: max(num, 0)].astype(np.int64)


def _check(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], class_names: tuple[str, ...]
) -> None:
    expected = (len(labels), len(class_names))
    if labels.ndim == 2 and labels.shape != expected:
        raise ValueError(f"expected label sets {list(expected)}, found {list(labels.shape)}")
    if labels.ndim > 2 or probabilities.shape != expected:
        raise ValueError(
            f"expected labels [num] and probabilities [num, {len(class_names)}], "
            f"found {labels.shape} and {probabilities.shape}"
        )
    if not len(labels):
        raise LstmError("There is no example to evaluate.", "Choose a split that has examples.")
    if labels.min() < 0 or labels.max() >= (len(class_names) if labels.ndim == 1 else 2):
        raise ValueError(
            f"expected class ids from 0 to {len(class_names) - 1}, "
            f"found {labels.min()} to {labels.max()}"
        )
    num_bad = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if num_bad:
        raise LstmError(
            f"{num_bad} of {len(labels)} predictions are not finite numbers.",
            "Training has diverged: lower the learning rate or clip gradients, and train again.",
        )


def _confusion_cells(
    labels: NDArray[np.int32], predicted: NDArray[np.int64], num_classes: int
) -> tuple[tuple[int, int, int], ...]:
    """Count examples by true and predicted class; see `Report.confusion`."""
    cells, counts = np.unique(labels.astype(np.int64) * num_classes + predicted, return_counts=True)
    columns = (cells // num_classes, cells % num_classes, counts)
    return tuple(zip(*(column.tolist() for column in columns), strict=True))


def _class_scores(
    labels: NDArray[np.int32], predicted_ids: NDArray[np.int64], class_names: tuple[str, ...]
) -> tuple[tuple[ClassScores, ...], tuple[float, float, float]]:
    """Return the scores of each class, and the macro averages of precision, recall and F1.

    A score without a denominator is 0. The averages leave out classes that neither occur nor are
    predicted, as scikit-learn does.
    """
    groups = (labels[labels == predicted_ids], predicted_ids[predicted_ids >= 0], labels)
    correct, predicted, support = (np.bincount(g, minlength=len(class_names)) for g in groups)
    precision = correct / np.maximum(predicted, 1)
    recall = correct / np.maximum(support, 1)
    f1 = 2 * correct / np.maximum(predicted + support, 1)
    present = predicted + support > 0
    macro = [float(scores[present].mean()) for scores in (precision, recall, f1)]
    classes = tuple(
        ClassScores(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
        for i, name in enumerate(class_names)
    )
    return classes, (macro[0], macro[1], macro[2])


def _majority_scores(supports: Sequence[int]) -> BaselineScores:
    """Return the scores of always predicting the most frequent class.

    Args:
        supports: Number of examples of each class.
    """
    accuracy = max(supports) / sum(supports)
    # Its recall is 1 and its precision is the accuracy; the F1 of all other classes is 0.
    f1 = 2 * accuracy / (1 + accuracy) / sum(support > 0 for support in supports)
    return BaselineScores(accuracy, f1)


def _roc_auc(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], class_names: tuple[str, ...]
) -> tuple[float | None, str]:
    """Return the mean ROC area of the classes; None and the reason where a class is absent."""
    num_classes = len(class_names)
    counts = np.bincount(labels, minlength=num_classes)
    absent = [class_names[c] for c in np.flatnonzero(counts == 0)]
    if len(absent) == num_classes - 1:
        return None, f"one class only, {class_names[labels[0]]!r}"
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        return None, f"no example of {', '.join(map(repr, absent[:3]))}{more}"
    # With two classes both have the same area.
    ids = [1] if num_classes == 2 else range(num_classes)
    areas = [roc.roc_auc(labels == c, probabilities[:, c]) for c in ids]
    return float(np.mean(areas)), ""


def _calibration_error(bins: Sequence[Bin]) -> float:
    """Return the mean gap between confidence and accuracy.

    Source: Guo et al. 2017, equation 3.
    """
    num = sum(b.count for b in bins)
    gaps = [
        b.count * abs(b.accuracy - b.confidence)
        for b in bins
        if b.accuracy is not None and b.confidence is not None
    ]
    return sum(gaps) / num
