"""A second process: what Python does on one core alone, two share."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# `multiprocessing` would run the user's own script once more.
_SERVE = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from lstm_cli.partner import serve; serve()"
)


class Partner:
    """Calls functions beside this process.

    A partner that dies, or that could not be started, costs time and never the result: this process
    calls the function itself then, and where the function raises too.

    Args:
        process: Of `serve`, with pipes; without one, this process calls everything.
    """

    def __init__(self, process: subprocess.Popen[bytes] | None = None) -> None:
        self._process = process
        # A pipe blocks who writes until someone reads, as a process does not that is starting.
        self._thread = ThreadPoolExecutor(1)
        if process is not None:
            self._thread.submit(_send, process, sys.path)

    @property
    def is_there(self) -> bool:
        """Whether there is a second process."""
        return self._process is not None

    def ask(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> Callable[[], T]:
        """Have a function called. One is called after the other.

        Args:
            function: Of a module, where the other process finds it by name.
            args: Copied to the other process, as is the result from there.
            options: Copied too.

        Returns:
            What waits for the result.
        """
        if self._process is None:
            return lambda: function(*args, **options)
        asked = self._thread.submit(_call, self._process, function, args, options)

        def result() -> T:
            answered = asked.result()
            return answered[0] if answered else function(*args, **options)

        return result

    def end(self) -> None:
        """End the other process, whatever it is doing."""
        if self._process is None:
            return
        self._process.kill()
        self._thread.shutdown()
        # A pipe that is closed tries once more to write what it could not.
        with contextlib.suppress(OSError), self._process:
            pass


@contextlib.contextmanager
def found(wanted: bool) -> Iterator[Partner]:
    """Give a partner for the time of a block.

    Args:
        wanted: Whether it is worth a process. With a single core it is not in any case.
    """
    partner = Partner(_start() if wanted and _num_cores() > 1 else None)
    with _pipes_that_break():
        try:
            yield partner
        finally:
            partner.end()


def load(*modules: str) -> None:
    """Import modules, so that a partner has them when they are needed."""
    for module in modules:
        import_module(module)


def serve() -> None:
    """Do what is asked through standard input until that ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library prints is no answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(EOFError, BrokenPipeError), answers:
        while True:
            function, args, options = pickle.load(sys.stdin.buffer)
            pickle.dump((function(*args, **options),), answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()


def _start() -> subprocess.Popen[bytes] | None:
    if not sys.executable:
        # Python is part of another program.
        return None
    try:
        return subprocess.Popen(
            # A `pickle.py` of the folder we happen to be in is not meant.
            [sys.executable, "-P", "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        # No memory for it, or too many processes.
        return None


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _send(process: subprocess.Popen[bytes], message: Any) -> None:
    assert process.stdin is not None
    pickle.dump(message, process.stdin, pickle.HIGHEST_PROTOCOL)
    process.stdin.flush()


def _call(process: subprocess.Popen[bytes], *request: Any) -> tuple[Any] | None:
    """Send a request and wait for the answer; None where none comes."""
    assert process.stdout is not None
    try:
        _send(process, request)
        answer: tuple[Any] = pickle.load(process.stdout)
    # What is cut short raises most of these.
    except (OSError, EOFError, ValueError, pickle.PickleError, MemoryError):
        return None
    return answer


@contextlib.contextmanager
def _pipes_that_break() -> Iterator[None]:
    """Have a write to a process that has ended fail; the command line has it end this one."""
    if not hasattr(signal, "SIGPIPE") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGPIPE, before)
