"""SIGINT and SIGTERM: the first stops training after the current step, the second at once.

Also SIGPIPE, which a process receives when it writes to a pipe or socket that has no reader, and
SIGHUP, by which a server is asked to look for newer runs.
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
# Environment variable; see `stop_with_parent`.
STOP_WITH_PARENT = "LSTM_STOP_WITH_PARENT"


class Interrupted(BaseException):
    """A signal asked the process to stop.

    It is not an `Exception`, so that error handlers do not catch it.

    Args:
        signum: Number of the signal.
        message: Message for the user, such as how to resume.
    """

    def __init__(self, signum: int, message: str = "") -> None:
        super().__init__(message)
        self.signum = signum
        self.message = message

    @property
    def exit_code(self) -> int:
        """Exit code that shells use for this signal: 130 or 143."""
        return 128 + self.signum


class Signals:
    """The state of caught signals.

    Attributes:
        pending: Number of the first signal, or None.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._deferred = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only record the first signal; the block checks `pending` where it can stop.

        Raises:
            Interrupted: At the end of the block, if there was a signal.
        """
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.pending is not None:
            raise Interrupted(self.pending)

    def handle(self, signum: int, _frame: FrameType | None) -> None:
        """Record the signal or raise; after that, the next signal ends the process at once.

        The next signal must not wait for Python, which may be inside a long computation.
        """
        self.pending = signum
        for number in _SIGNALS:
            if signal.getsignal(number) == self.handle:
                signal.signal(number, signal.SIG_DFL)
        if not self._deferred:
            raise Interrupted(signum)


def end_with_reader() -> None:
    """End the process when its output has no reader, like other filters (`lstm predict | head`)."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def outlive_reader() -> None:
    """Continue when the output has no reader, and drop further output.

    For commands that do more than write output: training, and a server, whose clients also read.
    """
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.stdout = _without_broken_pipes(sys.stdout)
    sys.stderr = _without_broken_pipes(sys.stderr)


class _DroppingFile(io.FileIO):
    """A file that drops what is written after its reader has closed it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            # Redirect the descriptor itself: libraries write to it without Python.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)


def _without_broken_pipes(stream: TextIO) -> TextIO:
    """Return a stream for the same descriptor that drops output without a reader."""
    if not isinstance(stream, io.TextIOWrapper):
        # The caller closed it, or a program that embeds this one replaced it.
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_DroppingFile(stream.fileno(), "w", closefd=False)),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextmanager
def catch_signals() -> Iterator[Signals]:
    """Catch SIGINT and SIGTERM in a block; outside the main thread, do nothing.

    A signal that is ignored from the start, as with `nohup`, stays ignored.
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


class HeldHangup:
    """A handler that records SIGHUP; if the terminal of the process has gone, it ends the process.

    Attributes:
        is_pending: Whether there was a SIGHUP.
    """

    def __init__(self) -> None:
        self.is_pending = False
        self._had_terminal = has_terminal()

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        """Handle the signal."""
        if self._had_terminal and not has_terminal():
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        self.is_pending = True


@contextmanager
def hold_hangup() -> Iterator[None]:
    """Let SIGHUP wait until a server can act on it; outside the main thread, do nothing.

    A signal that is ignored from the start, as with `nohup`, stays ignored.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGHUP) if is_main and hasattr(signal, "SIGHUP") else None
    if before is None or before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGHUP, HeldHangup())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def has_terminal() -> bool:
    """Return whether the process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


def stop_with_parent() -> None:
    """Stop as by SIGTERM when standard input ends, if the process that started this one asks.

    It sets the variable `STOP_WITH_PARENT`, and holds the other end of the pipe: the pipe ends when
    it dies, whatever the reason.
    """
    if os.environ.pop(STOP_WITH_PARENT, ""):
        threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
