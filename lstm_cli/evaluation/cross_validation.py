"""The scores of the folds of a cross-validation, with their mean and spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.evaluation import metrics
from lstm_cli.evaluation.scored_split import ScoredSplit
from lstm_cli.runs.metrics_schema import CrossValidation, FoldScores


def score_folds(
    scored: ScoredSplit, fold_of: NDArray[np.int64], labels: tuple[str, ...]
) -> CrossValidation:
    """Score each fold by itself.

    Args:
        scored: All rows, each predicted by a model that has not seen it.
        fold_of: The fold of each row, counted from 1, `<int64>[num]`.
        labels: Class names.
    """
    parts = [fold_of == fold for fold in range(1, int(fold_of.max()) + 1)]
    thresholds = scored.thresholds if scored.labels.ndim == 2 else None
    reports = [
        metrics.compute(scored.labels[part], scored.probabilities[part], labels, thresholds)
        for part in parts
    ]
    return CrossValidation(
        len(reports),
        _fold_scores([report.accuracy for report in reports]),
        _fold_scores([report.f1 for report in reports]),
        _fold_scores([report.loss for report in reports]),
    )


def _fold_scores(values: Sequence[float]) -> FoldScores:
    """Return values with their mean and standard deviation."""
    return FoldScores(float(np.mean(values)), float(np.std(values, ddof=1)), tuple(values))
