"""Creating run directories."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

import pytest
from fixtures_errors import refused

from lstm_cli.errors import ExitCode
from lstm_cli.runs import create
from lstm_cli.runs.create import create_run


def test_new_run_is_an_empty_folder_under_its_data_set(tmp_path):
    run = create_run(tmp_path / "runs", "demo", "first")
    assert run.path == tmp_path / "runs" / "demo" / "first"
    assert run.name == "demo/first"
    assert list(run.path.iterdir()) == []


def test_default_names_are_unique(tmp_path, monkeypatch):
    drawn = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(create.secrets, "token_hex", lambda _: next(drawn))
    monkeypatch.setattr(create, "datetime", SimpleNamespace(now=lambda: datetime(2026, 1, 1)))
    names = [create_run(tmp_path, "demo").path.name for _ in range(2)]
    assert names == ["20260101-000000-aaaa", "20260101-000000-bbbb"]


HIDDEN_OR_OUTSIDE = ["", " ", ".", "..", ".hidden", "a/b", "../up", "/abs", "a\0b"]
NOT_PRINTABLE = ["a\nb", "a\x1b[2Jb", "-x", " a", "a ", "\u202ea", "\ud800"]


@pytest.mark.parametrize("name", HIDDEN_OR_OUTSIDE + NOT_PRINTABLE)
def test_invalid_name_is_refused(name, tmp_path):
    error = refused(create_run, tmp_path, "demo", name, code=ExitCode.USAGE)
    assert "--name" in error.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["wide", "lr=0.01", "run 2", "größer", "a..b", "[x]"])
def test_valid_name_is_accepted(name, tmp_path):
    assert create_run(tmp_path, "demo", name).path.is_dir()


def test_existing_run_is_refused_and_left_unchanged(tmp_path):
    run = create_run(tmp_path, "demo", "first")
    run.write_text("notes", "mine")
    assert str(run.path) in refused(create_run, tmp_path, "demo", "first").message
    assert run.read_text("notes") == "mine"


@pytest.mark.parametrize("at", ["", "demo"])
def test_unwritable_root_is_named(at, tmp_path):
    root = tmp_path / "runs"
    blocked = root / at
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("a file where a folder should be")
    error = refused(create_run, root, "demo", "first")
    assert str(root) in error.message
    assert "--runs-dir" in error.hint


@pytest.mark.parametrize("name", ["x" * 256, "ß" * 128])
def test_name_too_long_for_a_file_system_is_refused(name, tmp_path):
    error = refused(create_run, tmp_path, "demo", name, code=ExitCode.USAGE)
    assert "--name" in error.message
    assert create_run(tmp_path, "demo", name[:-1]).path.is_dir()
