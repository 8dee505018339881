"""Read the texts for `lstm predict`, one per record, from lines or tables, as they arrive."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from lstm_cli.data.readers.decode import ReplacementCounter, decode_lines
from lstm_cli.data.readers.read_options import ReadOptions, TableFormat
from lstm_cli.data.readers.table import iter_records
from lstm_cli.data.readers.text_columns import TextColumns
from lstm_cli.errors import ExitCode, LstmError

# The largest window of texts that is classified at once.
_MAX_TEXTS = 2048
_MAX_CHARACTERS = 8 << 20
_BLOCK_SIZE = 1 << 16
_TABLES: dict[str, TableFormat] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl"}


class Records:
    """The texts of a file or a pipe, read lazily.

    Invalid bytes are replaced by U+FFFD and their lines counted, because one bad line must not stop
    a stream.
    """

    def __init__(self, path: Path | None, text_columns: Sequence[str] = ()) -> None:
        """Choose the format; the file is opened when iterating.

        Args:
            path: A table, if its suffix says so, else a file with one text per line. None means
                standard input.
            text_columns: The columns of the texts in a table, joined in this order. Without them,
                the first column with a common name.

        Raises:
            LstmError: `text_columns` are named, but the input is not a table.
        """
        self._path = path
        self._columns = tuple(text_columns)
        self._format = None if path is None else _TABLES.get(path.suffix.lower())
        self._counter = ReplacementCounter()
        self._pipe = _Pipe(_standard_input()) if path is None else None
        if text_columns and self._format is None:
            raise LstmError(
                f"--text-column {text_columns[0]}: {path or 'standard input'} is read as plain "
                "lines.",
                "Only .csv, .tsv and .jsonl files have columns.",
                ExitCode.USAGE,
            )

    @property
    def num_replaced(self) -> int:
        """Number of lines so far that had invalid bytes."""
        return self._counter.num_lines

    def __iter__(self) -> Iterator[str]:
        """Yield one text per record.

        Raises:
            LstmError: The file cannot be read, or a record of a table is malformed.
        """
        if self._format is not None:
            assert self._path is not None
            yield from self._from_table(self._path, self._format)
        elif self._path is None:
            yield from _lines(cast(BinaryIO, self._pipe), "standard input", self._counter)
        else:
            try:
                stream = self._path.open("rb")
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise LstmError(f"Cannot read {self._path}: {reason}.", "Check the path.") from None
            with stream:
                yield from _lines(stream, str(self._path), self._counter)

    def windows(self) -> Iterator[list[str]]:
        """Yield lists of texts: full windows, or what has arrived if a pipe is slow.

        Raises:
            LstmError: See `__iter__`.
        """
        window: list[str] = []
        size = 0
        for text in self:
            window.append(text)
            size += len(text)
            is_full = len(window) >= _MAX_TEXTS or size >= _MAX_CHARACTERS
            if is_full or (self._pipe is not None and not self._pipe.has_more()):
                yield window
                window, size = [], 0
        if window:
            yield window

    def _from_table(self, path: Path, format_: TableFormat) -> Iterator[str]:
        found: TextColumns | None = None
        for number, record in iter_records(path, ReadOptions(format_), None, self._counter):
            if found is None:
                found = self._find_columns(list(record), str(path))
            yield found.read(record, f"{path}, line {number}")

    def _find_columns(self, columns: list[str], name: str) -> TextColumns:
        try:
            return TextColumns.find(columns, self._columns, name, self._format != "jsonl")
        except LstmError as error:
            raise LstmError(error.message, "Name the column with --text-column NAME.") from None


class _Pipe:
    """Standard input that knows whether the next read would block."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._buffer = b""
        self._start = 0
        self._at_end = False

    def has_more(self) -> bool:
        """Return whether a whole line, or the end, can be read without blocking."""
        while self._buffer.find(b"\n", self._start) < 0 and not self._at_end:
            if not select.select([self._handle], [], [], 0)[0]:
                return False
            self._fill()
        return True

    def readline(self) -> bytes:
        """Return a line with its end; at the end of the pipe the rest, then nothing."""
        while (end := self._buffer.find(b"\n", self._start)) < 0 and not self._at_end:
            self._fill()
        return self._take(end + 1 if end >= 0 else len(self._buffer))

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; nothing at the end."""
        if self._start == len(self._buffer) and not self._at_end:
            self._fill()
        return self._take(min(self._start + size, len(self._buffer)))

    def _take(self, end: int) -> bytes:
        content, self._start = self._buffer[self._start : end], end
        return content

    def _fill(self) -> None:
        """Read more bytes; block until there are some."""
        # The pieces of a long line are joined once, so that the time grows linearly.
        pieces = [self._buffer[self._start :]]
        while True:
            try:
                piece = os.read(self._handle, _BLOCK_SIZE)
            except OSError as error:
                raise unreadable_input(error.strerror or str(error)) from None
            pieces.append(piece)
            self._at_end = not piece
            more = bool(piece) and b"\n" not in piece
            if not more or not select.select([self._handle], [], [], 0)[0]:
                break
        self._buffer, self._start = b"".join(pieces), 0


def unreadable_input(reason: str) -> LstmError:
    """Return the error for a standard input that is closed or cannot be read."""
    return LstmError(
        f"Cannot read standard input: {reason}.", "Pipe texts into it, or name a file."
    )


def _standard_input() -> int:
    """Return the file descriptor of standard input.

    Raises:
        LstmError: Standard input is closed (`<&-`).
    """
    if sys.stdin is None:
        raise unreadable_input("it is closed")
    return sys.stdin.fileno()


def _lines(stream: BinaryIO, name: str, counter: ReplacementCounter) -> Iterator[str]:
    """Yield the text before each line feed, as `wc -l` and `paste` count lines."""
    line = ""
    for piece in decode_lines(stream, name, counter):
        line += piece
        if line.endswith("\n"):
            yield line.rstrip("\r\n")
            line = ""
    if line:
        yield line
