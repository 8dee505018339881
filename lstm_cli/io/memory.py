"""Memory use of this process."""

from __future__ import annotations

import contextlib
import sys


def peak_memory_mb() -> int:
    """Return the peak resident memory of this process in MB (units of 1,048,576 bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux KiB.
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)


def release_memory() -> None:
    """Give back to the system what was freed, which the C library of Linux keeps for later."""
    if sys.platform != "linux":
        return
    import ctypes

    # Other C libraries of Linux do not have this function.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
