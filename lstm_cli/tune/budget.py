"""The time that a search may take, over all its resumes."""

from __future__ import annotations

import json
import time
from pathlib import Path

from lstm_cli.io.atomic_write import RUNS_HINT, write_atomic

_TIME = "time.json"
_SAVE_SECONDS = 10.0


class Budget:
    """Seconds of search: those of earlier processes, and those of this one.

    Args:
        folder: The folder of the study, which holds the seconds so far.
        seconds: Seconds of search; None without a limit.
    """

    def __init__(self, folder: Path, seconds: float | None) -> None:
        self._file = folder / _TIME
        self._limit = seconds
        self._before = _read(self._file)
        self._start = self._last_save = time.monotonic()

    @property
    def used(self) -> float:
        """Seconds of search so far."""
        return self._before + time.monotonic() - self._start

    @property
    def left(self) -> float | None:
        """Seconds that are left; None without a limit."""
        return None if self._limit is None else max(0.0, self._limit - self.used)

    def save(self, force: bool = False) -> None:
        """Write the seconds so far, at most every ten seconds unless forced.

        Raises:
            LstmError: The file cannot be written.
        """
        now = time.monotonic()
        if force or now - self._last_save >= _SAVE_SECONDS:
            self._last_save = now
            content = json.dumps({"seconds": round(self.used, 1)}).encode()
            write_atomic(self._file, content, RUNS_HINT)


def _read(file: Path) -> float:
    try:
        seconds = json.loads(file.read_bytes())["seconds"]
        return max(0.0, float(seconds))
    except (OSError, ValueError, LookupError, TypeError):
        return 0.0
