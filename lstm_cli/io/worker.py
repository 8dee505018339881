"""A second process: what Python does on one core alone, two share."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# `multiprocessing` would run the user's own script once more.
_SERVE = "import sys; sys.path[:] = sys.argv[1:]; from lstm_cli.io.worker import serve; serve()"


class Worker:
    """Calls functions beside this process.

    A partner that dies, or that could not be started, costs time and never the result: this process
    calls the function itself then, and where the function raises too.

    Args:
        process: Of `serve`, with pipes; without one, this process calls everything.
    """

    def __init__(self, process: subprocess.Popen[bytes] | None = None) -> None:
        self._process = process
        # A pipe blocks who writes until someone reads, as a process does not that is starting.
        self._thread = ThreadPoolExecutor(1, initializer=_let_pipes_break)

    @property
    def is_alive(self) -> bool:
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
        # There, as a pipe that is closed tries once more to write what it could not.
        self._thread.submit(_close, self._process)
        self._thread.shutdown()


@contextlib.contextmanager
def found(wanted: bool) -> Iterator[Worker]:
    """Give a partner for the time of a block.

    Args:
        wanted: Whether it is worth a process. With a single core it is not in any case.
    """
    worker = Worker(_start() if wanted and _num_cores() > 1 else None)
    try:
        yield worker
    finally:
        worker.end()


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
    if not sys.executable or getattr(sys, "frozen", False):
        # Python is part of another program, which would start once more.
        return None
    try:
        return subprocess.Popen(
            # A `pickle.py` of the folder we happen to be in is not meant.
            [sys.executable, "-P", "-c", _SERVE, *sys.path],
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


def _call(process: subprocess.Popen[bytes], *request: Any) -> tuple[Any] | None:
    """Send a request and wait for the answer; None where none comes."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump(request, process.stdin, pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        answer: tuple[Any] = pickle.load(process.stdout)
    except Exception:
        # Halfway through a message, the rest of it would be taken for the next one.
        process.kill()
        return None
    return answer


def _close(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError), process:
        pass


def _let_pipes_break() -> None:
    """Have a write to a process that has ended fail; without this, it ends a filter."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
