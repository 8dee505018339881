"""CSV and TSV: the header, the delimiter, and rows that know their lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.readers.detect import (
    delimiter_of_rows,
    find_delimiter,
    first_line,
    separator_line,
)
from lstm_cli.data.readers.read_options import AUTO, ReadOptions
from lstm_cli.data.readers.row import Found, Row, Rows, delimiter_name
from lstm_cli.errors import LstmError

# Characters in a field; the default of the csv module is 131,072. An unclosed quote must not fill
# the memory.
_MAX_FIELD = 64 << 20
_NO_HEADER_HINT = (
    "If the first line is a row, give --no-header; the columns are then named 1, 2 and so on."
)


@dataclass(frozen=True)
class _Dialect:
    """How the lines of a file are separated into fields."""

    name: str
    delimiter: str
    has_quotes: bool
    found: Found


def read_separated(
    lines: Iterator[str], head: str, name: str, options: ReadOptions, usual: str, found: Found
) -> Rows:
    """Read the rows of CSV and TSV.

    A field between double quotes may span lines. A first line `sep=;` names the delimiter.

    Args:
        lines: All lines.
        head: The first characters of these, to find the delimiter.
        name: The name of the source, for errors.
        options: How to read it.
        usual: The delimiter of the format.
        found: Gets the delimiter, and counts rows that may be several rows.

    Raises:
        LstmError: The first line names no columns.
    """
    csv.field_size_limit(_MAX_FIELD)
    first = next(lines, "")
    named = separator_line(first)
    if named is not None:
        found.has_separator_line = True
        first = next(lines, "")
        head = head.partition("\n")[2]
    if not first.strip():
        expected = "a first line that names the columns" if options.header else "rows"
        raise LstmError(f"{name}: expected {expected}, found nothing.")
    found.delimiter = _delimiter(options, named, first, head, usual)
    dialect = _Dialect(name, found.delimiter, options.quoting == AUTO, found)
    # Strict, because an unclosed quote would otherwise silently include the rest of the file.
    reader = csv.reader(
        chain([first], lines),
        delimiter=found.delimiter,
        quoting=csv.QUOTE_MINIMAL if dialect.has_quotes else csv.QUOTE_NONE,
        strict=True,
    )
    num_before = int(named is not None)
    row = _next_row(reader, dialect, num_before)
    assert row is not None
    if options.header:
        columns = _header(row, name, num_before + 1)
        return Rows(columns, _rows(reader, columns, dialect, num_before), found)
    columns = tuple(str(number) for number in range(1, len(row) + 1))
    start = Row(num_before + 1, dict(zip(columns, row, strict=True)))
    return Rows(columns, chain([start], _rows(reader, columns, dialect, num_before)), found)


def _delimiter(options: ReadOptions, named: str | None, first: str, head: str, usual: str) -> str:
    """Return the delimiter: the requested one, that of `sep=`, or what the first lines show."""
    if options.delimiter != AUTO:
        return options.delimiter
    if named is not None:
        return named
    if options.header:
        return find_delimiter(first, usual)
    # The last line of the head may be cut.
    return delimiter_of_rows(head.splitlines()[:-1] or [first_line(first)], usual)


def _next_row(reader: Any, dialect: _Dialect, num_before: int) -> list[str] | None:
    """Return the next row; None at the end.

    Raises:
        LstmError: A quote is not closed, or something follows a closing quote.
    """
    start = reader.line_num + 1 + num_before
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error as error:
        raise _malformed(dialect, start, reader.line_num + num_before, str(error)) from error
    return row


def _rows(
    reader: Any, columns: tuple[str, ...], dialect: _Dialect, num_before: int
) -> Iterator[Row]:
    """Yield the rows after the header."""
    num = len(columns)
    last = reader.line_num + num_before
    while True:
        start = last + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _malformed(dialect, start, reader.line_num + num_before, str(error)) from error
        last = reader.line_num + num_before
        if not row:
            if num > 1:
                continue
            row = [""]
        if len(row) != num:
            yield Row(start, {}, _wrong_number(row, columns, dialect, start))
        elif last > start and (error_ := _stray_quote(row, dialect, start, last)):
            yield Row(start, {}, error_)
        else:
            yield Row(start, dict(zip(columns, row)))  # noqa: B905  (as many; faster)


def _stray_quote(row: Sequence[str], dialect: _Dialect, start: int, last: int) -> LstmError | None:
    """Return the error for a row that two stray quotes have made of several rows; or count it.

    Such a field has, in each of its lines, as many delimiters as the rows of the file. Tabs do not
    occur in texts like that by chance; commas may.
    """
    if not any(
        _holds_rows(field, index, len(row), dialect.delimiter)
        for index, field in enumerate(row)
        if "\n" in field or "\r" in field
    ):
        return None
    if dialect.delimiter != "\t":
        dialect.found.add_merged(start, last)
        return None
    return LstmError(
        f"{dialect.name}, lines {start} to {last}: one field between two double quotes holds "
        f"{last - start + 1} lines that look like rows.",
        "If double quotes are characters like others in this file, give --quoting none. Else "
        "remove the tabs in the field.",
    )


def _holds_rows(field: str, index: int, num_columns: int, delimiter: str) -> bool:
    """Return whether the lines of a field have the delimiters of rows."""
    lines = field.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    middle = num_columns - 1
    expected = [middle - index, *[middle] * (len(lines) - 2), index]
    # In a sentence, a space follows a comma.
    separators = [line.count(delimiter) - line.count(f"{delimiter} ") for line in lines]
    return middle > 0 and separators == expected


def _wrong_number(
    row: Sequence[str], columns: Sequence[str], dialect: _Dialect, start: int
) -> LstmError:
    return LstmError(
        f"{dialect.name}, line {start}: expected {len(columns)} fields as in the first line, found "
        f"{len(row)}.",
        f"Put fields that contain {delimiter_name(dialect.delimiter)} between double quotes.",
    )


def _header(row: list[str], name: str, line: int) -> tuple[str, ...]:
    """Return the column names in the first line; those without a name are called by number."""
    columns = [column.strip() for column in row]
    if any("\0" in column for column in columns):
        raise LstmError(
            f"{name}, line {line}: NUL characters in the column names.",
            "If this is UTF-16 without a byte order mark, give --encoding utf-16-le.",
        )
    duplicates = sorted({column for column in columns if column and columns.count(column) > 1})
    if duplicates:
        found = f"column {join_names(duplicates)} occurs twice among {join_names(columns)}"
        raise LstmError(
            f"{name}, line {line}: {found}.",
            f"Rename or drop the duplicates. {_NO_HEADER_HINT}",
        )
    if not any(columns):
        raise LstmError(f"{name}, line {line}: expected column names, found none.", _NO_HEADER_HINT)
    return tuple(column or f"column {number}" for number, column in enumerate(columns, 1))


def _malformed(dialect: _Dialect, start: int, line: int, reason: str) -> LstmError:
    if reason == "unexpected end of data":
        reason = "a double quote is opened and never closed"
    elif "expected after" in reason:
        delimiter = delimiter_name(dialect.delimiter)
        reason = f"expected {delimiter} or the line's end after a closing double quote"
    elif "field larger" in reason:
        reason = f"a field of more than {_MAX_FIELD >> 20} million characters"
    lines = f"line {start}" if line <= start else f"lines {start} to {line}"
    return LstmError(
        f"{dialect.name}, {lines}: {reason}.",
        "A field that begins with a double quote must end with one; write a quote inside it twice. "
        "If double quotes are characters like others in this file, give --quoting none.",
    )
