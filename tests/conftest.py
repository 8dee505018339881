"""What holds for every test: no display, no user data touched, slow and real-data tests opt-in."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A property may take its time: the machine may be busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# Before anything imports matplotlib: no display, and its font cache where it was before HOME moves.
os.environ["MPLBACKEND"] = "Agg"
_CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
os.environ.setdefault("MPLCONFIGDIR", str(Path(_CACHE) / "matplotlib"))


@pytest.fixture(scope="session")
def _homes(tmp_path_factory):
    """Return numbered paths; `mktemp` would look through thousands of folders for each test."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _user_data_in_a_temporary_folder(_homes, monkeypatch):
    """Point every place a command may write to at a fresh folder, and forget the caller's shell."""
    home = next(_homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local" / "share"))
    monkeypatch.setenv("LSTM_RUNS_DIR", str(home / "runs"))
    monkeypatch.setenv("LSTM_CACHE_DIR", str(home / "cache"))
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "LSTM_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _new_consoles():
    """Forget the consoles of the test before: they keep the width of their first use."""
    if output := sys.modules.get("lstm_cli.cli.output"):
        output._stdout.cache_clear()
        output.stderr_console.cache_clear()


@pytest.fixture
def lstm(monkeypatch, capfd):
    """Run a command line in this process: `code, out, err = lstm("predict", "fine")`."""
    from lstm_cli import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
        code = cli.run()
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def pytest_make_parametrize_id(val, argname):
    """Name bytes by their argument: those of gzip hold the time, and workers must agree."""
    return argname if isinstance(val, bytes) else None


def pytest_runtest_setup(item):
    """Skip slow tests unless asked for by -m, and real-data tests without the data."""
    if item.get_closest_marker("slow") and "slow" not in item.config.getoption("markexpr"):
        pytest.skip("takes minutes; run with -m slow")
    marker = item.get_closest_marker("realdata")
    if marker:
        _skip_without(marker.args or ("imdb_reviews", "mnist"))


def _skip_without(names):
    """Skip when one of these data sets is not prepared: `@pytest.mark.realdata("mnist")`."""
    root = os.environ.get("TFDS_DATA_DIR")
    if not root:
        pytest.skip("TFDS_DATA_DIR is not set")
    missing = [name for name in names if not (Path(root) / name).is_dir()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not prepared under TFDS_DATA_DIR")
