"""Finding runs by path, by name, by data set, and the newest."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from fixtures_errors import refused
from fixtures_runs import made

from lstm_cli.errors import ExitCode
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find, lock


def test_runs_root_from_argument_environment_or_default(monkeypatch):
    assert runs.runs_root(Path("given")) == Path("given")
    monkeypatch.setenv("LSTM_RUNS_DIR", "/elsewhere")
    assert runs.runs_root() == Path("/elsewhere")
    monkeypatch.delenv("LSTM_RUNS_DIR")
    assert runs.runs_root() == Path("runs")


@pytest.mark.parametrize("wanted", ["demo/one", "one", "demo", "path"])
def test_run_is_found_by_path_full_name_name_and_data_set(wanted, tmp_path):
    run = made(tmp_path, "demo/one")
    made(tmp_path, "imdb/other")
    wanted = str(run.path) if wanted == "path" else wanted
    assert find.find(tmp_path, wanted) == run


@pytest.mark.parametrize("path", [".", "../one", "plots/.."])
def test_run_given_by_a_relative_path_has_its_own_name(path, tmp_path, monkeypatch):
    run = made(tmp_path, "demo/one")
    run.file(runs.PLOTS).mkdir()
    monkeypatch.chdir(run.path)
    assert find.find(tmp_path, path).name == "demo/one"
    assert find.find_unfinished(tmp_path, path, "demo").name == "demo/one"


def test_printed_resume_command_can_be_pasted(tmp_path):
    run = made(tmp_path, "my data/run: 1", "failed", data="my data.csv")
    hint = refused(find.find, tmp_path, "run: 1").hint
    command = shlex.split(hint[hint.index("lstm ") :])
    assert command == ["lstm", "train", "my data.csv", "--resume", run.path.name]


def test_newest_finished_run_is_newest_by_start_time(tmp_path):
    made(tmp_path, "demo/z", started="2026-01-01T00:00:00+00:00")
    newest = made(tmp_path, "demo/a", started="2026-01-02T00:00:00+00:00")
    made(tmp_path, "demo/b", "running", started="2026-01-03T00:00:00+00:00")
    made(tmp_path, "imdb/c", "failed", started="2026-01-04T00:00:00+00:00")
    assert find.find(tmp_path, None) == newest
    assert find.find(tmp_path, "demo") == newest


def test_a_data_set_to_start_from_is_its_newest_language_model_or_else_classifier(tmp_path):
    made(tmp_path, "demo/old", kind="text")
    newest = made(tmp_path, "demo/new", kind="text", started="2026-01-02T00:00:00+00:00")
    made(tmp_path, "demo/stopped", "interrupted", kind="language")
    assert find.find_initial(tmp_path, "demo") == newest
    words = made(tmp_path, "demo/words", kind="language")
    assert find.find_initial(tmp_path, "demo") == words
    assert find.find_initial(tmp_path, "new") == newest
    refused(find.find_initial, tmp_path, "nothing")


def test_newest_run_can_be_limited_to_data_or_kind(tmp_path):
    old = made(tmp_path, "demo/old", data="demo", kind="text")
    later = "2026-01-02T00:00:00+00:00"
    made(tmp_path, "digits/new", data="digits", kind="image", started=later)
    assert find.find(tmp_path, None, kind="text") == old
    assert find.find(tmp_path, None, data_name="demo") == old
    assert "imdb" in refused(find.find, tmp_path, None, data_name="imdb").message


def test_name_in_two_data_sets_is_ambiguous(tmp_path):
    made(tmp_path, "demo/one")
    made(tmp_path, "imdb/one")
    error = refused(find.find, tmp_path, "one", code=ExitCode.USAGE)
    assert "demo/one" in error.message
    assert "imdb/one" in error.message
    assert find.find(tmp_path, "imdb/one").name == "imdb/one"


def test_run_with_the_name_of_a_data_set_comes_first(tmp_path):
    made(tmp_path, "demo/new", started="2026-01-02T00:00:00+00:00")
    named = made(tmp_path, "imdb/demo")
    assert find.find(tmp_path, "demo") == named


def test_missing_run_suggests_near_names(tmp_path):
    made(tmp_path, "demo/baseline")
    made(tmp_path, "imdb/other")
    assert "'baseline'" in refused(find.find, tmp_path, "basline").hint
    assert "'imdb'" in refused(find.find, tmp_path, "imbd").hint
    hint = refused(find.find, tmp_path, "xyz").hint
    assert [hint.count(name) for name in ("demo/baseline", "imdb/other")] == [1, 1]
    assert (hint.count("baseline"), hint.count("other")) == (1, 1)
    assert "lstm train" in refused(find.find, tmp_path / "none", "basline").hint


@pytest.mark.parametrize("wanted", ["", "\0", "..", "*", "a/b/c", "demo\nx", "a text " * 900])
def test_unusual_name_finds_no_run(wanted, tmp_path):
    made(tmp_path / "runs", "demo/one")
    refused(find.find, tmp_path / "runs", wanted)


def test_folder_without_run_json_is_not_a_run(tmp_path):
    (tmp_path / "folder").mkdir()
    message = refused(find.find, tmp_path, str(tmp_path / "folder")).message
    assert runs.RUN in message


def test_unfinished_runs_are_counted_when_none_is_finished(tmp_path):
    made(tmp_path, "demo/a", "failed")
    made(tmp_path, "demo/b", "running")
    assert "2" in refused(find.find, tmp_path, None).message.removesuffix(str(tmp_path))
    assert str(tmp_path / "empty") in refused(find.find, tmp_path / "empty", None).message


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_unfinished_run_is_refused(status, tmp_path):
    run = made(tmp_path, "demo/one", status)
    with lock.acquire(run.path):
        assert run.status == status
        error = refused(find.find, tmp_path, "one")
    assert status in error.message
    assert "--resume one" in error.hint


def test_running_run_without_a_process_is_interrupted(tmp_path):
    assert made(tmp_path, "demo/one", "running").status == "interrupted"


def test_finished_run_without_manifest_is_broken(tmp_path):
    run = made(tmp_path, "demo/one")
    run.file(runs.MANIFEST).unlink()
    assert run.status == "broken"
    refused(find.find, tmp_path, "one", code=ExitCode.INTEGRITY)
    refused(find.find, tmp_path, None)


DAMAGED_RUN_JSON = [
    "",
    "{",
    "[]",
    "null",
    "5",
    "\0",
    "[" * 100_000,
    '{"status": ["finished"]}',
    "{}",
]


@pytest.mark.parametrize("record", DAMAGED_RUN_JSON)
def test_run_with_damaged_run_json_is_broken_and_skipped(record, tmp_path):
    whole = made(tmp_path, "demo/whole")
    broken = made(tmp_path, "demo/broken")
    broken.file(runs.RUN).write_text(record)
    assert broken.status == "broken"
    assert find.find(tmp_path, "demo") == whole
    refused(find.find, tmp_path, "broken", code=ExitCode.INTEGRITY)


def test_all_runs_are_sorted_by_start_time(tmp_path):
    made(tmp_path, "imdb/b", started="2026-01-02T00:00:00+00:00")
    made(tmp_path, "demo/c", "failed", started="2026-01-03T00:00:00+00:00")
    made(tmp_path, "demo/a", started="2026-01-01T00:00:00+00:00")
    (tmp_path / "stray").write_text("")
    assert [run.name for run in find.all_runs(tmp_path)] == ["demo/a", "imdb/b", "demo/c"]
    assert [run.name for run in find.all_runs(tmp_path, "demo")] == ["demo/a", "demo/c"]
    assert find.all_runs(tmp_path / "none") == []
