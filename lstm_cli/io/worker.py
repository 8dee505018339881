"""A worker process for Python code that would otherwise run on one core."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from lstm_cli.io.memory import release_memory

P = ParamSpec("P")
T = TypeVar("T")

# Not `multiprocessing`: with its method `spawn`, a script without a guard would run a second time.
_SERVE = "import sys; sys.path[:] = sys.argv[1:]; from lstm_cli.io.worker import serve; serve()"


class Worker:
    """Calls functions in a second process.

    If the worker process cannot be started, or dies, or a function raises there, this process calls
    the function itself. So the worker never changes a result.

    Args:
        process: A process that runs `serve`, with pipes; None to call everything in this process.
    """

    def __init__(self, process: subprocess.Popen[bytes] | None = None) -> None:
        self._process = process
        # A thread writes: a write to the pipe blocks until the starting process reads.
        self._thread = ThreadPoolExecutor(1, initializer=_block_sigpipe)

    @property
    def is_alive(self) -> bool:
        """Whether there is a second process."""
        return self._process is not None

    def submit(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], T]:
        """Call a function in the worker process. Calls run one after the other.

        Args:
            function: A function of a module, which the other process imports by name.
            args: Positional arguments; they and the result are pickled.
            kwargs: Keyword arguments; pickled too.

        Returns:
            A function that waits for the result and returns it.
        """
        return self.submit_made(function, lambda: args, **kwargs)

    def submit_made(
        self, function: Callable[..., T], make: Callable[[], Sequence[Any]], **kwargs: Any
    ) -> Callable[[], T]:
        """Call a function in the worker process, with arguments that need not be kept here.

        Args:
            function: As for `submit`.
            make: Returns the arguments: before they are sent, and again if the worker fails.
            kwargs: As for `submit`.

        Returns:
            As `submit`.
        """
        if self._process is None:
            return lambda: function(*make(), **kwargs)
        future = self.submit_once(function, *make(), **kwargs)

        def wait_for_result() -> T:
            answer = future()
            return answer[0] if answer else function(*make(), **kwargs)

        return wait_for_result

    def submit_once(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], tuple[T] | None]:
        """Call a function in the worker process, and never in this one.

        Args:
            function: As for `submit`.
            args: As for `submit`.
            kwargs: As for `submit`.

        Returns:
            A function that waits, and returns the result in a tuple; None if there is no worker
            process, it died, or the function raised.
        """
        if self._process is None:
            return lambda: None
        return self._thread.submit(_call, self._process, function, args, kwargs).result

    def close(self) -> None:
        """End the worker process, even in the middle of a call."""
        if self._process is None:
            return
        self._process.kill()
        # In the thread, because closing a pipe tries again to write what was not yet written.
        self._thread.submit(_close_pipes, self._process)
        self._thread.shutdown()


@contextlib.contextmanager
def start_worker(enabled: bool) -> Iterator[Worker]:
    """Start a worker process for the duration of a block.

    Args:
        enabled: Whether to start a process. With a single core none is started in any case.
    """
    worker = new_worker() if enabled and num_cores() > 1 else Worker()
    try:
        yield worker
    finally:
        worker.close()


def new_worker() -> Worker:
    """Start a worker process; `Worker.is_alive` says whether that was possible."""
    return Worker(_start())


def import_modules(*modules: str) -> None:
    """Import modules, so that the worker process has them when they are needed."""
    for module in modules:
        import_module(module)


def serve() -> None:
    """Call the functions that arrive on standard input, until it ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library prints must not get between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(EOFError, BrokenPipeError), answers:
        while True:
            function, args, kwargs = pickle.load(sys.stdin.buffer)
            pickle.dump((function(*args, **kwargs),), answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
            del function, args, kwargs
            release_memory()


def _start() -> subprocess.Popen[bytes] | None:
    if not sys.executable or getattr(sys, "frozen", False):
        # Python is embedded in another program, which would be started a second time.
        return None
    try:
        return subprocess.Popen(
            # -P: do not import a `pickle.py` from the current folder.
            [sys.executable, "-P", "-c", _SERVE, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        # Not enough memory, or too many processes.
        return None


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _call(process: subprocess.Popen[bytes], *request: Any) -> tuple[Any] | None:
    """Send a request and wait for the answer; None if there is no answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump(request, process.stdin, pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        answer: tuple[Any] = pickle.load(process.stdout)
    except Exception:
        # The rest of a partial message would be read as the next message.
        process.kill()
        return None
    return answer


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError), process:
        pass


def _block_sigpipe() -> None:
    """Make a write to a closed pipe fail; by default, SIGPIPE ends a command that is a filter."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
