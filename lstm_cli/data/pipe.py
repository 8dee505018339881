"""Standard input: read as it arrives, and know whether more can be read without waiting."""

from __future__ import annotations

import os
import select
import sys

from lstm_cli.errors import LstmError

_BLOCK_SIZE = 1 << 16


class Pipe:
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


def standard_input() -> int:
    """Return the file descriptor of standard input.

    Raises:
        LstmError: Standard input is closed (`<&-`).
    """
    if sys.stdin is None:
        raise unreadable_input("it is closed")
    return sys.stdin.fileno()
