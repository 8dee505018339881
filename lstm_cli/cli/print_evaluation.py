"""Results of `lstm eval`, for people or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstm_cli.cli import output
from lstm_cli.io.text_format import number, shorten
from lstm_cli.report.metric_rows import METRIC_ROWS

if TYPE_CHECKING:
    from lstm_cli.evaluation.evaluate import Evaluation, Misclassified
    from lstm_cli.evaluation.metrics import Report

_MAX_CLASSES = 10


def print_evaluation(evaluation: Evaluation, as_json: bool) -> None:
    """Print metrics, classes, confusion matrix and mistakes."""
    if as_json:
        output.print_json(evaluation.to_dict())
        return
    report = evaluation.report
    title = f"{evaluation.run} on {evaluation.dataset} ({evaluation.split})"
    output.print_key_values({row.label: row.cell(report) for row in METRIC_ROWS}, title)
    output.print_line("")
    _print_classes(report)
    if len(report.classes) <= _MAX_CLASSES:
        _print_confusion(report)
    if evaluation.mistakes:
        output.print_line("")
        output.print_rows(
            [_mistake_row(mistake) for mistake in evaluation.mistakes],
            ("example", "true", "predicted", "probability", "text"),
            right=("example", "probability"),
            title="Most confidently wrong",
        )
    output.print_line(f"\nReport and plots: {evaluation.folder}")


def _mistake_row(mistake: Misclassified) -> tuple[object, ...]:
    text = "(image)" if mistake.text is None else shorten(mistake.text, 160)
    probability = number(mistake.probability)
    return mistake.index, mistake.label, mistake.predicted, probability, text


def _print_classes(report: Report) -> None:
    columns = ("class", "precision", "recall", "F1", "examples")
    rows = [
        (c.name, number(c.precision), number(c.recall), number(c.f1), f"{c.support:,}")
        for c in report.classes
    ]
    output.print_rows(rows, columns, right=columns[1:])


def _print_confusion(report: Report) -> None:
    """Print the confusion matrix; of many classes, only the plot shows it."""
    output.print_line("")
    names = [c.name for c in report.classes]
    columns = ("true \\ predicted", *names)
    rows = [(name, *counts) for name, counts in zip(names, report.confusion, strict=True)]
    output.print_rows(rows, columns, right=columns[1:])
