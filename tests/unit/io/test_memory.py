"""Peak memory in the units of each operating system."""

from __future__ import annotations

import resource
import sys
from types import SimpleNamespace

import pytest

from lstm_cli.io.memory import peak_memory_mb


@pytest.mark.parametrize(("platform", "units_per_mb"), [("linux", 1 << 10), ("darwin", 1 << 20)])
def test_peak_memory_is_in_mb(platform, units_per_mb, monkeypatch):
    usage = SimpleNamespace(ru_maxrss=300 * units_per_mb)
    monkeypatch.setattr(resource, "getrusage", lambda who: usage)
    monkeypatch.setattr(sys, "platform", platform)
    assert peak_memory_mb() == 300
