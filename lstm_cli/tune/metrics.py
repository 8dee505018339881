"""The metrics that a search can optimize, and their values in the results of a run."""

from __future__ import annotations

from typing import Literal

from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.runs.metrics_schema import Report
from lstm_cli.runs.schema import EpochLine

# Attributes of a `Report` by the name of the metric.
_ATTRIBUTES = {
    "accuracy": "accuracy",
    "macro_f1": "f1",
    "micro_f1": "micro_f1",
    "precision": "precision",
    "recall": "recall",
    "roc_auc": "roc_auc",
    "loss": "loss",
}
# As --fail-under names it.
_ALIASES = {"f1": "macro_f1"}
METRICS = tuple(_ATTRIBUTES)
LABELS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "precision": "precision",
    "recall": "recall",
    "roc_auc": "ROC area",
    "loss": "loss",
}

Direction = Literal["maximize", "minimize"]


def parse_metric(name: str) -> str:
    """Return the metric that `--metric` names.

    Raises:
        LstmError: There is no such metric (exit code 2).
    """
    metric = _ALIASES.get(name, name)
    if metric not in _ATTRIBUTES:
        raise LstmError(
            f"--metric: there is no metric {name!r}.",
            f"{suggest(name, list(METRICS))} The metrics are {', '.join(METRICS)}.".strip(),
            ExitCode.USAGE,
        )
    return metric


def direction(metric: str) -> Direction:
    """Return whether higher or lower values of a metric are better."""
    return "minimize" if metric == "loss" else "maximize"


def value_of(report: Report, metric: str) -> float | None:
    """Return the value of a metric; None if it is not defined for these results."""
    value = getattr(report, _ATTRIBUTES[metric])
    return None if value is None else float(value)


def epoch_value(line: EpochLine, metric: str) -> float:
    """Return the value of an epoch by which trials are compared before they end.

    The history has the loss and the accuracy on validation, so the accuracy stands for all other
    metrics.
    """
    value = line.val_loss if metric == "loss" else line.val_accuracy
    assert value is not None
    return value
