"""What `lstm predict` reads: one text a record, from lines or tables, as they come in."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from lstm_cli.data.readers.columns import find_column, text_of
from lstm_cli.data.readers.decode import Replaced, decode_lines
from lstm_cli.data.readers.table import Format, iter_records
from lstm_cli.errors import ExitCode, LstmError

# A window: what is classified at once.
_MOST_TEXTS = 2048
_MOST_CHARACTERS = 8 << 20
_BLOCK = 1 << 16
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
        self._pipe = _Pipe(_standard_input()) if path is None else None
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
            yield from _lines(cast(BinaryIO, self._pipe), "standard input", self._replaced)
        else:
            try:
                stream = self._path.open("rb")
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise LstmError(f"Cannot read {self._path}: {reason}.", "Check the path.") from None
            with stream:
                yield from _lines(stream, str(self._path), self._replaced)

    def windows(self) -> Iterator[list[str]]:
        """Yield lists of texts: as many as fit, or as many as have come where a pipe is slow.

        Raises:
            LstmError: As when iterating.
        """
        window: list[str] = []
        size = 0
        for text in self:
            window.append(text)
            size += len(text)
            full = len(window) >= _MOST_TEXTS or size >= _MOST_CHARACTERS
            if full or (self._pipe is not None and not self._pipe.has_more()):
                yield window
                window, size = [], 0
        if window:
            yield window

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


class _Pipe:
    """Standard input that can tell whether reading on would wait."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._held = b""
        self._start = 0
        self._ended = False

    def has_more(self) -> bool:
        """Tell whether a whole line, or the end, is there without waiting."""
        while self._held.find(b"\n", self._start) < 0 and not self._ended:
            if not select.select([self._handle], [], [], 0)[0]:
                return False
            self._fill()
        return True

    def readline(self) -> bytes:
        """Return a line with its end; what is left at the end of the pipe; then nothing."""
        while (end := self._held.find(b"\n", self._start)) < 0 and not self._ended:
            self._fill()
        return self._take(end + 1 if end >= 0 else len(self._held))

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; nothing at the end."""
        if self._start == len(self._held) and not self._ended:
            self._fill()
        return self._take(min(self._start + size, len(self._held)))

    def _take(self, end: int) -> bytes:
        taken, self._start = self._held[self._start : end], end
        return taken

    def _fill(self) -> None:
        """Add what comes next, waiting for it."""
        # Pieces of one long line are joined as they come, so that it costs time in proportion.
        pieces = [self._held[self._start :]]
        while True:
            try:
                piece = os.read(self._handle, _BLOCK)
            except OSError as error:
                raise unreadable_input(error.strerror or str(error)) from None
            pieces.append(piece)
            self._ended = not piece
            more = bool(piece) and b"\n" not in piece
            if not more or not select.select([self._handle], [], [], 0)[0]:
                break
        self._held, self._start = b"".join(pieces), 0


def unreadable_input(reason: str) -> LstmError:
    """Return the error of a standard input that is closed or cannot be read."""
    return LstmError(
        f"Cannot read standard input: {reason}.", "Pipe texts into it, or name a file."
    )


def _standard_input() -> int:
    """Return the descriptor of standard input.

    Raises:
        LstmError: It was closed (`<&-`).
    """
    if sys.stdin is None:
        raise unreadable_input("it is closed")
    return sys.stdin.fileno()


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
