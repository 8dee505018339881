"""Standard streams of the process: a full disk is an error on stdout and ignored on stderr."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

from lstm_cli.errors import LstmError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CLOSED = "it is closed"


def guard() -> None:
    """Replace the standard streams by ones whose failures lead to the right exit code.

    A stream that was closed (`>&-`) gets the null device. Otherwise the next file that is opened
    would get its number, and libraries would print into that file.
    """
    for descriptor in range(3):
        _reserve(descriptor)
    sys.stdout = _wrap(sys.stdout, ResultStream(1, closed=sys.stdout is None))
    sys.stderr = _wrap(sys.stderr, NoteStream(2))


def finish() -> None:
    """Flush stdout.

    Raises:
        LstmError: This write failed, or an earlier one whose error was lost.
    """
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, ResultStream) and raw.reason is not None:
        raise raw.error()


def open_results() -> io.FileIO:
    """Open stdout a second time, without a buffer, and with the errors of the system.

    Raises:
        LstmError: The process was started with stdout closed.
    """
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, ResultStream):
        raw.check_open()
    return io.FileIO(os.dup(1), "w")


class ResultStream(io.FileIO):
    """Standard output. The first failure raises an error; later writes are dropped.

    The interpreter flushes stdout once more when it exits; a second failure would change the exit
    code to 120.

    Args:
        descriptor: File descriptor.
        closed: Whether the process was started with this stream closed.
    """

    def __init__(self, descriptor: int, closed: bool = False) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.reason: str | None = None
        self._was_closed = closed

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some of the data; wait if the pipe is full and does not block.

        Raises:
            LstmError: The data cannot be written.
        """
        if self.reason is not None:
            return memoryview(data).nbytes
        try:
            if self._was_closed:
                raise OSError(errno.EBADF, _CLOSED)
            while (num := super().write(data)) is None:
                select.select([], [self], [])
        except BrokenPipeError:
            # Only commands that outlive their reader see this: a filter ends by SIGPIPE.
            return memoryview(data).nbytes
        except OSError as error:
            self.reason = error.strerror or str(error)
            raise self.error() from error
        return num

    def check_open(self) -> None:
        """Check that the process was not started with this stream closed.

        Raises:
            LstmError: It was.
        """
        if self._was_closed:
            self.reason = _CLOSED
            raise self.error()

    def error(self) -> LstmError:
        """Return the error for the user."""
        return LstmError(
            f"Cannot write to standard output: {self.reason}.",
            "Free space where it goes, or send it elsewhere; what is there now is incomplete.",
        )


class NoteStream(io.FileIO):
    """Standard error. What cannot be written is dropped: a lost line must not end the work."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what can be written, and return as if all of it was."""
        size = memoryview(data).nbytes
        try:
            num = super().write(data)
        except OSError:
            return size
        return size if num is None else num


def _reserve(descriptor: int) -> None:
    """Open the null device in place of a descriptor that is closed."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDONLY if descriptor == 0 else os.O_WRONLY)
        os.set_inheritable(opened, True)


def _wrap(stream: TextIO | None, raw: io.FileIO) -> io.TextIOWrapper:
    """Wrap a file as text like the original stream; characters it cannot encode are escaped."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=bool(
            stream is None
            or getattr(stream, "line_buffering", True)
            or getattr(stream, "write_through", False)
        ),
    )
