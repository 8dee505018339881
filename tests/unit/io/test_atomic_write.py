"""Atomic writes: a file holds the old content or the new one."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest
from fixtures_errors import refused

from lstm_cli.cli.data_curve import _check_names
from lstm_cli.errors import LstmError
from lstm_cli.io import atomic_write
from lstm_cli.io.atomic_write import check_writable, open_atomic, write_atomic
from lstm_cli.render.html import check_page_path


def write_stream(path, content):
    """Write byte by byte."""
    with open_atomic(path) as file:
        for byte in content:
            file.write(bytes([byte]))


@pytest.fixture(params=[write_atomic, write_stream])
def write(request):
    return request.param


def test_file_is_replaced_and_readable_by_others(tmp_path, write):
    path = tmp_path / "new" / "file"
    write(path, b"old")
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_file_system_without_folder_sync_is_accepted(number, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", _sync_of(stat.S_ISDIR, number))
    write_atomic(tmp_path / "new" / "a", b"whole")
    assert (tmp_path / "new" / "a").read_bytes() == b"whole"
    atomic_write.remove(tmp_path / "new" / "a")
    assert not (tmp_path / "new" / "a").exists()


@pytest.mark.parametrize(
    ("kind", "number"), [(stat.S_ISREG, errno.EINVAL), (stat.S_ISDIR, errno.EIO)]
)
def test_failed_sync_of_content_is_an_error(kind, number, tmp_path, monkeypatch):
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
def test_full_disk_keeps_old_content_and_no_temporary_file(where, tmp_path, monkeypatch, write):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os if where == "fsync" else Path, where, full)
        error = refused(write, path, b"new")
    assert error.message == f"Cannot write {path}: No space left on device."
    assert error.hint == "Free disk space, or name another file."
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_interrupted_write_keeps_old_content(tmp_path, monkeypatch, write):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", interrupted)
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_unwritable_path_is_named(tmp_path, write):
    (tmp_path / "file").write_text("")
    error = refused(write, tmp_path / "file" / "below", b"")
    assert ("below" in error.message, error.hint) == (True, "Name another file.")


def test_a_disk_that_takes_no_files_is_known_before_the_work(tmp_path, monkeypatch):
    path = tmp_path / "new" / "page.html"
    checks = (check_writable, check_page_path, lambda path: _check_names([path.with_name("a.csv")]))
    for check in checks:
        check(path)
    assert not any(tmp_path.iterdir())

    def read_only(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    for check in checks:
        error = refused(check, path)
        assert ("Read-only" in error.message, error.hint) == (True, "Name another file.")


def test_a_block_that_fails_keeps_old_content(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(KeyError), open_atomic(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["folder", "full disk"])
def test_what_cannot_be_written_is_known_in_the_block(tmp_path, kind):
    path = tmp_path / "new" if kind == "folder" else Path("/dev/full")
    (tmp_path / "new").mkdir()
    with pytest.raises(LstmError, match="Cannot write"), open_atomic(path):
        pytest.fail("nothing can be written")


def test_content_is_synced_before_the_rename(tmp_path, monkeypatch, write):
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda *a: (order.append("replace"), replace(*a))[1])
    write(tmp_path / "file", b"x")
    assert order == ["fsync", "replace", "fsync"]
