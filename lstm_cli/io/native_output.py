"""What native code, which knows nothing of Python's streams, writes to the standard streams."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def drop_output(descriptor: int) -> Iterator[None]:
    """Drop what is written to a standard stream in a block; nothing happens if it is closed.

    Args:
        descriptor: 1 for standard output, 2 for standard error. What Python has buffered for it
            must be flushed before.
    """
    try:
        copy = os.dup(descriptor)
    except OSError:
        yield
        return
    try:
        with Path(os.devnull).open("wb") as devnull:
            os.dup2(devnull.fileno(), descriptor)
        yield
    finally:
        os.dup2(copy, descriptor)
        os.close(copy)
