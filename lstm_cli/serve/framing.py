"""Message framing: cut received bytes so that a parser gets one request at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BLANK_LINE = re.compile(rb"\n\r?\n")


class Framer:
    """A buffer of received bytes that returns pieces; a request ends only where a piece ends.

    It does not parse. A head and a chunked body end with a blank line, so every blank line ends a
    piece, also a blank line inside a chunk. A body with a Content-Length ends after that length.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._tail = b""
        self._num_body_bytes_left: int | None = None

    def __len__(self) -> int:
        """Return the number of bytes in the buffer."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        self._buffer += data

    def start_body(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Expect the body of a request whose head was the last piece.

        Args:
            headers: Of the request, names in lower case. The parser has checked that there is at
                most one Content-Length, and that it consists of digits.
        """
        values = dict(headers)
        if b"transfer-encoding" not in values and b"content-length" in values:
            self._num_body_bytes_left = int(values[b"content-length"])

    def end_body(self) -> None:
        """Expect the head of the next request."""
        self._num_body_bytes_left = None
        self._tail = b""

    def next_piece(self) -> bytes:
        """Remove and return the next piece; it is empty only if the buffer is empty."""
        num_left = self._num_body_bytes_left
        end = self._find_end() if num_left is None else num_left
        with memoryview(self._buffer) as buffer:
            piece = bytes(buffer[:end])
        del self._buffer[:end]
        if num_left is None:
            self._tail = (self._tail + piece[-2:])[-2:]
        else:
            self._num_body_bytes_left = num_left - len(piece)
        return piece

    def clear(self) -> None:
        """Drop all bytes in the buffer."""
        self._buffer.clear()

    def _find_end(self) -> int:
        """Return the end of the first blank line, which may start in the previous piece."""
        for start, rest in ((b"\n", b"\n"), (b"\n\r", b"\n"), (b"\n", b"\r\n")):
            if self._tail.endswith(start) and self._buffer.startswith(rest):
                return len(rest)
        # To find a byte is ten times as fast as to find a pattern.
        first = self._buffer.find(b"\n")
        match = _BLANK_LINE.search(self._buffer, first) if first >= 0 else None
        return match.end() if match else len(self._buffer)
