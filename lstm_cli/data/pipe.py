"""Standard input: read as it arrives, and know whether more can be read without waiting."""

from __future__ import annotations

import os
import select
import sys

from lstm_cli.errors import LstmError

# The name of standard input, for messages.
PIPE_NAME = "standard input"
_BLOCK_SIZE = 1 << 16
_MAX_LINE = 64 << 20


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
            if len(self._buffer) - self._start >= _MAX_LINE:
                return True
            if not select.select([self._handle], [], [], 0)[0]:
                return False
            self._fill()
        return True

    def seekable(self) -> bool:
        """Return that a pipe is read once."""
        return False

    def peek(self, size: int) -> bytes:
        """Return up to `size` of the bytes that come next, at least a line; nothing at the end."""
        while self._buffer.find(b"\n", self._start) < 0 and not self._at_end:
            if len(self._buffer) - self._start >= size:
                break
            self._fill(size)
        return self._buffer[self._start : self._start + size]

    def readline(self, size: int = -1) -> bytes:
        """Return a line with its end, or its first bytes; at the end the rest, then nothing.

        Args:
            size: The largest number of bytes; -1 for no limit.
        """
        limit = size if size >= 0 else sys.maxsize
        while (end := self._buffer.find(b"\n", self._start)) < 0 and not self._at_end:
            if len(self._buffer) - self._start >= limit:
                break
            self._fill(limit)
        end = end + 1 if end >= 0 else len(self._buffer)
        return self._take(min(end, self._start + limit))

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; nothing at the end."""
        if self._start == len(self._buffer) and not self._at_end:
            self._fill()
        return self._take(min(self._start + size, len(self._buffer)))

    def _take(self, end: int) -> bytes:
        content, self._start = self._buffer[self._start : end], end
        return content

    def _fill(self, limit: int = _MAX_LINE) -> None:
        """Read more bytes; block until there are some.

        Args:
            limit: Without a line end among so many bytes, no more are read at once.
        """
        # The pieces of a long line are joined once, so that the time grows linearly.
        pieces = [self._buffer[self._start :]]
        size = len(pieces[0])
        while True:
            try:
                piece = os.read(self._handle, _BLOCK_SIZE)
            except OSError as error:
                raise unreadable_input(error.strerror or str(error)) from None
            pieces.append(piece)
            self._at_end = not piece
            size += len(piece)
            more = bool(piece) and b"\n" not in piece and size < limit
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
