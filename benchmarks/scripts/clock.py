"""Time and memory of a measured process."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

# Set by launch.py; otherwise the time counts from here.
_STARTED = float(os.environ.get("LSTM_BENCH_STARTED") or time.monotonic())


def age() -> float:
    """Return the seconds since the start of this process, including imports."""
    return time.monotonic() - _STARTED


def peak_mb() -> float:
    """Return the peak memory of this process so far, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def write(path: str, result: Any) -> None:
    """Write a result for the benchmark that started this process."""
    Path(path).write_text(json.dumps(result), encoding="utf-8")
