"""`lstm runs rm`, `prune` and `rename` through the command line."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from fixtures_runs import made

from lstm_cli.cli import print_removals
from lstm_cli.runs.directory import RUN


@pytest.fixture
def root():
    path = Path(os.environ["LSTM_RUNS_DIR"])
    for day in (1, 2, 3):
        made(path, f"demo/r{day}", started=f"2026-01-0{day}T00:00:00+00:00")
    return path


@pytest.fixture
def terminal(monkeypatch):
    """Answer the question as a person does."""

    def answer(text):
        monkeypatch.setattr(print_removals, "is_terminal", lambda: True)
        monkeypatch.setattr("typer.confirm", lambda question, **_: text == "y")

    return answer


def test_without_a_terminal_and_without_yes_nothing_is_removed(lstm, root):
    code, out, err = lstm("runs", "rm", "r1")
    assert code == 2
    assert "r1" in out
    assert "--yes" in err
    assert (root / "demo" / "r1").exists()


@pytest.mark.parametrize(("typed", "is_gone"), [("y", True), ("n", False)])
def test_on_a_terminal_the_answer_decides(typed, is_gone, lstm, root, terminal):
    terminal(typed)
    assert lstm("runs", "rm", "r1")[0] == 0
    assert (root / "demo" / "r1").exists() != is_gone


def test_a_run_that_was_resumed_before_the_answer_stays(lstm, root, monkeypatch):
    run = made(root, "demo/r0", "interrupted", "2026-01-01T00:00:00+00:00")

    def resume_and_agree(question, **_):
        run.write_json(RUN, {"status": "failed", "started": "2026-01-01T00:00:00+00:00"})
        return True

    monkeypatch.setattr(print_removals, "is_terminal", lambda: True)
    monkeypatch.setattr("typer.confirm", resume_and_agree)
    code, out, err = lstm("runs", "rm", "r0", "r1", "--json")
    assert code == 0
    assert run.path.exists()
    assert not (root / "demo" / "r1").exists()
    assert "demo/r0 stays: its status" in err
    removed = json.loads(out)
    assert [run["removed"] for run in removed["runs"]] == [False, True]
    assert list(removed["untouched"]) == ["demo/r0"]


def test_the_question_names_the_runs_with_json_too(lstm, root, terminal):
    terminal("n")
    _, out, err = lstm("runs", "prune", "--keep", "1", "--json")
    assert not any(run["removed"] for run in json.loads(out)["runs"])
    assert err.splitlines()[-2:] == ["demo/r1 (broken)", "demo/r2 (broken)"]


def test_prune_removes_the_oldest(lstm, root):
    code, out, _ = lstm("runs", "prune", "demo", "--keep", "2", "--yes", "--json")
    removed = json.loads(out)
    assert code == 0
    assert [run["name"] for run in removed["runs"] if run["removed"]] == ["demo/r1"]
    assert removed["bytes"] == removed["runs"][0]["bytes"] > 0
    assert sorted(path.name for path in (root / "demo").iterdir()) == ["r2", "r3"]


def test_a_dry_run_removes_nothing_and_does_not_ask(lstm, root):
    code, out, _ = lstm("runs", "prune", "--keep", "1", "--dry-run", "--json")
    assert code == 0
    assert [run["removed"] for run in json.loads(out)["runs"]] == [False, False]
    assert len(list((root / "demo").iterdir())) == 3


def test_one_unknown_run_stops_the_removal_of_all(lstm, root):
    assert lstm("runs", "rm", "r1", "nothing", "--yes")[0] == 1
    assert (root / "demo" / "r1").exists()


def test_rename_and_list_with_sizes(lstm, root):
    code, out, _ = lstm("runs", "rename", "r1", "baseline", "--json")
    assert code == 0
    assert json.loads(out)["name"] == "demo/baseline"
    listed = json.loads(lstm("runs", "list", "--json")[1])["runs"]
    assert listed[0]["name"] == "demo/baseline"
    files = (root / "demo" / "baseline").iterdir()
    assert listed[0]["bytes"] == sum(path.stat().st_size for path in files)


def test_list_names_what_an_interrupted_removal_left(lstm, root):
    (root / "demo" / "r1").rename(root / "demo" / ".removed-01234567")
    _, out, err = lstm("runs", "list")
    assert "removed-" not in out
    assert "1 run" in err
    assert lstm("runs", "rm", "r2", "--yes")[0] == 0
    assert [path.name for path in (root / "demo").iterdir()] == ["r3"]


def test_a_rest_that_cannot_be_deleted_does_not_keep_the_named_runs(lstm, root, monkeypatch):
    (root / "imdb" / ".removed-01234567").mkdir(parents=True)
    rmtree = shutil.rmtree

    def fail_in_imdb(path):
        if path.parent.name == "imdb":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", fail_in_imdb)
    code, out, err = lstm("runs", "rm", "r1", "--yes", "--json")
    assert code == 0
    assert json.loads(out)["runs"][0]["removed"]
    assert not (root / "demo" / "r1").exists()
    assert "Cannot remove" in err
    assert ".removed-01234567" in err
