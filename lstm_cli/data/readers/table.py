"""CSV, TSV and JSONL: read records one at a time, with their line numbers, in bounded memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from lstm_cli.data.readers.columns import (
    Record,
    find_column,
    format_value,
    join_names,
    label_of,
)
from lstm_cli.data.readers.decode import ReplacementCounter, decode_lines
from lstm_cli.data.readers.label_sets import (
    LIST,
    NONE,
    LabelSet,
    check_columns,
    label_value,
    resolve_format,
    set_columns,
    split_values,
)
from lstm_cli.data.readers.read_options import DEFAULT, Format, ReadOptions, format_of
from lstm_cli.data.readers.text_columns import TextColumns
from lstm_cli.errors import ExitCode, LstmError

# Takes lines, the name of the source for errors, and a counter of lines with invalid bytes.
_Reader = Callable[[Iterator[str], str, ReplacementCounter | None], "Rows"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_FIELD = 2**31 - 1  # characters; the default of the csv module is 131,072
_JSONL_HINT = 'Each line must be one object such as {"text": "...", "label": "..."}.'


class Row(NamedTuple):
    """A record of a table, or why it cannot be read.

    Attributes:
        line: The line at which it starts, counted from 1.
        record: Its values by column: strings in CSV and TSV, any JSON value in JSONL. Empty if
            there is an error.
        error: Why it cannot be read; the error names the line. Rows after it can be read.
    """

    line: int
    record: Record
    error: LstmError | None = None


class TextRow(NamedTuple):
    """A record of a table with its text.

    Attributes:
        line: The line at which it starts, counted from 1.
        record: Its values by column.
        text: The value of the text column, or those of several, joined.
        text_columns: The columns of the text.
    """

    line: int
    record: Record
    text: str
    text_columns: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """The rows of an opened table, which are read once, lazily.

    Attributes:
        columns: The columns of every record, in their order; None if each record has its own keys
            (JSONL). A column without a name is called by its number: `column 3`.
        rows: The rows.
    """

    columns: tuple[str, ...] | None
    rows: Iterator[Row]

    def __iter__(self) -> Iterator[Row]:
        """Return the rows that are left.

        Raises:
            LstmError: What follows cannot be read either: an unclosed quote, a read error.
        """
        return self.rows


@dataclass(frozen=True)
class LabeledTexts:
    """Texts as read, with the names of their labels.

    Attributes:
        texts: In the order of the file, or sorted by class folder and file name.
        labels: The label of each text; several ones as they are written.
        text_columns: The columns of the texts; empty for a folder.
        label_columns: The column of the labels, or one for each label; empty for a folder.
        label_sets: The labels of each text; None if each text has exactly one label.
        multi_label: How several labels of a text are written: `none`, `list` or a separator.
        lines: The line at which each record starts, counted from 1; empty for a folder.
    """

    texts: list[str]
    labels: list[str]
    text_columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    lines: Sequence[int] = ()
    label_sets: list[LabelSet] | None = None
    multi_label: str = NONE


def read_table(
    path: Path,
    text_columns: Sequence[str] = (),
    label_column: str | None = None,
    multi_label: str = NONE,
    options: ReadOptions = DEFAULT,
) -> LabeledTexts:
    """Read the texts and labels of a table.

    Args:
        path: A .csv, .tsv or .jsonl file.
        text_columns: The columns of the texts, if the user named them.
        label_column: The column of the labels, if the user named it.
        multi_label: The setting `data.multi_label`.
        options: How to read the file.

    Raises:
        LstmError: The file is malformed, has no rows, or a column was not found.
    """
    texts: list[str] = []
    values: list[str | LabelSet] = []
    lines: list[int] = []
    found: tuple[str, ...] = ()
    interned: dict[str | LabelSet, str | LabelSet] = {}
    read_label = label_of if multi_label == NONE else label_value
    first_empty: tuple[Record, str] | None = None
    for line, record, text, columns in iter_texts(path, text_columns, options):
        if not found:
            found = columns
            label_column = find_column(list(record), "label", label_column, str(path))
            if label_column in found:
                raise LstmError(f"{path}: column {label_column!r} cannot be both text and label.")
        place = f"{path}, line {line}"
        texts.append(text)
        value = read_label(record, str(label_column), place)
        if not value and first_empty is None:
            first_empty = record, place
        values.append(interned.setdefault(value, value))  # one object per class, not per row
        lines.append(line)
    if not found or label_column is None:
        raise LstmError(f"{path} holds no rows.", "It needs a text and a label in each.")
    multi_label = resolve_format(multi_label, values)
    if multi_label == NONE and first_empty is not None:
        label_of(first_empty[0], label_column, first_empty[1])  # raises the error of an empty label
    labels, sets = split_values(values, multi_label)
    return LabeledTexts(texts, labels, found, (label_column,), lines, sets, multi_label)


def read_label_columns(
    path: Path,
    text_columns: Sequence[str],
    label_columns: tuple[str, ...],
    options: ReadOptions = DEFAULT,
) -> LabeledTexts:
    """Read the texts of a table, and labels from columns of 0 and 1.

    Args:
        path: A .csv, .tsv or .jsonl file.
        text_columns: The columns of the texts, if the user named them.
        label_columns: The columns, each named as its label.
        options: How to read the file.

    Raises:
        LstmError: The file is malformed, has no rows, or a column was not found.
    """
    texts: list[str] = []
    sets: list[LabelSet] = []
    lines: list[int] = []
    found: tuple[str, ...] = ()
    for line, record, text, columns in iter_texts(path, text_columns, options):
        if not found:
            found = columns
            present = [column for column in found if column in record]
            check_columns(list(record), (*label_columns, *present), str(path))
        texts.append(text)
        sets.append(set_columns(record, label_columns, f"{path}, line {line}"))
        lines.append(line)
    if not found:
        raise LstmError(f"{path} holds no rows.", "It needs a text and labels in each.")
    labels = [", ".join(labels) for labels in sets]
    return LabeledTexts(texts, labels, found, label_columns, lines, sets, LIST)


def iter_texts(
    path: Path, text_columns: Sequence[str] = (), options: ReadOptions = DEFAULT
) -> Iterator[TextRow]:
    """Read the records of a table with their texts, lazily.

    Args:
        path: A .csv, .tsv or .jsonl file.
        text_columns: The columns of the texts, if the user named them.
        options: How to read the file.

    Raises:
        LstmError: The file is malformed, or a column was not found.
    """
    found: TextColumns | None = None
    with open_rows(path, options) as rows:
        for line, record, error in rows:
            if error is not None:
                raise error
            if found is None:
                is_header = rows.columns is not None
                found = TextColumns.find(list(record), text_columns, str(path), is_header)
            text = found.read(record, f"{path}, line {line}")
            yield TextRow(line, record, text, found.names)
    if found is not None:
        found.check()


def iter_records(
    source: Path | BinaryIO,
    options: ReadOptions = DEFAULT,
    name: str | None = None,
    counter: ReplacementCounter | None = None,
) -> Iterator[tuple[int, Record]]:
    """Read records lazily.

    Args:
        source: As for `open_rows`.
        options: As for `open_rows`.
        name: As for `open_rows`.
        counter: As for `open_rows`.

    Yields:
        The line at which a record starts, counted from 1, and its values by column.

    Raises:
        LstmError: A record is malformed; the error names its line.
    """
    with open_rows(source, options, name, counter) as rows:
        for line, record, error in rows:
            if error is not None:
                raise error
            yield line, record


@contextlib.contextmanager
def open_rows(
    source: Path | BinaryIO,
    options: ReadOptions = DEFAULT,
    name: str | None = None,
    counter: ReplacementCounter | None = None,
) -> Iterator[Rows]:
    """Open a table for the duration of a block.

    The first line of CSV and TSV names the columns. If a semicolon or a tab separates them there,
    it separates all fields. A quoted field may span lines. In JSONL, each line is an object. Blank
    lines are skipped, except in CSV and TSV with one column, where they are empty values.

    Args:
        source: A file, or a stream of bytes such as `sys.stdin.buffer`.
        options: How to read it; by default as its name says.
        name: The name of the source, for errors; the path by default.
        counter: Counts the lines with invalid bytes, which are then replaced. Without it, invalid
            bytes are an error.

    Raises:
        LstmError: The file cannot be read, or its first line names no columns.
    """
    name = name or str(source)
    reader = _READERS[format_of(Path(name)) if options.format == "auto" else options.format]
    if not isinstance(source, Path):
        yield reader(decode_lines(source, name, counter), name, counter)
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise LstmError(f"Cannot read {name}: {error.strerror}.", "", ExitCode.DATA) from error
    with stream:
        yield reader(decode_lines(stream, name, counter), name, counter)


def _read_separated(
    lines: Iterator[str], name: str, counter: ReplacementCounter | None, delimiter: str
) -> Rows:
    """Read the rows of CSV and TSV."""
    import csv

    csv.field_size_limit(_MAX_FIELD)
    first = next(lines, "")
    if not first.strip():
        raise LstmError(f"{name}: expected a first line that names the columns, found nothing.")
    if delimiter not in first:
        delimiter = next((char for char in ";\t," if char in first), delimiter)
    # Strict, because an unclosed quote would otherwise silently include the rest of the file.
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    try:
        columns = _header(next(reader), name)
    except csv.Error as error:
        raise _malformed(name, 1, reader.line_num, str(error), delimiter) from error
    return Rows(columns, _separated_rows(reader, columns, name, delimiter))


def _separated_rows(
    reader: Any, columns: tuple[str, ...], name: str, delimiter: str
) -> Iterator[Row]:
    """Yield the rows after the header."""
    import csv

    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _malformed(name, start, reader.line_num, str(error), delimiter) from error
        if not row and len(columns) > 1:
            continue
        row = row or [""]
        if len(row) == len(columns):
            yield Row(start, dict(zip(columns, row, strict=True)))
        else:
            yield Row(start, {}, _wrong_number(row, columns, f"{name}, line {start}", delimiter))


def _wrong_number(
    row: Sequence[str], columns: Sequence[str], place: str, delimiter: str
) -> LstmError:
    return LstmError(
        f"{place}: expected {len(columns)} fields as in the first line, found {len(row)}.",
        f"Put fields that contain {_delimiter_name(delimiter)} between double quotes.",
    )


def _header(row: list[str], name: str) -> tuple[str, ...]:
    """Return the column names in the first line; those without a name are called by number."""
    columns = [column.strip() for column in row]
    if any("\0" in column for column in columns):
        raise LstmError(
            f"{name}, line 1: NUL characters in the column names.",
            "If this is UTF-16 without a byte order mark, save it as UTF-8.",
        )
    duplicates = sorted({column for column in columns if column and columns.count(column) > 1})
    if duplicates:
        found = f"column {join_names(duplicates)} occurs twice among {join_names(columns)}"
        raise LstmError(
            f"{name}, line 1: {found}.",
            "Rename or drop the duplicates.",
        )
    if not any(columns):
        raise LstmError(f"{name}, line 1: expected column names, found none.")
    return tuple(column or f"column {number}" for number, column in enumerate(columns, 1))


def _malformed(name: str, start: int, line: int, reason: str, delimiter: str) -> LstmError:
    if reason == "unexpected end of data":
        reason = "a double quote is opened and never closed"
    elif "expected after" in reason:
        reason = (
            f"expected {_delimiter_name(delimiter)} or the line's end after a closing double quote"
        )
    lines = f"line {start}" if line <= start else f"lines {start} to {line}"
    return LstmError(
        f"{name}, {lines}: {reason}.",
        "A field that begins with a double quote must end with one; write a quote inside it twice.",
    )


def _delimiter_name(delimiter: str) -> str:
    return {"\t": "a tab", ",": "a comma", ";": "a semicolon"}[delimiter]


def _read_jsonl(lines: Iterator[str], name: str, counter: ReplacementCounter | None) -> Rows:
    """Read the rows of JSONL."""
    return Rows(None, _jsonl_rows(lines, name, counter))


def _jsonl_rows(
    lines: Iterator[str], name: str, counter: ReplacementCounter | None
) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = _parse_object(line, f"{name}, line {number}", number, counter)
        except LstmError as error:
            yield Row(number, {}, error)
        else:
            yield Row(number, record)


def _parse_object(line: str, place: str, number: int, counter: ReplacementCounter | None) -> Record:
    """Parse a line of JSONL.

    Raises:
        LstmError: It is not an object.
    """
    import json

    try:
        record: Record = json.loads(line.rstrip("\r\n"), object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        found = f"{place}, column {error.colno}: expected a JSON object, found: {error.msg}."
        raise LstmError(found, _JSONL_HINT) from error
    except (ValueError, RecursionError) as error:
        raise LstmError(f"{place}: {error}.") from error
    if not isinstance(record, dict):
        found = f"{place}: expected a JSON object, found {format_value(record)}."
        raise LstmError(found, _JSONL_HINT)
    if "\\u" in line:
        record = _replace_surrogates(record, place, number, counter)
    return record


def _without_duplicates(pairs: list[tuple[str, Any]]) -> Record:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return record


def _replace_surrogates(
    record: Record, place: str, number: int, counter: ReplacementCounter | None
) -> Record:
    r"""Treat half of a surrogate pair, which a `\u` escape can write, like invalid bytes."""
    damaged_keys = [
        key for key, value in record.items() if isinstance(value, str) and _SURROGATE.search(value)
    ]
    if not damaged_keys:
        return record
    if counter is None:
        raise LstmError(
            f"{place}: {damaged_keys[0]!r} holds half of a surrogate pair, which is not text."
        )
    counter.add(number)
    return record | {key: _SURROGATE.sub("\ufffd", record[key]) for key in damaged_keys}


_READERS: dict[Format, _Reader] = {
    "csv": partial(_read_separated, delimiter=","),
    "tsv": partial(_read_separated, delimiter="\t"),
    "jsonl": _read_jsonl,
}
