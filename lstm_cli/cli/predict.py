"""`lstm predict`: texts or images in, one record for each out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli import options
from lstm_cli.cli.command import Conflict, check_conflicts

if TYPE_CHECKING:
    from lstm_cli.data.records import Records
    from lstm_cli.prediction.predictor import Predictor
    from lstm_cli.prediction.result import Prediction

_IMAGE_BATCH = 256
_Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT",
        help="Texts to classify; for a run trained on images, image files. Without TEXT and "
        "--file, one text per line is read from the pipe.",
    ),
]
_File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="File with one text per line, or a .csv, .tsv or .jsonl table; '-' reads the pipe.",
        show_default="the pipe",
    ),
]
_Format = Annotated[
    Literal["auto", "table", "tsv", "csv", "jsonl"],
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="How to print: table, tsv, csv or jsonl; auto is table on a terminal, else tsv.",
    ),
]
_Header = Annotated[
    bool,
    typer.Option("--header", help="Print a first line with the names of the columns (TSV, CSV)."),
]
_Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="P",
        min=0,
        max=1,
        help="For two classes: choose the second if its probability is P or more. With several "
        "labels a text: choose each label from P on.",
        show_default="0.5; with several labels, those of the run",
    ),
]
_TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        metavar="K",
        min=1,
        help="Print only the K most probable classes.",
        show_default="all classes",
    ),
]
_CONFLICTS = (
    Conflict("TEXT", ("--file",), "the texts are on the command line"),
    Conflict("TEXT", ("--text-column",), "only the tables of --file have columns"),
)
_WITHOUT_COLUMNS = (Conflict("", ("--header",), "only --format tsv and csv have a header line"),)
_IMAGE_RUN = (Conflict("", ("--text-column",), "the run classifies images"),)


def command(
    ctx: typer.Context,
    inputs: _Texts = None,
    file: _File = None,
    text_column: options.TextColumn = None,
    run: options.Run = None,
    runs_dir: options.RunsDir = None,
    format_: _Format = "auto",
    header: _Header = False,
    threshold: _Threshold = None,
    top_k: _TopK = None,
) -> None:
    """Classify texts or images: one record for each input, in order, empty lines included.

    A record has the label, its probability, the probability of each class, the number of tokens,
    whether the middle of the text was left out, and the share of unknown tokens. With --top-k,
    each probability has the name of its class before it. With several labels a text, the first
    two columns hold all labels over their thresholds, and the probabilities of these. Bytes that
    are not UTF-8 are replaced; stderr says in how many lines.

    For example:

    ```
    lstm predict "A triumph."
    lstm predict --file reviews.csv --format jsonl
    cut -f2 reviews.tsv | lstm predict | cut -f1
    lstm predict --run mnist digit.png
    ```
    """
    from lstm_cli.cli import output, print_predictions
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.prediction.predictor import Predictor

    check_conflicts(ctx, _CONFLICTS)
    _check_inputs(inputs, file)
    predictor = Predictor.load(find_run(run, runs_dir, "text"))
    if format_ == "auto":
        format_ = "table" if output.is_terminal() else "tsv"
    if predictor.kind == "image":
        check_conflicts(ctx, _IMAGE_RUN)
    if format_ not in ("tsv", "csv"):
        check_conflicts(ctx, _WITHOUT_COLUMNS)
    records = None if inputs else _open_records(file, text_column)
    try:
        predictions = _predict(predictor, inputs, records, threshold)
        print_predictions.write(predictions, format_, predictor, header, top_k, inputs)
    finally:
        if records is not None and records.num_replaced:
            output.print_note(
                "Warning: bytes that are not UTF-8 were read as U+FFFD in "
                f"{records.num_replaced:,} lines."
            )


def _check_inputs(inputs: list[str] | None, file: Path | None) -> None:
    """Refuse to wait for a person to type.

    Raises:
        LstmError: There is no text, no file and no pipe (exit code 2).
    """
    from lstm_cli.errors import ExitCode, LstmError

    if not inputs and file is None and (sys.stdin is None or sys.stdin.isatty()):
        raise LstmError(
            "There is nothing to classify.",
            'For example: lstm predict "A triumph."  or  lstm predict --file reviews.txt',
            ExitCode.USAGE,
        )


def _open_records(file: Path | None, text_column: str | None) -> Records:
    from lstm_cli.data.records import Records

    return Records(None if file is None or str(file) == "-" else file, text_column)


def _predict(
    predictor: Predictor,
    inputs: list[str] | None,
    records: Records | None,
    threshold: float | None,
) -> Iterator[Prediction]:
    """Classify the arguments, or the records of a file or pipe."""
    if predictor.kind == "image":
        return _predict_images(predictor, inputs or records or [], threshold)
    if records is not None:
        return _predict_stream(predictor, records, threshold)
    return iter(predictor.predict(inputs or [], threshold))


def _predict_stream(
    predictor: Predictor, records: Records, threshold: float | None
) -> Iterator[Prediction]:
    """Classify texts as they arrive; results are flushed before waiting for more."""
    for window in records.windows():
        yield from predictor.predict(window, threshold)
        sys.stdout.flush()


def _predict_images(
    predictor: Predictor, names: Iterable[str], threshold: float | None
) -> Iterator[Prediction]:
    """Classify image files in batches."""
    from itertools import islice

    from lstm_cli.data.images import read_images

    assert predictor.shape is not None
    remaining = iter(names)
    while batch := [Path(name) for name in islice(remaining, _IMAGE_BATCH)]:
        yield from predictor.predict(read_images(batch, predictor.shape), threshold)
