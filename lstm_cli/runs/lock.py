"""The lock of a run: only one process may train it at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lstm_cli.errors import LstmError

LOCK = ".lock"
_TIMEOUT_SECONDS = 1.0


@contextlib.contextmanager
def acquire(folder: Path) -> Iterator[None]:
    """Hold the lock of a run; the operating system releases it if the process dies.

    Args:
        folder: The run directory.

    Raises:
        LstmError: Another process holds the lock, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    # Wait a moment: another process may be in `is_locked`, which holds the lock briefly.
    lock = FileLock(folder / LOCK, timeout=_TIMEOUT_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise _locked_error(folder) from None
    except OSError as error:
        raise LstmError(
            f"Cannot write {folder / LOCK}: {error.strerror or error}.",
            "The folder of a run must be writable.",
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def acquire_found(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of a run that was found before; the lock itself would make its folder again.

    Args:
        folder: The run directory.
        name: A file that every run has.

    Raises:
        LstmError: Another process holds the lock, or has removed or renamed the run; or the folder
            cannot be written.
    """
    with acquire(folder):
        if not (folder / name).exists():
            # Nothing may stay that looks like a new run.
            with contextlib.suppress(OSError):
                if list(folder.iterdir()) == [folder / LOCK]:
                    (folder / LOCK).unlink()
                    folder.rmdir()
            raise LstmError(
                f"Run {folder.parent.name}/{folder.name} is gone: another process has removed or "
                "renamed it.",
                "See 'lstm runs list'.",
            )
        yield


def check_free(folder: Path) -> None:
    """Check that no process is training a run; nothing is written.

    Raises:
        LstmError: One is.
    """
    if is_locked(folder):
        raise _locked_error(folder)


def is_locked(folder: Path, name: str = LOCK) -> bool:
    """Return whether a process holds a lock, by default that of a run in training.

    Nothing is written.
    """
    import fcntl

    try:
        # Opening a named pipe with O_NONBLOCK does not wait for a writer.
        handle = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # A shared lock: two processes that look at once do not see each other.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _locked_error(folder: Path) -> LstmError:
    return LstmError(
        f"Another process is training run {folder.parent.name}/{folder.name}.",
        "Wait for it, or start a run with another name.",
    )
