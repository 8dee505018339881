"""The rows in which metrics are shown: card, report, comparison, `eval` and `runs show`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lstm_cli.evaluation.hard_classes import report_imbalance
from lstm_cli.io.text_format import duration, file_size, interval, number
from lstm_cli.runs.metrics_schema import Report


@dataclass(frozen=True)
class MetricRow:
    """How one metric is shown.

    Attributes:
        key: Its key in `metrics.json`, and its attribute in a `Report`.
        label: Its name for people.
        format_value: Formats its value; a missing value is a dash.
        better: Which values are better; None where none are.
    """

    key: str
    label: str
    format_value: Callable[[Any], str] = number
    better: Literal["higher", "lower"] | None = None

    def cell(self, source: object) -> str:
        """Format the metric of a report; a missing value is followed by its reason."""
        text = self.format_value(getattr(source, self.key))
        reason = getattr(source, f"{self.key}_reason", "")
        return f"{text} ({reason})" if reason else text

    def best(self, sources: Sequence[object]) -> list[bool]:
        """Return for each source whether no other has a better value."""
        values = [getattr(source, self.key) for source in sources]
        if self.better is None or None in values:
            return [False] * len(values)
        best = max(values) if self.better == "higher" else min(values)
        return [value == best for value in values]


def _count(value: int) -> str:
    return f"{value:,}"


METRIC_ROWS = (
    MetricRow("num_examples", "examples", _count),
    MetricRow("accuracy", "accuracy", number, "higher"),
    MetricRow("accuracy_interval", "95% interval", interval),
    MetricRow("baseline_accuracy", "accuracy of the most common class"),
    MetricRow("loss", "loss (nats)", number, "lower"),
    MetricRow("precision", "precision, mean of classes", number, "higher"),
    MetricRow("recall", "recall, mean of classes", number, "higher"),
    MetricRow("f1", "macro F1 (mean of classes)", number, "higher"),
    MetricRow("roc_auc", "area under the ROC curve", number, "higher"),
    MetricRow("calibration_error", "calibration error", number, "lower"),
)
_ANSWERED = MetricRow("answered", "share answered", number, "higher")
_MULTI_LABEL_ROWS = (
    MetricRow("num_examples", "examples", _count),
    MetricRow("micro_f1", "micro F1 (all labels together)", number, "higher"),
    MetricRow("f1", "macro F1 (mean of labels)", number, "higher"),
    MetricRow("accuracy", "exactly right (subset accuracy)", number, "higher"),
    MetricRow("accuracy_interval", "95% interval", interval),
    MetricRow("baseline_accuracy", "subset accuracy of the most common set"),
    MetricRow("micro_precision", "precision, all labels together", number, "higher"),
    MetricRow("micro_recall", "recall, all labels together", number, "higher"),
    MetricRow("precision", "precision, mean of labels", number, "higher"),
    MetricRow("recall", "recall, mean of labels", number, "higher"),
    MetricRow("roc_auc", "area under the ROC curve, mean", number, "higher"),
    MetricRow("loss", "loss of a label (nats)", number, "lower"),
    MetricRow("calibration_error", "calibration error", number, "lower"),
)
# What a run costs; the keys are those of `evaluation.compare.Entry`.
COST_ROWS = (
    MetricRow("parameters", "parameters", _count, "lower"),
    MetricRow("model_bytes", "model.onnx", file_size, "lower"),
    MetricRow("num_bytes", "run on disk", file_size, "lower"),
    MetricRow("seconds", "training", duration, "lower"),
)


def metric_rows(*reports: Report) -> tuple[MetricRow, ...]:
    """Return the rows for reports: macro F1 comes first if their classes are uneven.

    The share of answered examples is shown if it is below 1. Reports of multi-label runs have rows
    of their own.
    """
    if all(getattr(report, "micro", None) is not None for report in reports):
        return _MULTI_LABEL_ROWS
    rows: tuple[MetricRow, ...] = METRIC_ROWS
    if any(report.answered < 1 for report in reports):
        num, accuracy, *others = METRIC_ROWS
        rows = (num, _ANSWERED, replace(accuracy, label="accuracy of the answers"), *others)
    if report_imbalance(*reports) is None:
        return rows
    f1 = next(row for row in rows if row.key == "f1")
    rest = (row for row in rows if row is not f1)
    return (replace(f1, label="macro F1 (main figure)"), *rest)


def metric_table(*sources: Any, rows: Sequence[MetricRow] | None = None) -> list[tuple[str, ...]]:
    """Return the label of each row and its cell for each source.

    Args:
        *sources: Reports, or other objects with the attributes of the rows.
        rows: Which metrics; None for those of reports.
    """
    if rows is None:
        rows = metric_rows(*sources)
    return [(row.label, *(row.cell(source) for source in sources)) for row in rows]
