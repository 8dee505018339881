"""Files and folders that appear whole, and replace only what they may."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
from fixtures_errors import refused

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.export.staging import FOLDER_MARK, check_free, size, staged
from lstm_cli.io.atomic_write import open_atomic, write_atomic


def write_stream(path, content):
    with open_atomic(path) as file:
        file.write(content)


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_that_exists_needs_force(tmp_path):
    path = tmp_path / "a.zip"
    check_free(path, force=False)
    path.write_text("old")
    refused(check_free, path, force=False, code=ExitCode.USAGE)
    check_free(path, force=True)
    path.unlink()
    path.symlink_to("nowhere")
    refused(check_free, path, force=False, code=ExitCode.USAGE)


def test_only_a_folder_of_an_export_is_replaced(tmp_path):
    refused(check_free, tmp_path, force=True)
    (tmp_path / FOLDER_MARK).touch()
    check_free(tmp_path, force=True)


def test_an_export_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(KeyError), staged(path, force=True) as temp:
        temp.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "new" / "out"
    for content in ("one", "three"):
        with staged(path, force=True) as temp:
            temp.mkdir()
            (temp / FOLDER_MARK).touch()
            (temp / content).write_text(content)
        assert sorted(names(path)) == [FOLDER_MARK, content]
        assert size(path) == len(content)
    assert names(tmp_path / "new") == ["out"]


def test_a_folder_takes_the_place_of_a_file(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    with staged(path, force=True) as temp:
        temp.mkdir()
    assert path.is_dir()


def test_a_file_that_came_in_the_meantime_needs_force(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(LstmError, match="exists already"), staged(path, force=False) as temp:
        temp.write_text("new")
        path.write_text("of another")
    assert path.read_text() == "of another"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("write", [write_atomic, write_stream])
def test_the_error_names_the_path_that_was_wanted(tmp_path, monkeypatch, write):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "page.html"
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LstmError) as caught, staged(path, force=False) as temp:
        write(temp, b"page")
    assert caught.value.message == f"Cannot write {path}: No space left on device."
    assert "--out" in caught.value.hint
    assert names(tmp_path) == []


def test_what_a_killed_export_left_is_removed(tmp_path):
    path = tmp_path / "a[1]"
    with staged(path, force=False) as killed, staged(tmp_path / "b", force=False) as other:
        killed.mkdir()
        (killed / "model").write_text("half")
        left = shutil.copytree(killed.parent, tmp_path / ".a[1].abcd1234.part")
        with staged(path, force=False) as temp:
            temp.write_text("whole")
        assert not left.exists()
        # Those of other processes, which hold their locks, stay.
        assert killed.exists() and other.parent.exists()
        path.unlink()
        other.write_text("b")
    assert sorted(names(tmp_path)) == ["a[1]", "b"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(LstmError, match="Cannot write"),
        staged(tmp_path / "file" / "a", force=False),
    ):
        pass
