"""SIGINT and SIGTERM: the first ends training at a step boundary, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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


@contextmanager
def caught() -> Iterator[Signals]:
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
