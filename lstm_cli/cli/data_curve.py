"""`lstm data curve`: what more labeled rows would bring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_cli.cli import options, table_options
from lstm_cli.cli.command import check_conflicts
from lstm_cli.cli.completion import complete_dataset
from lstm_cli.cli.option_groups import with_groups
from lstm_cli.cli.resolve import column_conflicts

if TYPE_CHECKING:
    from lstm_cli.evaluation.learning_curve import LearningCurve

_Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="A table, a folder, tfds:NAME, or a name that 'lstm data list' shows.",
        autocompletion=complete_dataset,
    ),
]
_Out = Annotated[
    list[Path] | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Also write a picture (.png, .svg) or a table (.csv, .tsv, .jsonl). Repeatable.",
        show_default="none",
    ),
]
_PICTURES = (".png", ".svg")
_TABLES = (".csv", ".tsv", ".jsonl")


@with_groups
def curve(
    ctx: typer.Context,
    dataset: _Dataset,
    *,
    out: _Out = None,
    text_column: table_options.TextColumn = None,
    label_column: table_options.LabelColumn = None,
    table_format: table_options.TableFormatOptions,
    data_dir: options.DataDir = None,
    json: options.Json = False,
) -> None:
    """Measure the learning curve: the accuracy with a part of the rows, and what more would bring.

    The linear model, the part of 'lstm train' that takes seconds, learns from 10 to 100% of the
    rows and predicts rows that were held out, in five folds. A power law through these points says
    what twice and four times as many rows would probably bring.

    For example:

    ```
    lstm data curve tickets.csv
    lstm data curve tickets.csv --out curve.png --out curve.csv
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.cli.reporter import make_reporter
    from lstm_cli.data import DataSource
    from lstm_cli.data.dataset_settings import locate
    from lstm_cli.evaluation.learning_curve import measure_curve

    check_conflicts(ctx, column_conflicts(dataset))
    _check_names(out or [])
    source = DataSource(
        locate(dataset),
        data_dir,
        tuple(text_column or ()),
        label_column,
        read_options=table_format.read_options(),
    )
    output.print_note("Cross-validating the linear model with growing parts of the rows ...")
    measured = measure_curve(source, make_reporter())
    for path in out or []:
        _write(measured, path)
    _print(measured, out or [], json)


def _check_names(out: list[Path]) -> None:
    """Check the names of the files before anything slow begins.

    Raises:
        LstmError: One ends in something else (exit code 2) or cannot be written, or Matplotlib is
            not installed.
    """
    from lstm_cli.errors import ExitCode, LstmError
    from lstm_cli.io.atomic_write import check_writable
    from lstm_cli.io.optional import require

    for path in out:
        if path.suffix.lower() not in (*_PICTURES, *_TABLES):
            raise LstmError(
                f"--out expects a name that ends in {', '.join((*_PICTURES, *_TABLES))}, found "
                f"'{path}'.",
                "For example: --out curve.png",
                ExitCode.USAGE,
            )
        if path.suffix.lower() in _PICTURES:
            require("matplotlib")
        check_writable(path)


def _write(measured: LearningCurve, path: Path) -> None:
    from lstm_cli.data.readers.read_options import format_of
    from lstm_cli.evaluation.learning_curve import to_table
    from lstm_cli.evaluation.learning_curve_plot import draw_curve
    from lstm_cli.io.atomic_write import write_atomic

    if path.suffix.lower() in _PICTURES:
        draw_curve(measured, path)
    else:
        write_atomic(path, to_table(measured, format_of(path)).encode())


def _print(measured: LearningCurve, out: list[Path], as_json: bool) -> None:
    """Print the points, and what more rows would probably bring."""
    from lstm_cli.cli import output
    from lstm_cli.io.text_format import number, percent

    if as_json:
        output.print_json(measured.to_dict())
        return
    rows = [
        (
            f"{point.num_rows:,}",
            percent(point.fraction, 0),
            f"{number(point.accuracy)} ± {number(point.accuracy_std)}",
            f"{number(point.f1)} ± {number(point.f1_std)}",
        )
        for point in measured.points
    ]
    columns = ("rows to train on", "share", "accuracy", "macro F1")
    title = f"Learning curve of {measured.source}, {measured.num_rows:,} rows"
    output.print_rows(rows, columns, right=columns, title=title)
    output.print_line("")
    for times, forecast in zip(("twice", "four times"), measured.forecasts, strict=True):
        accuracies = (1 - forecast.error, 1 - forecast.high, 1 - forecast.low)
        middle, low, high = (number(accuracy, ".3f") for accuracy in accuracies)
        output.print_text(
            f"With {times} as many rows ({forecast.num_rows:,}) the accuracy would probably be "
            f"{middle} ({low} to {high})."
        )
    output.print_text(
        f"\nMean ± standard deviation of {measured.num_folds} folds, of the linear model alone; "
        "'lstm train' adds the LSTM. The forecast is based on power laws that agree with the "
        "points (90% interval). It assumes that new rows are like these and as well labelled."
    )
    for path in out:
        output.print_line(f"Written: {path}")
