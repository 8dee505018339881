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
        key: Its key in `metrics.json`, and its attribute in a `Report`. `linear.f1` is `f1` of
            `linear`; it is missing where `linear` is None.
        label: Its name for people.
        format_value: Formats its value; a missing value is a dash.
        better: Which values are better; None where none are.
    """

    key: str
    label: str
    format_value: Callable[[Any], str] = number
    better: Literal["higher", "lower"] | None = None

    def value(self, source: object) -> Any:
        """Return the metric of a report; None if it is missing."""
        value: Any = source
        for name in self.key.split("."):
            value = None if value is None else getattr(value, name)
        return value

    def cell(self, source: object) -> str:
        """Format the metric of a report; a missing value is followed by its reason."""
        text = self.format_value(self.value(source))
        reason = getattr(source, f"{self.key}_reason", "")
        return f"{text} ({reason})" if reason else text

    def best(self, sources: Sequence[object]) -> list[bool]:
        """Return for each source whether no other has a better value."""
        values = [self.value(source) for source in sources]
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
    MetricRow("linear.accuracy", "accuracy of the linear part alone"),
    MetricRow("majority.accuracy", "accuracy of the most common class"),
    MetricRow("loss", "loss (nats)", number, "lower"),
    MetricRow("precision", "precision, mean of classes", number, "higher"),
    MetricRow("recall", "recall, mean of classes", number, "higher"),
    MetricRow("f1", "macro F1 (mean of classes)", number, "higher"),
    MetricRow("linear.f1", "macro F1 of the linear part alone"),
    MetricRow("majority.f1", "macro F1 of the most common class"),
    MetricRow("roc_auc", "area under the ROC curve", number, "higher"),
    MetricRow("calibration_error", "calibration error", number, "lower"),
)
_MAIN_FIGURE = {"f1": "macro F1 (main figure)"}
_ANSWERED = MetricRow("answered", "share answered", number, "higher")
_MULTI_LABEL_ROWS = (
    MetricRow("num_examples", "examples", _count),
    MetricRow("micro_f1", "micro F1 (all labels together)", number, "higher"),
    MetricRow("linear.micro_f1", "micro F1 of the linear part alone"),
    MetricRow("majority.micro_f1", "micro F1 of the most common set"),
    MetricRow("f1", "macro F1 (mean of labels)", number, "higher"),
    MetricRow("linear.f1", "macro F1 of the linear part alone"),
    MetricRow("majority.f1", "macro F1 of the most common set"),
    MetricRow("accuracy", "exactly right (subset accuracy)", number, "higher"),
    MetricRow("accuracy_interval", "95% interval", interval),
    MetricRow("linear.accuracy", "exactly right, linear part alone"),
    MetricRow("majority.accuracy", "exactly right, most common set"),
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
    of their own. Runs without a linear part have no rows of it.
    """
    if all(getattr(report, "micro", None) is not None for report in reports):
        return _rows_with_values(_MULTI_LABEL_ROWS, reports)
    rows = _rows_with_values(METRIC_ROWS, reports)
    if any(report.answered < 1 for report in reports):
        num, accuracy, *others = rows
        others = [_of_all(row) if row.key.endswith(".accuracy") else row for row in others]
        rows = (num, _ANSWERED, replace(accuracy, label="accuracy of the answers"), *others)
    if report_imbalance(*reports) is None:
        return rows
    first = [
        replace(row, label=_MAIN_FIGURE.get(row.key, row.label)) for row in rows if _is_f1(row)
    ]
    return (*first, *(row for row in rows if not _is_f1(row)))


def _rows_with_values(
    rows: Sequence[MetricRow], reports: Sequence[Report]
) -> tuple[MetricRow, ...]:
    """Return the rows without those of a baseline that no report has."""
    return tuple(
        row
        for row in rows
        if "." not in row.key or any(row.value(report) is not None for report in reports)
    )


def _of_all(row: MetricRow) -> MetricRow:
    """Return a row of a baseline, which answers all examples."""
    return replace(row, label=f"{row.label}, answering all")


def _is_f1(row: MetricRow) -> bool:
    """Return whether a row holds a macro F1."""
    return row.key.rpartition(".")[2] == "f1"


def metric_table(*sources: Any, rows: Sequence[MetricRow] | None = None) -> list[tuple[str, ...]]:
    """Return the label of each row and its cell for each source.

    Args:
        *sources: Reports, or other objects with the attributes of the rows.
        rows: Which metrics; None for those of reports.
    """
    if rows is None:
        rows = metric_rows(*sources)
    return [(row.label, *(row.cell(source) for source in sources)) for row in rows]
