"""The record of finished parts beside the output, so that a restart does not write them again.

`OUT/_lstm_predict/job.json` says what the answers depend on besides the inputs: the run, the
options and the version. `OUT/_lstm_predict/parts/NAME.json` is written after the answers of a part,
and names the size and the version of its input. Both are written atomically. Arrow and Spark skip
names that begin with `_` when they read a folder of tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction.input_stats import InputStats
from lstm_cli.scale.parts import Part
from lstm_cli.scale.storage import Storage, join

FOLDER = "_lstm_predict"
_JOB = f"{FOLDER}/job.json"
_PARTS = f"{FOLDER}/parts/"


class FinishedPart(msgspec.Struct, frozen=True):
    """What is kept of a part whose answers are written.

    Attributes:
        input: Path or URL of the input.
        input_bytes: Its size.
        input_version: Its version when it was listed.
        output: The file of the answers, relative to the output folder.
        output_bytes: Its size.
        num_inputs: Records.
        num_predicted: Records with a prediction.
        num_unanswered: Predictions without a label.
        num_bad: Records that cannot be read.
        first_error: Why the first of these cannot be read; "" if all can.
        num_cut: Records with fields that have no column.
        num_invalid_lines: Lines with bytes that are not UTF-8.
        text_columns: The columns of the texts.
        seconds: Time from opening the input to the end of its answers.
        cpu_seconds: Time that the cores of its process worked on it, which does not depend on what
            else the machine does.
        worker: Machine and process that predicted it, `HOST:PID`.
        peak_mb: Peak memory of that process up to then, in units of 1,048,576 bytes.
        stats: What the inputs look like; None if an older version wrote the record.
    """

    input: str
    input_bytes: int
    input_version: str
    output: str
    output_bytes: int
    num_inputs: int
    num_predicted: int
    num_unanswered: int
    num_bad: int
    first_error: str
    num_cut: int
    num_invalid_lines: int
    text_columns: tuple[str, ...]
    seconds: float
    cpu_seconds: float
    worker: str
    peak_mb: int
    stats: InputStats | None = None

    def is_of(self, part: Part) -> bool:
        """Return whether the input of a part has not changed since this record was written."""
        then = (self.input_bytes, self.input_version, self.output)
        return then == (part.size, part.version, part.out)


def open_job(storage: Storage, out: str, settings: dict[str, Any]) -> dict[str, int]:
    """Begin a job in an output folder, or continue one.

    Args:
        storage: The store of the folder.
        out: The folder.
        settings: What the answers depend on besides the inputs, as plain JSON types.

    Returns:
        The size of each file in the folder, by its relative name.

    Raises:
        LstmError: The folder has files of something else, or answers with other settings
            (exit code 2).
    """
    path = join(out, _JOB)
    content = storage.read([path]).get(path)
    sizes = storage.sizes(out)
    others = [name for name in sizes if not name.startswith(f"{FOLDER}/")]
    if content is None and others:
        raise LstmError(
            f"--out {out} has files already, such as {min(others)}, and no record that "
            "'lstm predict' wrote them.",
            "Name a new folder.",
            ExitCode.USAGE,
        )
    if content is None or not (others or any(name.startswith(_PARTS) for name in sizes)):
        # A job of which no part was finished, say because of a wrong option, binds nobody.
        storage.write(path, msgspec.json.format(msgspec.json.encode(settings)))
        return {}
    _check_same(out, content, settings)
    return sizes


def _check_same(out: str, content: bytes, settings: dict[str, Any]) -> None:
    """Check that a job has the settings of the one that began in the folder.

    Raises:
        LstmError: It has others, or the record is damaged.
    """
    try:
        before = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise LstmError(
            f"{join(out, _JOB)} is damaged ({error}).", "Name a new folder with --out."
        ) from error
    settings = msgspec.to_builtins(settings)
    changed = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
    if changed:
        key = changed[0]
        raise LstmError(
            f"--out {out} has answers with other settings: {key} was {before.get(key)}, and is "
            f"now {settings.get(key)}.",
            "Name a new folder, or give the options and the run of before.",
            ExitCode.USAGE,
        )


def read_finished(
    storage: Storage, out: str, parts: Sequence[Part], sizes: dict[str, int]
) -> list[FinishedPart]:
    """Return the records of those parts that are finished: whose answers are there and are theirs.

    Args:
        storage: The store of the output folder.
        out: The folder.
        parts: All parts of the job.
        sizes: From `open_job`.

    Raises:
        LstmError: The answers of a part would replace those of another input (exit code 2).
    """
    written = [part for part in parts if f"{_PARTS}{part.out}.json" in sizes]
    by_path = {_record(out, part.out): part for part in written}
    finished = []
    for path, content in storage.read([*by_path]).items():
        try:
            found = msgspec.json.decode(content, type=FinishedPart)
        except msgspec.DecodeError:
            # The part is predicted once more.
            continue
        _check_input(out, found, by_path[path])
        if found.is_of(by_path[path]) and sizes.get(found.output) == found.output_bytes:
            finished.append(found)
    return finished


def _check_input(out: str, found: FinishedPart, part: Part) -> None:
    """Check that a part has the input that its answers are of.

    Raises:
        LstmError: It has another one of the same name (exit code 2).
    """
    if found.input != part.path and found.output == part.out:
        raise LstmError(
            f"{join(out, part.out)} has the answers of {found.input}, and would be replaced by "
            f"those of {part.path}.",
            "Name a new folder with --out.",
            ExitCode.USAGE,
        )


def write_finished(storage: Storage, out: str, finished: FinishedPart) -> None:
    """Record that the answers of a part are written."""
    storage.write(_record(out, finished.output), msgspec.json.encode(finished))


def _record(out: str, name: str) -> str:
    return join(out, f"{_PARTS}{name}.json")
