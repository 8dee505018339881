"""`lstm predict`: texts or images in, one record for each out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lstm_cli.cli import options
from lstm_cli.cli.command import Conflict, check_conflicts

if TYPE_CHECKING:
    from lstm_cli.cli.print_predictions import Style
    from lstm_cli.data.records import Records
    from lstm_cli.prediction.predictor import Predictor
    from lstm_cli.prediction.result import Prediction

_IMAGE_BATCH = 256
# Texts, or pixels, to predictions.
_Classify = Callable[[Any], "list[Prediction]"]
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
        show_default="the run's, else 0.5",
    ),
]
_MinProbability = Annotated[
    float | None,
    typer.Option(
        "--min-probability",
        metavar="P",
        min=0,
        max=1,
        help="Leave the label empty where the chosen class is less probable than P; stderr says "
        "how often. 0 for a label always.",
        show_default="the run's, else 0",
    ),
]
_TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        metavar="K",
        min=1,
        help="Print only the K most probable classes.",
        show_default="all classes; 5 in a table",
    ),
]
_Rank = Annotated[
    Literal["uncertain"] | None,
    typer.Option(
        "--rank",
        metavar="uncertain",
        help="For people who label next: print the texts in the order in which a label would teach "
        "most, with their number in the input.",
        show_default="the order of the input",
    ),
]
_First = Annotated[
    int,
    typer.Option(
        "--first",
        metavar="N",
        min=1,
        help="With --rank: print the first N of the ranking; memory grows with N.",
    ),
]
_CONFLICTS = (
    Conflict("TEXT", ("--file",), "the texts are on the command line"),
    Conflict("TEXT", ("--text-column",), "only the tables of --file have columns"),
)
_WITHOUT_COLUMNS = (Conflict("", ("--header",), "only --format tsv and csv have a header line"),)
_IMAGE_RUN = (Conflict("", ("--text-column", "--rank"), "the run classifies images"),)
_WITHOUT_RANK = (Conflict("", ("--first",), "it needs --rank"),)


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
    min_probability: _MinProbability = None,
    top_k: _TopK = None,
    rank: _Rank = None,
    first: _First = 1000,
) -> None:
    """Classify texts or images: one record for each input, in order, empty lines included.

    A record has the label, its probability, the probability of each class, the number of tokens,
    whether the middle of the text was left out, and the share of unknown tokens. The label is empty
    if the probability is too low for an answer (--min-probability, or the thresholds of the run).
    With --top-k, each probability has the name of its class before it. With several labels a text,
    the first two columns hold all labels over their thresholds, and the probabilities of these.
    Bytes that are not UTF-8 are replaced; stderr says in how many lines.

    --rank uncertain prints the texts whose two highest probabilities are the closest first, and
    near copies of a text before them later. A record then also has its number in the input, its
    uncertainty and its text. Repeated and empty texts are left out.

    For example:

    ```
    lstm predict "A triumph."
    lstm predict --file reviews.csv --format jsonl
    lstm predict --file tickets.csv --min-probability 0.8 --format csv
    cut -f2 reviews.tsv | lstm predict | cut -f1
    lstm predict --file new.csv --rank uncertain --first 100 --format csv --header > to_label.csv
    lstm predict --run mnist digit.png
    ```
    """
    from lstm_cli.cli import output, print_predictions
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.cli.text_columns import note_columns
    from lstm_cli.prediction.predictor import Predictor

    check_conflicts(ctx, _CONFLICTS if rank else (*_CONFLICTS, *_WITHOUT_RANK))
    _check_inputs(inputs, file)
    predictor = Predictor.load(find_run(run, runs_dir, "text"))
    if format_ == "auto":
        format_ = "table" if output.is_terminal() else "tsv"
    if predictor.kind == "image":
        check_conflicts(ctx, _IMAGE_RUN)
    if format_ not in ("tsv", "csv"):
        check_conflicts(ctx, _WITHOUT_COLUMNS)
    if inputs:
        note_columns(inputs, predictor.text_columns)
    records = None if inputs else _open_records(file, text_column or ())
    style = print_predictions.Style(format_, header, top_k)
    limits = {"threshold": threshold, "min_probability": min_probability}
    try:
        if rank is None:
            _write(predictor, inputs, records, limits, style)
        else:
            _write_ranking(predictor, inputs or records or [], first, limits, style)
    finally:
        if records is not None and records.num_replaced:
            output.print_note(
                "Warning: bytes that are not UTF-8 were read as U+FFFD in "
                f"{records.num_replaced:,} lines."
            )


def _write(
    predictor: Predictor,
    inputs: list[str] | None,
    records: Records | None,
    limits: dict[str, float | None],
    style: Style,
) -> None:
    """Classify the inputs and write their records; say how many have no answer."""
    from lstm_cli.cli import print_predictions

    counter = _AnswerCounter()
    classify = partial(
        predictor.predict,
        threshold=limits["threshold"],
        min_probability=limits["min_probability"],
    )
    predictions = _predict(predictor, classify, inputs, records)
    print_predictions.write(counter.count(predictions), predictor, style, inputs)
    counter.print_note()


def _write_ranking(
    predictor: Predictor,
    texts: Iterable[str],
    num: int,
    limits: dict[str, float | None],
    style: Style,
) -> None:
    """Rank the texts and write the first ones; say how many have no answer."""
    from lstm_cli.cli import print_predictions
    from lstm_cli.prediction.ranking import rank_uncertain

    counter = _AnswerCounter()
    ranking = rank_uncertain(predictor, texts, num, **limits)
    counter.add(place.prediction for place in ranking.ranked)
    print_predictions.write_ranked(ranking, predictor, style)
    counter.print_note()


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


def _open_records(file: Path | None, text_columns: Sequence[str]) -> Records:
    from lstm_cli.data.records import Records

    return Records(None if file is None or str(file) == "-" else file, text_columns)


def _predict(
    predictor: Predictor,
    classify: _Classify,
    inputs: list[str] | None,
    records: Records | None,
) -> Iterator[Prediction]:
    """Classify the arguments, or the records of a file or pipe."""
    if predictor.kind == "image":
        return _predict_images(predictor, classify, inputs or records or [])
    if records is not None:
        return _predict_stream(classify, records)
    return iter(classify(inputs or []))


def _predict_stream(classify: _Classify, records: Records) -> Iterator[Prediction]:
    """Classify texts as they arrive; results are flushed before waiting for more."""
    for window in records.windows():
        yield from classify(window)
        sys.stdout.flush()


def _predict_images(
    predictor: Predictor, classify: _Classify, names: Iterable[str]
) -> Iterator[Prediction]:
    """Classify image files in batches."""
    from itertools import islice

    from lstm_cli.data.images import read_images

    assert predictor.shape is not None
    remaining = iter(names)
    while batch := [Path(name) for name in islice(remaining, _IMAGE_BATCH)]:
        yield from classify(read_images(batch, predictor.shape))


class _AnswerCounter:
    """Counts the predictions without an answer."""

    def __init__(self) -> None:
        self._num_inputs = 0
        self._num_unanswered = 0

    def count(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield predictions, and count them."""
        for prediction in predictions:
            self._num_inputs += 1
            self._num_unanswered += not prediction.label
            yield prediction

    def add(self, predictions: Iterable[Prediction]) -> None:
        """Count predictions."""
        for _ in self.count(predictions):
            pass

    def print_note(self) -> None:
        """Say on stderr how many inputs got no answer, if any."""
        from lstm_cli.cli import output
        from lstm_cli.io.text_format import percent

        if self._num_unanswered:
            share = percent(self._num_unanswered / self._num_inputs)
            output.print_note(
                f"No answer for {self._num_unanswered:,} of {self._num_inputs:,} inputs ({share}): "
                "the probability is below the smallest for an answer."
            )
