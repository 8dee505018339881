"""The inputs of `lstm predict`: lines or rows of a table, from a file or a pipe, as they arrive.

A record that cannot be read has its error with it, so that the records around it are predicted, and
the output has as many records as the input.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from lstm_cli.data.pipe import PIPE_NAME, Pipe, standard_input
from lstm_cli.data.readers.columns import Record, join_names
from lstm_cli.data.readers.decode import ReplacementCounter
from lstm_cli.data.readers.open_rows import open_rows
from lstm_cli.data.readers.read_options import DEFAULT, ReadOptions
from lstm_cli.data.readers.row import Found, Row
from lstm_cli.data.readers.text_columns import TextColumns
from lstm_cli.errors import ExitCode, LstmError

# The largest window of records that is classified at once.
_MAX_RECORDS = 2048
_MAX_CHARACTERS = 8 << 20
# How many objects are looked at for their keys, if they have arrived.
_NUM_FIRST = 100
# Records at the beginning of a table that may be unreadable before the whole table counts as such.
_MAX_BAD_START = 2048


class InputRecord(NamedTuple):
    """An input of `predict`.

    Attributes:
        text: The text, or the name of an image file; empty if there is an error.
        fields: All values by column, if it is a row of a table that could be parsed.
        error: Why it cannot be read; None if it can.
    """

    text: str
    fields: Record | None = None
    error: LstmError | None = None


@dataclass(frozen=True)
class Records:
    """The inputs of a file or a pipe, read once, lazily.

    Attributes:
        columns: The columns of a table, or the keys of the first objects; None for lines.
        is_open: Whether records may have other keys than `columns`.
        text_columns: The columns of the texts; empty for lines.
        counter: Counts the lines with invalid bytes, which are replaced by U+FFFD.
        read_as: How the input is read.
        schema: As `Rows.schema`.
    """

    columns: tuple[str, ...] | None
    is_open: bool
    text_columns: tuple[str, ...]
    counter: ReplacementCounter
    read_as: Found
    _records: Iterator[InputRecord]
    _has_more: Callable[[], bool]
    schema: Any = None

    def __iter__(self) -> Iterator[InputRecord]:
        """Yield one record for each line or row.

        Raises:
            LstmError: What follows cannot be read.
        """
        return self._records

    def windows(self) -> Iterator[list[InputRecord]]:
        """Yield lists of records: full windows, or what has arrived if a pipe is slow.

        Raises:
            LstmError: What follows the records of the last window cannot be read.
        """
        window: list[InputRecord] = []
        size = 0
        try:
            for record in self._records:
                window.append(record)
                size += len(record.text)
                is_full = len(window) >= _MAX_RECORDS or size >= _MAX_CHARACTERS
                if is_full or not self._has_more():
                    yield window
                    window, size = [], 0
        except LstmError:
            # What was read before is good.
            if window:
                yield window
            raise
        if window:
            yield window


def from_texts(texts: Iterable[str]) -> Records:
    """Return texts, or names of image files, as inputs."""
    records = map(InputRecord, texts)
    return Records(None, False, (), ReplacementCounter(), Found(), records, _always)


@contextlib.contextmanager
def open_records(
    path: Path | None,
    text_columns: Sequence[str] = (),
    trained_on: Sequence[str] = (),
    options: ReadOptions = DEFAULT,
    name: str | None = None,
) -> Iterator[Records]:
    """Open a file or standard input for the duration of a block.

    Args:
        path: A table, or a file with one text per line, as its content shows. None means standard
            input.
        text_columns: The columns of the texts in a table, if the user named them.
        trained_on: The columns of the texts that the run was trained on, if it was a table. They
            are read if the input has them. The default is the first column with a common name.
        options: How to read the input.
        name: The name of the input, for errors; the path by default.

    Raises:
        LstmError: The input cannot be read, is not a table although a column is named, or has no
            such column.
    """
    name = name or (PIPE_NAME if path is None else str(path))
    pipe = Pipe(standard_input()) if path is None else None
    source = path or cast(BinaryIO, pipe)
    counter, read_as = ReplacementCounter(), Found()
    wanted = text_columns or trained_on
    with open_rows(source, options, name, counter, read_as, wanted) as rows:
        # What arrives compressed is not known to be a whole line.
        has_more = _always if pipe is None or read_as.compression else pipe.has_more
        remaining = iter(rows)
        if read_as.format == "lines":
            _check_lines(name, text_columns, options)
            texts = (InputRecord(row.record["text"]) for row in remaining)
            yield Records(None, False, (), counter, read_as, texts, has_more)
            return
        first: list[Row] = []
        columns = rows.columns
        if columns is None:
            first, columns = _first_keys(remaining, name, has_more)
        is_open = rows.columns is None
        found = _find_text(columns, text_columns, trained_on, name, is_open)
        read = _read_rows(chain(first, remaining), found, name)
        names = found.names
        yield Records(columns, is_open, names, counter, read_as, read, has_more, rows.schema)


def _check_lines(name: str, text_columns: Sequence[str], options: ReadOptions) -> None:
    """Check that nothing was asked that plain lines do not have.

    Raises:
        LstmError: A column is named, or how fields are separated (exit code 2).
    """
    asked = [f"--text-column {text_columns[0]}"] if text_columns else []
    if not options.header:
        asked.append("--no-header")
    asked += [f"--{option}" for option in ("delimiter", "quoting") if option in options.changed()]
    if asked:
        raise LstmError(
            f"{asked[0]} has no effect: {name} is read as plain lines.",
            "If it is a table, name its format, such as --input-format csv.",
            ExitCode.USAGE,
        )


def all_keys(path: Path, options: ReadOptions) -> tuple[str, ...]:
    """Return the keys of all objects of a table, in the order in which they first occur.

    The file is read once more, so that a table with a column for each can be written.
    """
    keys: dict[str, None] = {}
    with open_rows(path, options, None, ReplacementCounter()) as rows:
        for row in rows:
            keys.update(dict.fromkeys(row.record))
    return tuple(keys)


def _always() -> bool:
    return True


def _first_keys(
    rows: Iterator[Row], name: str, has_more: Callable[[], bool]
) -> tuple[list[Row], tuple[str, ...]]:
    """Return the first rows, at least one that can be read, and all their keys.

    Raises:
        LstmError: None can be read, though there are rows.
    """
    first: list[Row] = []
    keys: dict[str, None] = {}
    for row in rows:
        first.append(row)
        keys.update(dict.fromkeys(row.record))
        if keys and (len(first) >= _NUM_FIRST or not has_more()):
            break
        if len(first) == _MAX_BAD_START:
            break
    if keys:
        return first, tuple(keys)
    if not first:
        return [], ()
    error = first[0].error
    assert error is not None
    raise LstmError(
        f"{name}: none of the first {len(first):,} records can be read; {error.message}",
        error.hint,
        error.exit_code,
    )


def _find_text(
    columns: Sequence[str],
    requested: Sequence[str],
    trained_on: Sequence[str],
    name: str,
    is_open: bool,
) -> TextColumns:
    """Choose the columns of the texts, once for the whole table.

    Raises:
        LstmError: They do not exist.
    """
    if not columns:
        return TextColumns(requested or trained_on or ("text",), name)
    missing = [column for column in trained_on if column not in columns]
    if not requested and missing and len(trained_on) > 1 and not is_open:
        raise LstmError(
            f"{name} lacks {join_names(missing)} of the columns that the run was trained on; found "
            f"{join_names(columns)}.",
            "Name a column for each of "
            f"{join_names(trained_on)}, in this order: --text-column NAME --text-column NAME.",
            ExitCode.USAGE,
        )
    if not requested and len(missing) < len(trained_on):
        requested = trained_on
    try:
        return TextColumns.find(columns, requested, name, not is_open)
    except LstmError as error:
        hint = error.hint if requested else "Name the column with --text-column NAME."
        raise LstmError(error.message, hint, error.exit_code) from None


def _read_rows(rows: Iterable[Row], found: TextColumns, name: str) -> Iterator[InputRecord]:
    """Yield the records of a table; a row without a text has its error."""
    for line, fields, error in rows:
        if error is not None:
            yield InputRecord("", None, error)
            continue
        try:
            text = found.read(fields, f"{name}, line {line}")
        except LstmError as missing:
            yield InputRecord("", fields, missing)
        else:
            yield InputRecord(text, fields)
