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
from lstm_cli.cli.write_predictions import open_target
from lstm_cli.data.kept_columns import NOTHING
from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.records import Records
from lstm_cli.io.text_format import pluralize
from lstm_cli.prediction import input_stats
from lstm_cli.prediction.answers import Rule, answer
from lstm_cli.prediction.columns import PredictionColumns
from lstm_cli.prediction.input_stats import counter_for
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.record_counts import RecordCounts
from lstm_cli.prediction.write_file import Content, choose_layout, open_file_writer
from lstm_cli.prediction.write_text import Layout, Writer, make_writer, write_ranked


@dataclass(frozen=True)
class Request:
    """What a command line asks for.

    Attributes:
        predictor: Of the run.
        inputs: What to read.
        rule: How to answer.
        content: What to write for an answer.
        out: The file to write; None for stdout.
        stats: Where to write statistics of the inputs; None for nowhere.
    """

    predictor: Predictor
    inputs: Inputs
    rule: Rule
    content: Content
    out: Path | None
    stats: Path | None = None


def predict_records(request: Request) -> None:
    """Predict all records, and write the answers in order.

    Raises:
        LstmError: The input cannot be read further, none of its records can be read, or the output
            cannot be written. On stdout are the answers for what was read before.
    """
    counts, stats = RecordCounts(), counter_for(request.predictor)
    with _open(request) as records, _saying(counts, records, request.inputs):
        layout = _choose_layout(request, records)
        with _open_writer(request, layout, records.schema) as writer:
            for window in records.windows():
                for found in answer(request.predictor, window, request.rule):
                    counts.add(found)
                    stats.add(found.prediction)
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
    if request.stats is not None:
        input_stats.write(request.stats, input_stats.result_of(stats, request.predictor))
        output.print_note(f"Written: {request.stats}")
    if request.out is not None:
        output.print_note(f"Written: {request.out} ({pluralize(counts.num_inputs, 'record')})")


def rank_records(request: Request, num: int) -> None:
    """Rank the texts of all records by what a label would teach, and write the first ones.

    Raises:
        LstmError: As `predict_records`.
    """
    from lstm_cli.prediction.ranking import rank_uncertain

    counts = RecordCounts()
    with _open(request) as records, _saying(counts, records, request.inputs):
        rule = request.rule
        ranking = rank_uncertain(
            request.predictor,
            _texts(records, counts, rule.stop),
            num,
            threshold=rule.threshold,
            min_probability=rule.min_probability,
        )
        counts.check()
        for place in ranking.ranked:
            counts.add_prediction(place.prediction.label)
        columns = PredictionColumns.of(request.predictor, request.content.top_k, False)
        if request.content.format == "table":
            print_ranked(ranking.ranked)
        elif request.content.format == "parquet" and request.out is not None:
            from lstm_cli.io.atomic_write import open_atomic
            from lstm_cli.prediction.write_parquet import write_ranked_parquet

            with open_atomic(request.out) as file:
                write_ranked_parquet(ranking.ranked, columns, file)
        else:
            layout = Layout(request.content.format, request.content.header, NOTHING, columns)
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
    file = request.inputs.file
    # A pipe can be read only once.
    path = file if file is not None and file.is_file() else None
    return choose_layout(request.content, request.predictor, records, path, request.inputs.options)


@contextmanager
def _open_writer(request: Request, layout: Layout, schema: Any) -> Iterator[Writer]:
    if request.content.format == "table":
        shows_input = bool(request.inputs.words) and not layout.kept.names
        with TableWriter(layout, shows_input) as table:
            yield table
        return
    if request.out is not None:
        with open_file_writer(layout, request.out, schema) as writer:
            yield writer
        return
    with open_target(None) as target:
        yield make_writer(layout, target)


def _texts(records: Records, counts: RecordCounts, stop: bool) -> Iterator[str]:
    """Yield the texts of records, an empty one for a record that cannot be read, and count them.

    Raises:
        LstmError: A record cannot be read, and `stop` is set.
    """
    for record in records:
        if record.error is not None and stop:
            raise record.error
        counts.add_input(record.error)
        yield record.text


@contextmanager
def _saying(counts: RecordCounts, records: Records, inputs: Inputs) -> Iterator[None]:
    """Print the notes at the end of a block, also before an error."""
    try:
        yield
    finally:
        for note in () if inputs.words else records.read_as.notes(inputs.name):
            output.print_note(f"Note: {note}")
        for note in counts.notes():
            output.print_note(note)
        if num := records.counter.num_lines:
            output.print_note(
                f"Warning: bytes that are not UTF-8 were read as U+FFFD in {num:,} lines."
            )
