"""The linear part of a run alone, as a baseline beside its results.

The linear part is what the run itself adds to the logits of its network. Its class is the one with
the highest linear logit, so the factor with which the run scales these logits changes nothing, and
no calibration is needed: accuracy and F1 are compared, not the loss. On validation the logits are
those of weights that have not seen the row: fitted to the training split, or to the other folds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lstm_cli.evaluation import metrics
from lstm_cli.evaluation.label_set_metrics import choose_thresholds
from lstm_cli.models.calibration import log_probabilities, sigmoid
from lstm_cli.prediction.label_sets import Thresholds
from lstm_cli.prediction.linear_part import has_linear_part, read_linear_logits
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.metrics_schema import BaselineScores, Report
from lstm_cli.runs.record import read_classifier
from lstm_cli.text.corpus import Corpus


def with_linear_part(
    report: Report,
    labels: NDArray[np.int32],
    logits: NDArray[np.float32] | None,
    thresholds: Thresholds | None = None,
) -> Report:
    """Return a report with the scores of the linear part alone.

    Args:
        report: Of a split.
        labels: Its true class ids, `<int32>[num]`, or label sets, `<int32>[num, labels]`.
        logits: Of the linear part, `<float32>[num, outputs]`; None for a run without one.
        thresholds: In a multi-label run, the thresholds of the labels for these logits, as
            `choose_linear_thresholds` returns them.
    """
    if logits is None:
        return report
    names = tuple(scores.name for scores in report.classes)
    if labels.ndim == 2:
        scores = metrics.compute(labels, sigmoid(logits), names, thresholds)
    else:
        probabilities = np.exp(log_probabilities(logits)).astype(np.float32)
        scores = metrics.compute(labels, probabilities, names)
    linear = BaselineScores(
        accuracy=scores.accuracy,
        f1=scores.f1,
        micro_f1=scores.micro_f1,
        thresholds=None if thresholds is None else tuple(thresholds.tolist()),
    )
    return replace(report, linear=linear)


def measure_linear_part(
    report: Report,
    labels: NDArray[np.int32],
    predictor: Predictor,
    inputs: Corpus | NDArray[np.uint8],
) -> Report:
    """Return a report of a finished run with the scores of its linear part alone, if it has one.

    A multi-label run that has no thresholds for its linear part gets none: at 0.5, its scores would
    be far too low.

    Args:
        report: Of a split.
        labels: As for `with_linear_part`.
        predictor: Of the run.
        inputs: The split as the predictor reads it.

    Raises:
        LstmError: A file of the run is damaged (exit code 5).
    """
    if not isinstance(inputs, Corpus) or not has_linear_part(predictor):
        return report
    thresholds = None
    if labels.ndim == 2:
        thresholds = stored_thresholds(read_classifier(predictor.run).validation)
        if thresholds is None:
            return report
    logits = read_linear_logits(predictor, inputs)
    return with_linear_part(report, labels, logits, thresholds)


def choose_linear_thresholds(
    labels: NDArray[np.int32], logits: NDArray[np.float32] | None
) -> Thresholds | None:
    """Choose the thresholds of the linear part on validation, as those of a run are chosen.

    Args:
        labels: Of the validation split.
        logits: Of the linear part for it, `<float32>[num, outputs]`; None without one.

    Returns:
        `<float64>[labels]`; None without a linear part, and for runs with one label a text.
    """
    if logits is None or labels.ndim == 1:
        return None
    return choose_thresholds(labels, sigmoid(logits))


def stored_thresholds(report: Report) -> Thresholds | None:
    """Return the thresholds of the linear part in a report; None if it has none."""
    if report.linear is None or report.linear.thresholds is None:
        return None
    return np.array(report.linear.thresholds, np.float64)
