"""SIGINT and SIGTERM: the first ends training at a step boundary, the second ends it at once.

And SIGPIPE, which a process gets that writes to a pipe or a socket that nobody reads any more.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The process was asked to end.

    Not an `Exception`: code that handles errors must not swallow it.

    Args:
        signum: Of the signal.
        message: What a person should know, such as how to resume.
    """

    def __init__(self, signum: int, message: str = "") -> None:
        super().__init__(message)
        self.signum = signum
        self.message = message

    @property
    def exit_code(self) -> int:
        """What shells give a process ended by this signal: 130 or 143."""
        return 128 + self.signum


class Signals:
    """What was asked of the process while its signals were caught.

    Attributes:
        wanted: The signal that came first, or None.
    """

    def __init__(self) -> None:
        self.wanted: int | None = None
        self._deferred = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only note the first signal: the block looks at `wanted` where it can stop.

        Raises:
            Interrupted: At the end of a block that did not.
        """
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.wanted is not None:
            raise Interrupted(self.wanted)

    def handle(self, signum: int, _frame: FrameType | None) -> None:
        """Note or raise; from now on the system ends the process at once.

        The next signal must not wait for Python, which may be deep inside a long computation.
        """
        self.wanted = signum
        for number in _SIGNALS:
            if signal.getsignal(number) == self.handle:
                signal.signal(number, signal.SIG_DFL)
        if not self._deferred:
            raise Interrupted(signum)


def end_with_reader() -> None:
    """Let the system end the process where nobody reads its output any more, as other filters."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def outlive_reader() -> None:
    """Go on where nobody reads the output any more, and drop what is still written there.

    For what is worth more than its output: a training, and a server, whose clients are readers too.
    """
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.stdout = _outlived(sys.stdout)
    sys.stderr = _outlived(sys.stderr)


class _OutlivedFile(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            # The descriptor itself: libraries write there without Python.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)


def _outlived(stream: TextIO) -> TextIO:
    """Put a stream of Python over the same descriptor that drops what nobody reads."""
    if not isinstance(stream, io.TextIOWrapper):
        # Closed by the caller, or replaced by a program that this is a part of.
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_OutlivedFile(stream.fileno(), "w", closefd=False)),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextmanager
def catch_signals() -> Iterator[Signals]:
    """Catch SIGINT and SIGTERM in a block; outside the main thread nothing is caught.

    A signal that the process was started to ignore, as by `nohup`, stays ignored.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, signals.handle)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
