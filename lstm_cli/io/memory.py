"""Memory use of this process."""

from __future__ import annotations

import sys


def peak_memory_mb() -> int:
    """Return the peak resident memory of this process in MB (units of 1,048,576 bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux KiB.
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)
