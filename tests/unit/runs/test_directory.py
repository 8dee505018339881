"""The run directory: written whole or not at all, found by name, distrusted when changed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from fixtures_errors import refused
from fixtures_properties import relaxed
from fixtures_runs import made, make_text_run
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import atomic_write
from lstm_cli.io.atomic_write import write_atomic
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir

# Making


def test_a_new_run_is_an_empty_folder_under_its_data_set(tmp_path):
    run = runs.create(tmp_path / "runs", "demo", "first")
    assert run.path == tmp_path / "runs" / "demo" / "first"
    assert run.name == "demo/first"
    assert list(run.path.iterdir()) == []


def test_runs_without_a_name_never_share_a_folder(tmp_path, monkeypatch):
    drawn = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(runs.secrets, "token_hex", lambda _: next(drawn))
    monkeypatch.setattr(runs, "datetime", SimpleNamespace(now=lambda: datetime(2026, 1, 1)))
    names = [runs.create(tmp_path, "demo").path.name for _ in range(2)]
    assert names == ["20260101-000000-aaaa", "20260101-000000-bbbb"]


HIDDEN_OR_ELSEWHERE = ["", " ", ".", "..", ".hidden", "a/b", "../up", "/abs", "a\0b"]
NOT_PRINTED_AS_THEY_ARE = ["a\nb", "a\x1b[2Jb", "-x", " a", "a ", "\u202ea", "\ud800"]


@pytest.mark.parametrize("name", HIDDEN_OR_ELSEWHERE + NOT_PRINTED_AS_THEY_ARE)
def test_a_name_is_a_plain_word(name, tmp_path):
    error = refused(runs.create, tmp_path, "demo", name, code=ExitCode.USAGE)
    assert "--name" in error.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["wide", "lr=0.01", "run 2", "größer", "a..b", "[x]"])
def test_ordinary_names_are_taken(name, tmp_path):
    assert runs.create(tmp_path, "demo", name).path.is_dir()


def test_a_name_that_is_taken_is_refused_and_its_run_left_alone(tmp_path):
    run = runs.create(tmp_path, "demo", "first")
    run.write_text("notes", "mine")
    assert "already a run" in refused(runs.create, tmp_path, "demo", "first").message
    assert run.read_text("notes") == "mine"


@pytest.mark.parametrize("at", ["", "demo"])
def test_a_folder_of_runs_that_cannot_be_written_is_named(at, tmp_path):
    root = tmp_path / "runs"
    blocked = root / at
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("a file where a folder should be")
    error = refused(runs.create, root, "demo", "first")
    assert str(root) in error.message
    assert "--runs-dir" in error.hint


def test_a_name_longer_than_the_file_system_takes_is_refused(tmp_path):
    assert "Cannot write" in refused(runs.create, tmp_path, "demo", "x" * 300).message


def test_the_folder_of_runs_is_given_or_in_the_environment_or_here(monkeypatch):
    assert runs.runs_root(Path("given")) == Path("given")
    monkeypatch.setenv("LSTM_RUNS_DIR", "/elsewhere")
    assert runs.runs_root() == Path("/elsewhere")
    monkeypatch.delenv("LSTM_RUNS_DIR")
    assert runs.runs_root() == Path("runs")


# Finding


@pytest.mark.parametrize("wanted", ["demo/one", "one", "demo", "path"])
def test_a_run_is_found_by_path_by_both_names_by_its_own_and_by_its_data_set(wanted, tmp_path):
    run = made(tmp_path, "demo/one")
    made(tmp_path, "imdb/other")
    wanted = str(run.path) if wanted == "path" else wanted
    assert find.find(tmp_path, wanted) == run


def test_the_newest_finished_run_is_taken_by_when_it_started_and_not_by_name(tmp_path):
    made(tmp_path, "demo/z", started="2026-01-01T00:00:00+00:00")
    newest = made(tmp_path, "demo/a", started="2026-01-02T00:00:00+00:00")
    made(tmp_path, "demo/b", "running", started="2026-01-03T00:00:00+00:00")
    made(tmp_path, "imdb/c", "failed", started="2026-01-04T00:00:00+00:00")
    assert find.find(tmp_path, None) == newest
    assert find.find(tmp_path, "demo") == newest


def test_the_newest_run_of_some_data_or_kind_is_taken(tmp_path):
    old = made(tmp_path, "demo/old", data="demo", kind="text")
    later = "2026-01-02T00:00:00+00:00"
    made(tmp_path, "digits/new", data="digits", kind="image", started=later)
    assert find.find(tmp_path, None, kind="text") == old
    assert find.find(tmp_path, None, data_name="demo") == old
    message = refused(find.find, tmp_path, None, data_name="imdb").message
    assert "no finished run on imdb" in message


def test_a_name_in_two_data_sets_needs_the_data_set(tmp_path):
    made(tmp_path, "demo/one")
    made(tmp_path, "imdb/one")
    error = refused(find.find, tmp_path, "one", code=ExitCode.USAGE)
    assert "demo/one" in error.message
    assert "imdb/one" in error.message
    assert find.find(tmp_path, "imdb/one").name == "imdb/one"


def test_a_run_named_like_a_data_set_is_itself(tmp_path):
    made(tmp_path, "demo/new", started="2026-01-02T00:00:00+00:00")
    named = made(tmp_path, "imdb/demo")
    assert find.find(tmp_path, "demo") == named


def test_a_missing_run_is_answered_with_the_nearest(tmp_path):
    made(tmp_path, "demo/baseline")
    error = refused(find.find, tmp_path, "basline")
    assert "'baseline'" in error.hint
    assert "train" in refused(find.find, tmp_path / "none", "basline").hint


@pytest.mark.parametrize("wanted", ["", "\0", "..", "*", "a/b/c", "demo\nx", "a text " * 900])
def test_a_strange_name_finds_no_run(wanted, tmp_path):
    made(tmp_path / "runs", "demo/one")
    refused(find.find, tmp_path / "runs", wanted)


def test_a_folder_without_a_record_is_no_run(tmp_path):
    (tmp_path / "folder").mkdir()
    message = refused(find.find, tmp_path, str(tmp_path / "folder")).message
    assert "no run directory" in message


def test_where_nothing_finished_the_unfinished_are_counted(tmp_path):
    made(tmp_path, "demo/a", "failed")
    made(tmp_path, "demo/b", "running")
    assert "2 did not finish" in refused(find.find, tmp_path, None).message
    assert "no finished run" in refused(find.find, tmp_path / "empty", None).message


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_a_run_that_did_not_finish_is_not_opened(status, tmp_path):
    run = made(tmp_path, "demo/one", status)
    with runs.locked(run):
        assert run.status == status
        error = refused(find.find, tmp_path, "one")
    assert status in error.message
    assert "--resume one" in error.hint


def test_a_run_whose_process_is_gone_was_interrupted(tmp_path):
    assert made(tmp_path, "demo/one", "running").status == "interrupted"


def test_a_run_without_its_manifest_never_counts_as_finished(tmp_path):
    run = made(tmp_path, "demo/one")
    run.file(runs.MANIFEST).unlink()
    assert run.status == "broken"
    refused(find.find, tmp_path, "one", code=ExitCode.INTEGRITY)
    refused(find.find, tmp_path, None)


DAMAGED_RECORDS = [
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


@pytest.mark.parametrize("record", DAMAGED_RECORDS)
def test_a_run_whose_record_is_damaged_is_broken_and_hides_no_other(record, tmp_path):
    whole = made(tmp_path, "demo/whole")
    broken = made(tmp_path, "demo/broken")
    broken.file(runs.RUN).write_text(record)
    assert broken.status == "broken"
    assert find.find(tmp_path, "demo") == whole
    refused(find.find, tmp_path, "broken", code=ExitCode.INTEGRITY)


def test_all_runs_are_listed_the_oldest_first(tmp_path):
    made(tmp_path, "imdb/b", started="2026-01-02T00:00:00+00:00")
    made(tmp_path, "demo/c", "failed", started="2026-01-03T00:00:00+00:00")
    made(tmp_path, "demo/a", started="2026-01-01T00:00:00+00:00")
    (tmp_path / "stray").write_text("")
    assert [run.name for run in find.all_runs(tmp_path)] == ["demo/a", "imdb/b", "demo/c"]
    assert [run.name for run in find.all_runs(tmp_path, "demo")] == ["demo/a", "demo/c"]
    assert find.all_runs(tmp_path / "none") == []


# Reading


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"nonsense"])
def test_json_that_is_none_is_a_damaged_run(content, tmp_path):
    run = made(tmp_path, "demo/one")
    run.file("some.json").write_bytes(content)
    error = refused(run.read_json, "some.json", code=ExitCode.INTEGRITY)
    assert "some.json" in error.message


def test_a_missing_or_monstrous_file_is_a_damaged_run(tmp_path, monkeypatch):
    run = made(tmp_path, "demo/one")
    refused(run.read_text, "gone.json", code=ExitCode.INTEGRITY)
    monkeypatch.setitem(runs._MAX_BYTES, runs.RUN, 10)
    assert "larger" in refused(run.read_text, runs.RUN, code=ExitCode.INTEGRITY).message


@pytest.mark.parametrize("labels", ["{}", "null", '"ab"', "[1, 2]", '["a"]', '["a", "a"]', "[[]]"])
def test_labels_are_two_or_more_different_names(labels, tmp_path):
    run = made(tmp_path, "demo/one")
    run.write_text(runs.LABELS, labels)
    refused(run.labels, code=ExitCode.INTEGRITY)


def test_the_record_of_a_run_is_a_mapping(tmp_path):
    run = made(tmp_path, "demo/one")
    run.write_text(runs.RUN, "[]")
    refused(runs.read_record, run, code=ExitCode.INTEGRITY)


@relaxed
@given(st.recursive(st.none() | st.text(st.characters(exclude_categories=())), st.lists))
def test_any_json_value_is_read_as_it_was_written(tmp_path_factory, value):
    run = RunDir(tmp_path_factory.mktemp("run"))
    run.write_json("value.json", value)
    assert run.read_json("value.json") == value


# Writing


def test_a_file_is_replaced_whole_and_readable_by_others(tmp_path):
    path = tmp_path / "new" / "file"
    runs.write_atomic(path, b"old")
    runs.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_folders_will_do(number, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", _sync_of(stat.S_ISDIR, number))
    write_atomic(tmp_path / "new" / "a", b"whole")
    assert (tmp_path / "new" / "a").read_bytes() == b"whole"
    atomic_write.remove(tmp_path / "new" / "a")
    assert not (tmp_path / "new" / "a").exists()


@pytest.mark.parametrize(
    ("kind", "number"), [(stat.S_ISREG, errno.EINVAL), (stat.S_ISDIR, errno.EIO)]
)
def test_content_that_was_not_synced_is_an_error(kind, number, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", _sync_of(kind, number))
    with pytest.raises(LstmError, match=os.strerror(number)):
        write_atomic(tmp_path / "a", b"whole")


def _sync_of(kind, number):
    """An fsync that fails for files of one kind."""
    real = os.fsync

    def sync(handle):
        if kind(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        real(handle)

    return sync


@pytest.mark.parametrize("where", ["fsync", "replace", "chmod"])
def test_a_full_disk_leaves_the_old_content_and_no_litter(where, tmp_path, monkeypatch):
    path = tmp_path / "file"
    runs.write_atomic(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os if where == "fsync" else Path, where, full)
        error = refused(runs.write_atomic, path, b"new")
    assert "No space left on device" in error.message
    assert str(path) in error.message
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_interruption_while_writing_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file"
    runs.write_atomic(path, b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", interrupted)
        runs.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    error = refused(runs.write_atomic, tmp_path / "file" / "below", b"")
    assert "below" in error.message


def test_content_reaches_the_disk_before_the_name_does(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda *a: (order.append("replace"), replace(*a))[1])
    runs.write_atomic(tmp_path / "file", b"x")
    assert order == ["fsync", "replace", "fsync"]


# The manifest


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "one")


@pytest.fixture
def whole(template, tmp_path):
    """A finished run of this test's own."""
    return RunDir(Path(shutil.copytree(template.path, tmp_path / "demo" / "one")))


FILES = [runs.CONFIG, runs.LABELS, runs.MODEL, runs.GOLDEN, runs.TOKENIZER, runs.RUN, runs.WEIGHTS]


def test_a_run_as_it_was_written_passes(whole):
    whole.verify(FILES)


def test_the_manifest_leaves_out_what_changes_after_training(whole):
    for name in ("checkpoints/1.npz", "reports/demo-test/report.json", "tensorboard/events"):
        whole.write_bytes(name, b"x")
    whole.write_bytes("plots/curves.png", b"x")
    whole.write_bytes(".hidden", b"x")
    whole.write_manifest()
    listed = set(whole.read_json(runs.MANIFEST)["files"])
    assert listed == {*FILES, "plots/curves.png"}


def _remove(path):
    path.unlink()


def _lengthen(path):
    path.write_bytes(path.read_bytes() + b" ")


def _change_one_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _link_elsewhere(path):
    copy = path.parent.parent / path.name
    path.rename(copy)
    path.symlink_to(copy)


def _become_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "change", [_remove, _lengthen, _change_one_byte, _link_elsewhere, _become_a_folder]
)
def test_a_changed_file_fails_the_integrity_check(change, name, whole):
    change(whole.file(name))
    error = refused(whole.verify, FILES, code=ExitCode.INTEGRITY)
    assert name in error.message


def test_a_file_of_another_size_is_told_by_its_size(whole):
    _lengthen(whole.file(runs.WEIGHTS))
    message = refused(whole.verify, FILES, code=ExitCode.INTEGRITY).message
    assert "bytes, expected" in message


def test_a_file_the_manifest_does_not_list_fails_the_integrity_check(whole):
    whole.write_bytes("extra.bin", b"x")
    assert "extra.bin" in refused(whole.verify, ["extra.bin"], code=ExitCode.INTEGRITY).message


@pytest.mark.parametrize(
    "manifest", ["", "[]", "{}", '{"files": []}', '{"files": {"config.yaml": 5}}', "[" * 100_000]
)
def test_a_damaged_manifest_fails_the_integrity_check(manifest, whole):
    whole.file(runs.MANIFEST).write_text(manifest)
    refused(whole.verify, FILES, code=ExitCode.INTEGRITY)


def test_a_line_of_json_ends_where_it_should():
    line = runs.json_line({"a": "é\n"})
    assert line == '{"a": "é\\n"}\n'
    assert json.loads(line) == {"a": "é\n"}
