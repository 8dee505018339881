"""Predict one part: the same function for every engine, so that all engines write the same bits.

Which texts are in a batch depends on the records of the part alone, not on how many processes or
threads there are.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

import msgspec

from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.records import Records, open_records
from lstm_cli.errors import LstmError
from lstm_cli.io.memory import peak_memory_mb
from lstm_cli.prediction.answers import Rule, answer
from lstm_cli.prediction.input_stats import counter_for, result_of
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.record_counts import RecordCounts
from lstm_cli.prediction.write_file import Content, choose_layout, open_file_writer
from lstm_cli.scale.finished import FinishedPart, write_finished
from lstm_cli.scale.parts import Part
from lstm_cli.scale.storage import join, open_storage


@dataclass(frozen=True)
class PartSettings:
    """How every part of a job is predicted.

    Attributes:
        out: The folder of the answers, a path or URL.
        content: What to write for an answer.
        rule: How to answer.
        text_columns: The columns of the texts, if they were named.
        options: How to read the inputs.
    """

    out: str
    content: Content
    rule: Rule
    text_columns: tuple[str, ...]
    options: ReadOptions


class PartOutcome(msgspec.Struct, frozen=True):
    """What became of a part.

    Attributes:
        part: The part.
        finished: Its record; None if it failed.
        message: Why it failed: the message, hint and exit code of an `LstmError`.
        hint: As above.
        exit_code: As above.
    """

    part: Part
    finished: FinishedPart | None = None
    message: str = ""
    hint: str = ""
    exit_code: int = 1

    @classmethod
    def failed(cls, part: Part, error: LstmError) -> PartOutcome:
        """Return the outcome of a part that failed."""
        return cls(part, None, error.message, error.hint, int(error.exit_code))


def try_part(predictor: Predictor, part: Part, settings: PartSettings) -> PartOutcome:
    """Predict a part as `predict_part`; an error becomes the outcome of this part alone."""
    try:
        return PartOutcome(part, predict_part(predictor, part, settings))
    except LstmError as error:
        return PartOutcome.failed(part, error)


def predict_part(predictor: Predictor, part: Part, settings: PartSettings) -> FinishedPart:
    """Predict a part, write its answers, and record that it is finished.

    The answers are written under another name, which becomes theirs at the end; then the record is
    written. A record that cannot be read has an empty answer with the reason.

    Raises:
        LstmError: The part cannot be read or written; or a record cannot be read, and
            `settings.rule.stop` is set. An old file of answers is then as it was.
    """
    start, cpu_start = time.monotonic(), time.process_time()
    out = join(settings.out, part.out)
    source, target = open_storage(part.path), open_storage(settings.out)
    counts, stats = RecordCounts(), counter_for(predictor)
    with source.reading(part.path) as local, target.writing(out) as local_out:
        trained_on = predictor.text_columns
        opened = open_records(local, settings.text_columns, trained_on, settings.options, part.name)
        with opened as records:
            layout = choose_layout(settings.content, predictor, records, local, settings.options)
            with open_file_writer(layout, local_out, records.schema) as writer:
                for window in records.windows():
                    for found in answer(predictor, window, settings.rule):
                        counts.add(found)
                        stats.add(found.prediction)
                        writer.write(found)
        output_bytes = local_out.stat().st_size
    seconds = (time.monotonic() - start, time.process_time() - cpu_start)
    finished = msgspec.structs.replace(
        _finished(part, counts, records, output_bytes, writer.num_cut, seconds),
        stats=result_of(stats, predictor),
    )
    write_finished(target, settings.out, finished)
    return finished


def _finished(
    part: Part,
    counts: RecordCounts,
    records: Records,
    output_bytes: int,
    num_cut: int,
    seconds: tuple[float, float],
) -> FinishedPart:
    return FinishedPart(
        input=part.path,
        input_bytes=part.size,
        input_version=part.version,
        output=part.out,
        output_bytes=output_bytes,
        num_inputs=counts.num_inputs,
        num_predicted=counts.num_predicted,
        num_unanswered=counts.num_unanswered,
        num_bad=counts.num_bad,
        first_error="" if counts.first_error is None else counts.first_error.message,
        num_cut=num_cut,
        num_invalid_lines=records.counter.num_lines,
        text_columns=records.text_columns,
        seconds=round(seconds[0], 3),
        cpu_seconds=round(seconds[1], 3),
        worker=f"{socket.gethostname()}:{os.getpid()}",
        peak_mb=peak_memory_mb(),
    )
