"""Locks in the folder of a study: each trial is the work of one process at a time.

The operating system releases a lock when its process dies, so a trial that is `RUNNING` in the
storage and whose lock is free was interrupted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstm_cli.runs.lock import is_locked

_FOLDER = "locks"
_CLAIMS, _JOURNAL, _WINNER = "claims.lock", "journal.lock", "winner.lock"
_TIMEOUT_SECONDS = 0.2


@contextlib.contextmanager
def claiming(folder: Path) -> Iterator[None]:
    """Let one thread of one process at a time choose its next trial.

    Args:
        folder: The folder of the study.
    """
    with _lock(folder, _CLAIMS):
        yield


@contextlib.contextmanager
def scoring(folder: Path) -> Iterator[None]:
    """Let one process at a time score the winner.

    Args:
        folder: The folder of the study.
    """
    with _lock(folder, _WINNER):
        yield


def claim(folder: Path, number: int) -> Any | None:
    """Claim a trial; None if another process or thread works on it.

    Args:
        folder: The folder of the study.
        number: The number of the trial.

    Returns:
        The lock; `release()` gives the trial back.
    """
    from filelock import Timeout

    lock = _lock(folder, _name(number))
    try:
        # Wait a moment: `is_claimed` holds the lock briefly.
        lock.acquire(timeout=_TIMEOUT_SECONDS)
    except Timeout:
        return None
    return lock


def is_claimed(folder: Path, number: int) -> bool:
    """Tell whether a process works on a trial."""
    return is_locked(folder / _FOLDER, _name(number))


class JournalLock:
    """The lock of the journal, which a killed process does not leave behind.

    Optuna's own locks are files that stay, and are broken after 30 seconds.

    Args:
        folder: The folder of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = _lock(folder, _JOURNAL)

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


def _lock(folder: Path, name: str) -> Any:
    from filelock import FileLock

    path = folder / _FOLDER
    path.mkdir(parents=True, exist_ok=True)
    return FileLock(path / name)


def _name(number: int) -> str:
    return f"{number:03d}.lock"
