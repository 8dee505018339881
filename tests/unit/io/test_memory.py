"""Peak memory in the units of each operating system."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lstm_cli.io.memory import peak_memory_mb, release_memory


@pytest.mark.parametrize(("platform", "units_per_mb"), [("linux", 1 << 10), ("darwin", 1 << 20)])
def test_peak_memory_is_in_mb(platform, units_per_mb, monkeypatch):
    usage = SimpleNamespace(ru_maxrss=300 * units_per_mb)
    monkeypatch.setattr(resource, "getrusage", lambda who: usage)
    monkeypatch.setattr(sys, "platform", platform)
    assert peak_memory_mb() == 300


def own_memory():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) >> 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc of Linux")
def test_memory_that_was_freed_is_given_back():
    # Blocks that the C library keeps: the last one is above them.
    blocks = [b"x" * (100_000 + i) for i in range(800)]
    last = blocks.pop()
    before = own_memory()
    blocks.clear()
    release_memory()
    assert own_memory() < before - 60
    assert last
