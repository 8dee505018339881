"""What `lstm predict` reads: one text a record, from lines or tables, as they come in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lstm_cli.datasets.columns import find_column, text_of
from lstm_cli.datasets.encoding import Replaced, decode_lines
from lstm_cli.datasets.tables import Format, iter_records
from lstm_cli.errors import ExitCode, LstmError

_TABLES: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl"}


class Records:
    """Texts of a file or a pipe, read as they are asked for.

    Bytes that are no text are replaced by U+FFFD and the lines counted: one bad line must not stop
    a stream of good ones.
    """

    def __init__(self, path: Path | None, text_column: str | None) -> None:
        """Open nothing yet.

        Args:
            path: A table by its suffix, else one text a line; standard input where None.
            text_column: Of a table; found by itself where None.

        Raises:
            LstmError: A column is named for a file that has none.
        """
        self._path = path
        self._column = text_column
        self._format = None if path is None else _TABLES.get(path.suffix.lower())
        self._replaced = Replaced()
        if text_column is not None and self._format is None:
            raise LstmError(
                f"--text-column {text_column}: {path or 'the pipe'} is read as plain lines.",
                "Columns are those of .csv, .tsv and .jsonl files.",
                ExitCode.USAGE,
            )

    @property
    def num_replaced(self) -> int:
        """How many lines so far held bytes that are no text."""
        return self._replaced.lines

    def __iter__(self) -> Iterator[str]:
        """Yield one text a record.

        Raises:
            LstmError: The file cannot be read, or a record of a table is malformed.
        """
        if self._format is not None:
            assert self._path is not None
            yield from self._from_table(self._path, self._format)
        elif self._path is None:
            yield from _lines(sys.stdin.buffer, "standard input", self._replaced)
        else:
            try:
                stream = self._path.open("rb")
            except OSError as error:
                raise LstmError(
                    f"Cannot read {self._path}: {error.strerror}.", "Check the path."
                ) from None
            with stream:
                yield from _lines(stream, str(self._path), self._replaced)

    def _from_table(self, path: Path, format_: Format) -> Iterator[str]:
        column = self._column
        for number, record in iter_records(path, format_, None, self._replaced):
            if column is None or column not in record:
                column = self._find_column(list(record), str(path))
            yield text_of(record, column, f"{path}, line {number}")

    def _find_column(self, columns: list[str], name: str) -> str:
        try:
            return find_column(columns, "text", self._column, name)
        except LstmError as error:
            raise LstmError(error.message, "Say which one it is with --text-column NAME.") from None


def _lines(stream: BinaryIO, name: str, replaced: Replaced) -> Iterator[str]:
    """Yield what stands before each line feed, as `wc -l` and `paste` count lines."""
    line = ""
    for piece in decode_lines(stream, name, replaced):
        line += piece
        if line.endswith("\n"):
            yield line.rstrip("\r\n")
            line = ""
    if line:
        yield line
