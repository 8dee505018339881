"""Standard streams of the process: a full disk is an error on stdout and is ignored on stderr."""

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


def guard() -> None:
    """Replace the standard streams by ones whose failures end in the right exit code.

    A stream that was closed (`>&-`) gets the null device as its descriptor: the next file that is
    opened would get its number, and what a library prints would be written into that file.
    """
    for descriptor in range(3):
        _reserve(descriptor)
    sys.stdout = _wrap(sys.stdout, Results(1, closed=sys.stdout is None))
    sys.stderr = _wrap(sys.stderr, Notes(2))


def finish() -> None:
    """Write what waits for stdout.

    Raises:
        LstmError: It, or an earlier write whose error got lost, failed.
    """
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, Results) and raw.reason is not None:
        raise raw.error()


class Results(io.FileIO):
    """Standard output. The first failure raises an error; what comes after it is dropped.

    The interpreter flushes stdout once more when it ends: a second failure would replace the exit
    code by 120.

    Args:
        descriptor: Of the file.
        closed: Whether the process was started without it.
    """

    def __init__(self, descriptor: int, closed: bool = False) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.reason: str | None = None
        self._was_closed = closed

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some of it, waiting where a pipe is full and must not be waited for.

        Raises:
            LstmError: It cannot be written.
        """
        if self.reason is not None:
            return memoryview(data).nbytes
        try:
            if self._was_closed:
                raise OSError(errno.EBADF, "it is closed")
            while (num := super().write(data)) is None:
                select.select([], [self], [])
        except BrokenPipeError:
            # Only commands that outlive their reader see this: a filter ends by SIGPIPE.
            return memoryview(data).nbytes
        except OSError as error:
            self.reason = error.strerror or str(error)
            raise self.error() from error
        return num

    def error(self) -> LstmError:
        """Return what to tell."""
        return LstmError(
            f"Cannot write to standard output: {self.reason}.",
            "Free space where it goes, or send it elsewhere; what is there now is incomplete.",
        )


class Notes(io.FileIO):
    """Standard error. What cannot be written is dropped: no work is lost for a line about it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what can be written, and say that all of it was."""
        size = memoryview(data).nbytes
        try:
            num = super().write(data)
        except OSError:
            return size
        return size if num is None else num


def _reserve(descriptor: int) -> None:
    """Open the null device as a descriptor that is closed; those below it are open."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDONLY if descriptor == 0 else os.O_WRONLY)
        os.set_inheritable(opened, True)


def _wrap(stream: TextIO | None, raw: io.FileIO) -> io.TextIOWrapper:
    """Put text on top of a file as it was on the stream, but that no character is refused."""
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
