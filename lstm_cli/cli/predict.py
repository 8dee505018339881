"""`lstm predict`: texts or images in, one record each out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli.options import Run, RunsDir, TextColumn

if TYPE_CHECKING:
    from lstm_cli.data.records import Records
    from lstm_cli.prediction.predictor import Predictor
    from lstm_cli.prediction.result import Prediction


def command(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="Texts, or image files for a run that reads images. Without any, and without "
            "--file, texts are read from the pipe.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="One text a line; or a .csv, .tsv or .jsonl table. '-' reads the pipe.",
        ),
    ] = None,
    text_column: TextColumn = None,
    run: Run = None,
    runs_dir: RunsDir = None,
    format_: Annotated[
        Literal["auto", "table", "tsv", "csv", "jsonl"],
        typer.Option("--format", help="'auto' is a table on a terminal and TSV in a pipe."),
    ] = "auto",
    header: Annotated[
        bool, typer.Option("--header", help="Begin TSV or CSV with the names of the columns.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            min=0,
            max=1,
            help="For two classes: choose the second from this probability on (0.5).",
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=1, help="Only the K most probable classes.")
    ] = None,
) -> None:
    """Classify texts or images: one record out for each one in, in order, empty lines included.

    A record has: label, its probability, the probability of each class in the run's order, number
    of tokens, whether the middle was cut, and the share of unknown tokens. In TSV and CSV these are
    the columns; with --top-k each class is named in front of its probability.

    Bytes that are no UTF-8 are replaced and the lines counted on stderr: a stream goes on.

    Examples: 'lstm predict "A triumph."', 'lstm predict --file reviews.csv --format jsonl',
    'cut -f2 reviews.tsv | lstm predict | cut -f1', 'lstm predict --run mnist digit.png'.
    """
    from lstm_cli.cli import output
    from lstm_cli.data.records import Records
    from lstm_cli.prediction.predictor import Predictor
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find

    _check_inputs(inputs, file)
    found = find(runs_root(runs_dir), run, kind=None if run else "text")
    if run is None:
        output.print_note(f"Run: {found.name}")
    predictor = Predictor.load(found)
    wanted = format_ if format_ != "auto" else ("table" if output.is_terminal() else "tsv")
    records = None
    if not inputs:
        records = Records(None if file is None or str(file) == "-" else file, text_column)
    try:
        if predictor.kind == "image":
            predictions = _images(predictor, inputs or records or [], threshold)
        elif records is not None:
            predictions = _stream(predictor, records, threshold)
        else:
            predictions = iter(predictor.predict(inputs or [], threshold))
        _write(predictions, wanted, predictor, header, top_k, inputs)
    finally:
        if records is not None and records.num_replaced:
            output.print_note(
                f"Warning: lines with bytes that are no UTF-8, read as U+FFFD: "
                f"{records.num_replaced:,}."
            )


def _check_inputs(inputs: list[str] | None, file: Path | None) -> None:
    from lstm_cli.errors import ExitCode, LstmError

    if inputs and file is not None:
        raise LstmError(
            "Texts were given on the command line and with --file too.",
            "Give one of them.",
            ExitCode.USAGE,
        )
    if not inputs and file is None and (sys.stdin is None or sys.stdin.isatty()):
        raise LstmError(
            "There is nothing to classify.",
            'For example: lstm predict "A triumph."  or  lstm predict --file reviews.txt',
            ExitCode.USAGE,
        )


def _stream(
    predictor: Predictor, records: Records, threshold: float | None
) -> Iterator[Prediction]:
    """Classify texts as they come; what is known is written before more is waited for."""
    for window in records.windows():
        yield from predictor.predict(window, threshold)
        sys.stdout.flush()


def _images(
    predictor: Predictor, names: Iterable[str], threshold: float | None
) -> Iterator[Prediction]:
    """Classify image files, some at a time."""
    from itertools import islice

    from lstm_cli.data.images import read_images

    assert predictor.shape is not None
    source = iter(names)
    while some := [Path(name) for name in islice(source, 256)]:
        yield from predictor.predict(read_images(some, predictor.shape), threshold)


def _write(
    predictions: Iterator[Prediction],
    format_: str,
    predictor: Predictor,
    header: bool,
    top_k: int | None,
    inputs: list[str] | None,
) -> None:
    """Write records as they come."""
    if format_ == "table":
        _write_table(predictions, top_k, inputs)
    elif format_ == "jsonl":
        _write_jsonl(predictions, top_k)
    else:
        _write_columns(predictions, "\t" if format_ == "tsv" else ",", predictor, header, top_k)


def _classes(prediction: Prediction, top_k: int | None) -> list[tuple[str, float]]:
    """Return the classes to show with their probabilities; the most probable first with top-k."""
    classes = list(prediction.probabilities.items())
    if top_k is None:
        return classes
    return sorted(classes, key=lambda entry: -entry[1])[:top_k]


def _write_columns(
    predictions: Iterator[Prediction],
    separator: str,
    predictor: Predictor,
    header: bool,
    top_k: int | None,
) -> None:
    import csv

    from lstm_cli.cli import output

    # csv quotes a label that holds the separator; TSV has no quotes, so there tabs are replaced.
    tsv = separator == "\t"
    writer = csv.writer(_Stdout(), lineterminator="\n")
    extra = ["tokens", "truncated", "unknown"] if predictor.kind == "text" else []
    for row in _column_rows(predictions, predictor.labels, header, top_k, extra):
        if tsv:
            output.write_data("\t".join(_without_tabs(cell) for cell in row) + "\n")
        else:
            writer.writerow(row)


class _Stdout:
    """Where the library csv writes."""

    def write(self, text: str) -> None:
        """Write a row."""
        from lstm_cli.cli import output

        output.write_data(text)


def _column_rows(
    predictions: Iterator[Prediction],
    labels: tuple[str, ...],
    header: bool,
    top_k: int | None,
    extra: list[str],
) -> Iterator[list[str]]:
    if header:
        ranks = range(1, min(top_k or 0, len(labels)) + 1)
        ranked = [name for rank in ranks for name in (f"class_{rank}", f"probability_{rank}")]
        yield ["label", "probability", *(ranked if top_k else labels), *extra]
    for p in predictions:
        shown = [f"{p.probability:.6f}"]
        for label, probability in _classes(p, top_k):
            shown += [label] * bool(top_k) + [f"{probability:.6f}"]
        tail = [str(p.num_tokens), str(p.truncated).lower(), f"{p.unknown:.4f}"] if extra else []
        yield [p.label, *shown, *tail]


def _without_tabs(cell: str) -> str:
    return cell.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def _write_jsonl(predictions: Iterator[Prediction], top_k: int | None) -> None:
    from lstm_cli.cli import output

    for prediction in predictions:
        record = prediction.to_dict()
        record["probabilities"] = dict(_classes(prediction, top_k))
        output.print_json(record, None)


def _write_table(
    predictions: Iterator[Prediction], top_k: int | None, inputs: list[str] | None
) -> None:
    """Draw tables of a screenful, so that a long file neither waits nor fills the memory."""
    from itertools import islice

    from lstm_cli.cli import output
    from lstm_cli.io import text_format

    names = iter(inputs or [])
    while some := list(islice(predictions, 500)):
        rows = []
        for p in some:
            classes = "  ".join(f"{label} {value:.3f}" for label, value in _classes(p, top_k))
            row = [p.label, f"{p.probability:.3f}", classes]
            if p.num_tokens is not None:
                cut = "yes" if p.truncated else "no"
                row += [f"{p.num_tokens:,}", cut, text_format.percent(p.unknown, 0)]
            if inputs:
                row.append(text_format.shorten(next(names), 60))
            rows.append(row)
        columns = ["label", "probability", "classes"]
        if some[0].num_tokens is not None:
            columns += ["tokens", "cut", "unknown"]
        if inputs:
            columns.append("input")
        output.print_rows(rows, columns, right=("probability", "tokens", "unknown"))
