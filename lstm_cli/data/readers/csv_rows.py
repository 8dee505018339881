"""Rows of CSV and TSV, in which a quote after a delimiter and a space opens a field, too."""

from __future__ import annotations

import re
from collections.abc import Iterator


class CsvRows:
    """The rows of lines, as `csv.reader` returns them.

    People write `"Nice, but small", "good"`. From the first such row on, spaces before a field do
    not count; before it, and without such rows, they belong to the field.

    Args:
        lines: Lines with their ends.
        delimiter: What separates fields.

    Attributes:
        line_num: Number of lines read so far.
    """

    def __init__(self, lines: Iterator[str], delimiter: str) -> None:
        import csv

        self.line_num = 0
        self._lines = lines
        self._first_line: str | None = None
        self._has_spaced_quote = re.compile(f'(?:^|{re.escape(delimiter)}) +"').search
        # Strict, because an unclosed quote would otherwise silently include the rest of the file.
        self._rows = csv.reader(self._row_lines(), delimiter=delimiter, strict=True)
        self._spaced = csv.reader(
            self._row_lines(), delimiter=delimiter, strict=True, skipinitialspace=True
        )

    def __iter__(self) -> Iterator[list[str]]:
        """Return the iterator itself."""
        return self

    def __next__(self) -> list[str]:
        """Return the next row; a quoted field may span lines.

        Raises:
            csv.Error: The row is malformed.
        """
        line = next(self._lines)
        self._first_line = line
        if self._rows is not self._spaced and '"' in line and self._has_spaced_quote(line):
            self._rows = self._spaced
        return next(self._rows)

    def _row_lines(self) -> Iterator[str]:
        """Yield the first line of a row, then the lines after it."""
        while True:
            line, self._first_line = self._first_line, None
            if line is None and (line := next(self._lines, None)) is None:
                return
            self.line_num += 1
            yield line
