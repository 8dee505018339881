"""Predict the records of an input, write the answers, and say what happened to the records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_cli.cli import output
from lstm_cli.cli.inputs import Inputs
from lstm_cli.cli.print_predictions import TableWriter, print_left_out, print_ranked
from lstm_cli.cli.write_predictions import (
    Layout,
    Writer,
    make_writer,
    open_target,
    write_ranked,
)
from lstm_cli.data.kept_columns import NOTHING, Keep, choose_kept
from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.records import Records, all_keys
from lstm_cli.errors import LstmError
from lstm_cli.io.text_format import percent, pluralize
from lstm_cli.prediction.answers import Answer, Rule, answer
from lstm_cli.prediction.columns import PredictionColumns
from lstm_cli.prediction.predictor import Predictor


@dataclass(frozen=True)
class Request:
    """What a command line asks for.

    Attributes:
        predictor: Of the run.
        inputs: What to read.
        rule: How to answer.
        format: `table`, `csv`, `tsv` or `jsonl`.
        header: Whether CSV and TSV on stdout start with the names of the columns.
        top_k: How many classes to write; None for all.
        keep: What of the input to write.
        id_column: The column for `keep="id"`, if it was named.
        out: The file to write; None for stdout.
    """

    predictor: Predictor
    inputs: Inputs
    rule: Rule
    format: str
    header: bool
    top_k: int | None
    keep: Keep
    id_column: str | None
    out: Path | None

    def columns(self, has_errors: bool) -> PredictionColumns:
        """Return the columns of predictions; with one for errors if there can be some."""
        has_errors = has_errors or self.predictor.kind == "image"
        return PredictionColumns.of(self.predictor, self.top_k, has_errors)


def predict_records(request: Request) -> None:
    """Predict all records, and write the answers in order.

    Raises:
        LstmError: The input cannot be read further, none of its records can be read, or the output
            cannot be written. On stdout are the answers for what was read before.
    """
    counts = _Counts()
    with _open(request) as records, _saying(counts, records, request.inputs):
        layout = _choose_layout(request, records)
        with _open_writer(request, layout, records.schema) as writer:
            for window in records.windows():
                for found in answer(request.predictor, window, request.rule):
                    counts.add(found)
                    writer.write(found)
                writer.flush()
            counts.check()
    if note := request.predictor.describe_inverted(counts.num_inverted, counts.num_predicted):
        output.print_note(f"Note: {note}")
    if writer.num_cut:
        output.print_note(
            f"Warning: {pluralize(writer.num_cut, 'record')} had fields that the first records "
            "lack; they have no column. --format jsonl writes all fields."
        )
    if request.out is not None:
        output.print_note(f"Written: {request.out} ({pluralize(counts.num_inputs, 'record')})")


def rank_records(request: Request, num: int) -> None:
    """Rank the texts of all records by what a label would teach, and write the first ones.

    Raises:
        LstmError: As `predict_records`.
    """
    from lstm_cli.prediction.ranking import rank_uncertain

    counts = _Counts()
    with _open(request) as records, _saying(counts, records, request.inputs):
        rule = request.rule
        ranking = rank_uncertain(
            request.predictor,
            counts.texts(records, rule.stop),
            num,
            threshold=rule.threshold,
            min_probability=rule.min_probability,
        )
        counts.check()
        for place in ranking.ranked:
            counts.add_prediction(place.prediction.label)
        if request.format == "table":
            print_ranked(ranking.ranked)
        elif request.format == "parquet" and request.out is not None:
            from lstm_cli.cli.write_parquet import write_ranked_parquet
            from lstm_cli.io.atomic_write import open_atomic

            with open_atomic(request.out) as file:
                write_ranked_parquet(ranking.ranked, request.columns(False), file)
        else:
            layout = Layout(request.format, request.header, NOTHING, request.columns(False))
            with open_target(request.out) as target:
                write_ranked(ranking.ranked, layout, target)
    print_left_out(ranking)
    if request.out is not None:
        output.print_note(f"Written: {request.out}")


@contextmanager
def _open(request: Request) -> Iterator[Records]:
    """Open the inputs; say on stderr which columns are read, unless they were named."""
    inputs, trained_on = request.inputs, request.predictor.text_columns
    with inputs.open(trained_on) as records:
        if records.text_columns and not inputs.text_columns:
            names = join_names(records.text_columns)
            missing = [name for name in trained_on if name not in records.text_columns]
            reason = f" (the run was trained on {join_names(missing)})" if missing else ""
            noun = "column" if len(records.text_columns) == 1 else "columns"
            output.print_note(f"Text: {noun} {names}{reason}")
        yield records


def _choose_layout(request: Request, records: Records) -> Layout:
    columns, is_open, file = records.columns, records.is_open, request.inputs.file
    is_regular = file is not None and file.is_file()
    if is_open and is_regular and request.keep == "all" and request.format != "jsonl":
        # Every object may have keys of its own, and the first line needs all of them.
        assert file is not None
        columns = all_keys(file, request.inputs.options)
    id_column = request.id_column
    if request.keep == "id" and id_column is None:
        trained_with = request.predictor.run.config().data.id_column
        id_column = trained_with if trained_with in (columns or ()) else None
    kept = choose_kept(request.keep, columns, id_column, request.predictor.kind, is_open)
    return Layout(request.format, request.header, kept, request.columns(columns is not None))


@contextmanager
def _open_writer(request: Request, layout: Layout, schema: Any) -> Iterator[Writer]:
    if request.format == "table":
        shows_input = bool(request.inputs.words) and not layout.kept.names
        with TableWriter(layout, shows_input) as table:
            yield table
        return
    if request.format == "parquet" and request.out is not None:
        from lstm_cli.cli.write_parquet import ParquetWriter
        from lstm_cli.io.atomic_write import open_atomic

        with open_atomic(request.out) as file, ParquetWriter(layout, file, schema) as parquet:
            yield parquet
        return
    with open_target(request.out) as target:
        yield make_writer(layout, target)


class _Counts:
    """Counts the records without an answer and those that cannot be read.

    Attributes:
        num_inputs: Number of records.
        num_predicted: Number of predictions.
        num_inverted: Number of images that were inverted.
    """

    def __init__(self) -> None:
        self.num_inputs = 0
        self.num_predicted = 0
        self.num_inverted = 0
        self._num_unanswered = 0
        self._num_bad = 0
        self._first_error: LstmError | None = None

    def add(self, found: Answer) -> None:
        """Count an answer."""
        self._add_input(found.record.error)
        self.num_inverted += found.is_inverted
        if found.prediction is not None:
            self.add_prediction(found.prediction.label)

    def add_prediction(self, label: str) -> None:
        """Count a prediction."""
        self.num_predicted += 1
        self._num_unanswered += not label

    def texts(self, records: Records, stop: bool) -> Iterator[str]:
        """Yield the texts of records, an empty one for a record that cannot be read.

        Raises:
            LstmError: A record cannot be read, and `stop` is set.
        """
        for record in records:
            if record.error is not None and stop:
                raise record.error
            self._add_input(record.error)
            yield record.text

    def check(self) -> None:
        """Check that a record could be read, if there is any.

        Raises:
            LstmError: None could.
        """
        if self._num_bad == self.num_inputs and self._first_error is not None:
            raise LstmError(
                f"None of {pluralize(self.num_inputs, 'record')} can be read. "
                f"{self._first_error.message}",
                self._first_error.hint,
            )

    def print_notes(self) -> None:
        """Say on stderr how many records cannot be read, and how many got no answer."""
        if self._first_error is not None and self._num_bad < self.num_inputs:
            output.print_note(
                f"Warning: {self._num_bad:,} of {pluralize(self.num_inputs, 'record')} could not "
                f"be read; the first: {self._first_error.message}"
            )
        if self._num_unanswered:
            share = percent(self._num_unanswered / self.num_predicted)
            output.print_note(
                f"No answer for {self._num_unanswered:,} of {self.num_predicted:,} inputs "
                f"({share}): the probability is below the smallest for an answer."
            )

    def _add_input(self, error: LstmError | None) -> None:
        self.num_inputs += 1
        if error is not None:
            self._num_bad += 1
            self._first_error = self._first_error or error


@contextmanager
def _saying(counts: _Counts, records: Records, inputs: Inputs) -> Iterator[None]:
    """Print the notes at the end of a block, also before an error."""
    try:
        yield
    finally:
        for note in () if inputs.words else records.read_as.notes(inputs.name):
            output.print_note(f"Note: {note}")
        counts.print_notes()
        if num := records.counter.num_lines:
            output.print_note(
                f"Warning: bytes that are not UTF-8 were read as U+FFFD in {num:,} lines."
            )
