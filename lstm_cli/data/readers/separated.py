"""CSV and TSV: the header, the delimiter, and rows that know their lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    import _csv

# Characters in a field; the default of the csv module is 131,072. An unclosed quote must not fill
# the memory.
_MAX_FIELD = 64 << 20
_NO_HEADER_HINT = (
    "If the first line is a row, give --no-header; the columns are then named 1, 2 and so on."
)


@dataclass(frozen=True)
class _Dialect:
    """How the lines of a file are separated into fields.

    Attributes:
        name: The name of the source, for errors.
        delimiter: What separates fields.
        has_quotes: Whether a field may stand between double quotes.
        found: Counts rows that may be several rows.
    """

    name: str
    delimiter: str
    has_quotes: bool
    found: Found

    def reader(self, lines: Iterator[str], skips_spaces: bool = False) -> _csv.Reader:
        """Return a reader of rows.

        Args:
            lines: With their ends.
            skips_spaces: Whether spaces before a field do not count.
        """
        import csv

        # Strict, because an unclosed quote would otherwise silently include the rest of the file.
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.has_quotes else csv.QUOTE_NONE,
            skipinitialspace=skips_spaces,
            strict=True,
        )

    def has_spaced_quote(self, line: str) -> bool:
        """Return whether a quote opens a field after a space: `"Nice, but small", "good"`."""
        # Searching is slow, and most lines with a quote have none of these.
        if f'{self.delimiter} "' in line or line.startswith(' "') or '  "' in line:
            return re.search(rf'(?:^|{re.escape(self.delimiter)}) +"', line) is not None
        return False


def read_separated(
    lines: Iterator[str], head: str, name: str, options: ReadOptions, usual: str, found: Found
) -> Rows:
    """Read the rows of CSV and TSV.

    A field between double quotes may span lines. A first line `sep=;` names the delimiter.

    People write `"Nice, but small", "good"`. From the first such row on, spaces before a field do
    not count; before it, and without such rows, they belong to the field.

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
    import csv

    csv.field_size_limit(_MAX_FIELD)
    first = next(lines, "")
    named = separator_line(first)
    if named is not None:
        first = next(lines, "")
        head = head.partition("\n")[2]
    if not first.strip():
        expected = "a first line that names the columns" if options.header else "rows"
        raise LstmError(f"{name}: expected {expected}, found nothing.")
    found.delimiter = _delimiter(options, named, first, head, usual)
    dialect = _Dialect(name, found.delimiter, options.quoting == AUTO, found)
    num_before = int(named is not None)
    skips_spaces = dialect.has_quotes and dialect.has_spaced_quote(first)
    reader = dialect.reader(chain([first], lines), skips_spaces)
    try:
        row = next(reader)
    except csv.Error as error:
        raise _malformed(dialect, num_before + 1, num_before + reader.line_num, error) from error
    last = num_before + reader.line_num
    if options.header:
        columns = _header(row, name, num_before + 1)
        return Rows(columns, _rows(lines, columns, dialect, last, skips_spaces), found)
    columns = tuple(str(number) for number in range(1, len(row) + 1))
    start = Row(num_before + 1, dict(zip(columns, row, strict=True)))
    return Rows(columns, chain([start], _rows(lines, columns, dialect, last, skips_spaces)), found)


def _delimiter(options: ReadOptions, named: str | None, first: str, head: str, usual: str) -> str:
    """Return the delimiter: the requested one, that of `sep=`, or what the first lines show."""
    if options.delimiter != AUTO:
        return options.delimiter
    if named is not None:
        return named
    if options.header:
        return find_delimiter(first, usual)
    lines = head.splitlines()
    if len(lines) > 1 and not head.endswith(("\n", "\r")):
        lines.pop()  # It may be cut.
    return delimiter_of_rows(lines or [first_line(first)], usual)


def _rows(
    lines: Iterator[str], columns: tuple[str, ...], dialect: _Dialect, last: int, skips_spaces: bool
) -> Iterator[Row]:
    """Yield the rows after the first one.

    Args:
        lines: Those after the first row.
        columns: The names of the columns.
        dialect: How the file is separated.
        last: Number of the line before `lines`.
        skips_spaces: Whether spaces before a field do not count.

    Raises:
        LstmError: A quote is not closed, or something follows a closing quote.
    """
    spaced: list[str] = []

    def lines_before_spaced_quote() -> Iterator[str]:
        for line in lines:
            # At the start of a row only: such a line may also be a part of a quoted field.
            if ' "' in line and dialect.has_spaced_quote(line) and reader.line_num + offset == last:
                spaced.append(line)
                return
            yield line

    import csv

    num = len(columns)
    offset = last
    is_watched = dialect.has_quotes and not skips_spaces
    reader = dialect.reader(lines_before_spaced_quote() if is_watched else lines, skips_spaces)
    while True:
        try:
            for row in reader:
                start, last = last + 1, reader.line_num + offset
                if not row:
                    if num > 1:
                        continue
                    row = [""]
                if len(row) != num:
                    yield Row(start, {}, _wrong_number(row, columns, dialect, start))
                elif last > start and (error := _stray_quote(row, dialect, start, last)):
                    yield Row(start, {}, error)
                else:
                    yield Row(start, dict(zip(columns, row)))  # noqa: B905  (as many; faster)
        except csv.Error as malformed:
            end = reader.line_num + offset
            raise _malformed(dialect, last + 1, end, malformed) from malformed
        if not spaced:
            return
        reader, offset = dialect.reader(chain([spaced.pop()], lines), skips_spaces=True), last


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
    # In a sentence, a space or nothing follows a comma; in a number, a digit.
    separator = "\t" if delimiter == "\t" else rf"(?<!\d){re.escape(delimiter)}(?=\S)"
    return middle > 0 and [len(re.findall(separator, line)) for line in lines] == expected


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


def _malformed(dialect: _Dialect, start: int, line: int, error: Exception) -> LstmError:
    reason = str(error)
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
