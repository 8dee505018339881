"""`lstm eval`: a run on a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli.options import DataDir, FailUnder, Json, LabelColumn, Run, RunsDir, TextColumn

if TYPE_CHECKING:
    from lstm_cli.evaluation.evaluate import Evaluation
    from lstm_cli.evaluation.metrics import Report


def command(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="The run's own data set, or any other with the same labels: a preset, a table, "
            "a folder, tfds:NAME.",
        ),
    ],
    run: Run = None,
    split: Annotated[
        Literal["train", "validation", "test"],
        typer.Option("--split", help="Which part; of a file the run never saw, all of it."),
    ] = "test",
    errors: Annotated[
        int, typer.Option("--errors", min=0, help="List the N most confidently wrong examples.")
    ] = 0,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most N examples of other data than the run's own."),
    ] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = None,
    json: Json = False,
    fail_under: FailUnder = None,
) -> None:
    """Score a run on a split and write report and plots into it.

    Examples: 'lstm eval imdb --errors 5', 'lstm eval reviews.csv --run imdb',
    'lstm eval imdb --fail-under accuracy=0.88 --fail-under f1=0.88'.
    """
    from lstm_cli.cli import output
    from lstm_cli.cli.dataset_argument import locate
    from lstm_cli.cli.train import check_thresholds
    from lstm_cli.data import DataSource
    from lstm_cli.evaluation.evaluate import evaluate
    from lstm_cli.evaluation.thresholds import parse_thresholds
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find

    thresholds = fail_under or []
    parse_thresholds(thresholds)
    name = locate(dataset)
    found = find(runs_root(runs_dir), run, data_name=None if run else name)
    own = found.config().data.name == name
    output.print_note(f"Run: {found.name}")
    evaluation = evaluate(
        found,
        None if own else DataSource(name, None, text_column, label_column, limit=limit),
        split=split,
        data_dir=data_dir,
        num_mistakes=errors,
        reporter=output.reporter(),
    )
    if json:
        output.print_json(evaluation.to_dict())
    else:
        _print(evaluation)
    check_thresholds(evaluation.report.to_dict(), thresholds)


def _print(evaluation: Evaluation) -> None:
    from lstm_cli.cli import output
    from lstm_cli.io import text_format
    from lstm_cli.io.text_format import number

    report = evaluation.report
    title = f"{evaluation.run} on {evaluation.dataset} ({evaluation.split})"
    output.print_key_values(_summary(report), title)
    output.print_line("")
    _print_classes(report)
    _print_confusion(report)
    if evaluation.mistakes:
        output.print_line("")
        output.print_rows(
            [
                (m.index, m.label, m.predicted, number(m.probability),
                 "(image)" if m.text is None else text_format.shorten(m.text, 160))
                for m in evaluation.mistakes
            ],
            ("example", "true", "predicted", "probability", "text"),
            right=("example", "probability"),
            title="Most confidently wrong",
        )  # fmt: skip
    output.print_line(f"\nReport and plots: {evaluation.folder}")


def _summary(report: Report) -> dict[str, object]:
    from lstm_cli.io.text_format import interval, number

    why = f" ({report.roc_auc_reason})" if report.roc_auc is None else ""
    return {
        "examples": f"{report.num_examples:,}",
        "accuracy": f"{number(report.accuracy)}  "
        f"(95% interval {interval(report.accuracy_interval)}; "
        f"the commonest class alone {number(report.baseline_accuracy)})",
        "loss": f"{number(report.loss)} nats",
        "precision, recall, F1": ", ".join(
            map(number, (report.precision, report.recall, report.f1))
        )
        + " (macro)",
        "ROC-AUC": number(report.roc_auc) + why,
        "calibration error": number(report.calibration_error),
    }


def _print_classes(report: Report) -> None:
    from lstm_cli.cli import output
    from lstm_cli.io.text_format import number

    columns = ("class", "precision", "recall", "F1", "examples")
    output.print_rows(
        [
            (c.name, *map(number, (c.precision, c.recall, c.f1)), f"{c.support:,}")
            for c in report.classes
        ],
        columns,
        right=columns[1:],
    )


def _print_confusion(report: Report) -> None:
    """Print the confusion matrix where it fits a terminal; the picture has it in any case."""
    from lstm_cli.cli import output

    names = [c.name for c in report.classes]
    if len(names) > 10:
        return
    output.print_line("")
    columns = ("true \\ predicted", *names)
    rows = [(name, *counts) for name, counts in zip(names, report.confusion, strict=True)]
    output.print_rows(rows, columns, right=columns[1:])
