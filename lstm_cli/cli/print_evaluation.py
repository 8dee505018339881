"""Results of `lstm eval`, for people or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstm_cli.cli import output
from lstm_cli.evaluation.hard_classes import hardest_classes, report_imbalance
from lstm_cli.evaluation.main_result import describe_result
from lstm_cli.evaluation.metrics import confusion_matrix, most_common_errors
from lstm_cli.io.text_format import (
    interval,
    number,
    percent,
    short_label,
    short_labels,
    shorten,
)
from lstm_cli.report.metric_rows import metric_rows

if TYPE_CHECKING:
    from lstm_cli.evaluation.coverage import Coverage, WantedPrecision
    from lstm_cli.evaluation.evaluate import Evaluation
    from lstm_cli.evaluation.metrics import Report
    from lstm_cli.evaluation.mistakes import Misclassified
    from lstm_cli.evaluation.seen import Seen

# Classes in a table of scores, and in a confusion matrix; of more, only the hardest are shown.
_MAX_CLASSES, _MAX_MATRIX = 40, 10
_NUM_HARDEST, _NUM_ERRORS = 20, 10
# Characters of a label, of several labels, and of a column in a confusion matrix.
_MAX_LABEL, _MAX_LABEL_SET, _MAX_COLUMN = 40, 80, 20


def print_evaluation(evaluation: Evaluation, as_json: bool) -> None:
    """Print metrics, classes, confusion matrix and mistakes."""
    if as_json:
        output.print_json(evaluation.to_dict())
        return
    report = evaluation.report
    title = f"{evaluation.run} on {evaluation.dataset} ({evaluation.split})"
    rows = metric_rows(report)
    cells = {row.label: row.cell(report) for row in rows}
    output.print_key_values({**cells, "also in training": _describe_seen(evaluation)}, title)
    if imbalance := report_imbalance(report):
        names = [scores.name for scores in report.classes]
        output.print_line(f"\n{imbalance.describe(names)} Macro F1 counts all classes equally.")
    output.print_line("")
    _print_classes(report)
    if report.micro is None:
        _print_errors(report)
    if evaluation.mistakes:
        first = evaluation.mistakes[0]
        wrong = ["wrong label"] if first.wrong_label is not None else []
        name = "example" if first.id is None else "id"
        output.print_line("")
        output.print_rows(
            [_mistake_row(mistake) for mistake in evaluation.mistakes],
            (name, "true", "predicted", *wrong, "probability", "text"),
            right=("example", "probability"),
            title="Most confidently wrong",
        )
    if evaluation.seen and evaluation.seen.examples:
        _print_leaks(evaluation.seen)
    if evaluation.coverage:
        _print_coverage(evaluation.coverage, evaluation.split)
    output.print_line(f"\nReport and plots: {evaluation.folder}")
    output.print_text(describe_result(report, f"{evaluation.dataset} ({evaluation.split})"))
    if report.accuracy < 1 and not evaluation.mistakes:
        output.print_line("Next: add --errors 10 to see the mistakes the run was most sure of.")


def _describe_seen(evaluation: Evaluation) -> str:
    """Say how many of the examples the run has learned from, or why that is not known."""
    if evaluation.seen is None:
        return f"not known: {evaluation.seen_reason}"
    return evaluation.seen.cell()


def _print_leaks(seen: Seen) -> None:
    """Print examples that the run has learned from."""
    output.print_line("")
    rows = [
        (
            example.name,
            example.label,
            "another" if example.is_relabeled else "the same",
            "(image)" if example.text is None else shorten(example.text, 160),
        )
        for example in seen.examples
    ]
    name = "row" if seen.examples[0].id is None else "id"
    columns = (name, "label", "in training", "text")
    output.print_rows(rows, columns, right=columns[:1], title="Learned from in training")


def _print_coverage(coverage: Coverage, split: str) -> None:
    """Print the accuracy for each share of answered examples, and the choice for a precision."""
    output.print_line("")
    rows = [
        (
            percent(row.answered),
            f"{row.min_probability:.6g}",
            number(row.accuracy),
            interval(row.accuracy_interval),
            f"{row.num_answered:,}",
        )
        for row in coverage.rows
    ]
    columns = ("answered", "min probability", "accuracy", "95% interval", "examples")
    title = f"Accuracy against the share answered ({split})"
    output.print_rows(rows, columns, right=columns, title=title)
    if coverage.wanted is None:
        note = (
            "Choose a smallest probability with --wanted-precision, not from this table: what is "
            f"best here was read off the {split} split."
        )
        output.print_text(note)
        return
    output.print_text(_describe_wanted(coverage.wanted, split))


def _describe_wanted(wanted: WantedPrecision, split: str) -> str:
    """Say which smallest probability gives a precision, and what it gives on the split."""
    row, evaluated = wanted.held_out, wanted.evaluated
    if row is None or evaluated is None:
        return (
            f"No smallest probability gives a precision of {wanted.precision:g}. Looked for on "
            f"{wanted.chosen_on}."
        )
    here = (
        f"{percent(evaluated.answered)} answered with an accuracy of {number(evaluated.accuracy)}"
    )
    return (
        f"For a precision of {wanted.precision:g}: --min-probability {row.min_probability:.6g}\n"
        f"Chosen on {wanted.chosen_on}: {percent(row.answered)} answered with an accuracy of "
        f"{number(row.accuracy)}.\nOn {split}: {here} (95% interval "
        f"{interval(evaluated.accuracy_interval)})."
    )


def _mistake_row(mistake: Misclassified) -> tuple[object, ...]:
    text = "(image)" if mistake.text is None else shorten(mistake.text, 160)
    width = _MAX_LABEL if mistake.wrong_label is None else _MAX_LABEL_SET
    names = [short_label(mistake.label, width), short_label(mistake.predicted, width)]
    if mistake.wrong_label is not None:
        names = [*(name or "(none)" for name in names), short_label(mistake.wrong_label)]
    return mistake.name, *names, number(mistake.probability), text


def _print_classes(report: Report) -> None:
    """Print the scores of each class; of many, those of the classes with the lowest F1."""
    columns: tuple[str, ...] = ("class", "precision", "recall", "F1", "examples")
    classes, title = list(report.classes), None
    noun = "classes" if report.micro is None else "labels"
    if len(classes) > _MAX_CLASSES:
        classes = [report.classes[i] for i in hardest_classes(report, _NUM_HARDEST)]
        title = f"The {noun} with the lowest F1, of {len(report.classes):,} (--json has all)"
    rows: list[tuple[str, ...]] = [
        (short_label(c.name), number(c.precision), number(c.recall), number(c.f1), f"{c.support:,}")
        for c in classes
    ]
    if report.micro is not None:
        columns = ("label", *columns[1:], "threshold", "AUC")
        extra = [(number(c.threshold, ".2f"), number(c.roc_auc)) for c in classes]
        rows = [(*row, *more) for row, more in zip(rows, extra, strict=True)]
    output.print_rows(rows, columns, right=columns[1:], title=title)


def _print_errors(report: Report) -> None:
    """Print the confusion matrix; of many classes, only the most common errors."""
    if len(report.classes) <= _MAX_MATRIX:
        _print_confusion(report)
    else:
        _print_common_errors(report)


def _print_common_errors(report: Report) -> None:
    """Print which classes are most often taken for which others."""
    errors = most_common_errors(report, _NUM_ERRORS)
    if not errors:
        return
    output.print_line("")
    classes = report.classes
    rows = [
        (
            short_label(classes[true].name),
            short_label(classes[predicted].name),
            f"{count:,}",
            percent(count / classes[true].support),
        )
        for true, predicted, count in errors
    ]
    columns = ("true", "predicted", "examples", "of the class")
    output.print_rows(rows, columns, right=columns[2:], title="Most common errors")


def _print_confusion(report: Report) -> None:
    """Print the confusion matrix."""
    output.print_line("")
    names = list(short_labels([c.name for c in report.classes], _MAX_COLUMN).values())
    columns = ("true \\ predicted", *names)
    rows = [
        (name, *counts)
        for name, counts in zip(names, confusion_matrix(report).tolist(), strict=True)
    ]
    output.print_rows(rows, columns, right=columns[1:])
