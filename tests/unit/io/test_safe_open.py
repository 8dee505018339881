"""Safe reads: names that leave the folder, and entries that are not plain files."""

from __future__ import annotations

import os

import pytest
from fixtures_attacks import within
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.io import safe_open


def read(path, name):
    with within(5), safe_open.open_file(path, name) as file:
        return file.read()


def test_files_in_subfolders_are_read(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"deep")
    assert read(tmp_path, "a/b/c") == b"deep"
    assert safe_open.list_files(tmp_path) == ["a/b/c"]


@relaxed
@given(st.text(st.sampled_from("./\\:ab\0"), max_size=8) | st.text(max_size=8))
def test_a_valid_name_stays_in_the_folder(name):
    try:
        parts = safe_open.check_name(name)
    except ValueError:
        return
    assert "/".join(parts) == name
    joined = os.path.normpath(os.path.join("/run", name))  # noqa: PTH118
    assert joined == f"/run/{name}"


@pytest.mark.parametrize("name", ["../secret", "/secret", "in/../../secret", "in/link/secret"])
def test_a_file_outside_is_not_read(name, tmp_path):
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "run"
    (inside / "in").mkdir(parents=True)
    (inside / "in" / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"leads out|not a name inside|symbolic link"):
        read(inside, name)


def test_a_pipe_that_replaces_a_file_does_not_block(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")
    real_stat = os.stat

    def replacing_stat(path, **options):
        result = real_stat(path, **options)
        if path == "file":
            (tmp_path / "file").unlink()
            os.mkfifo(tmp_path / "file")
        return result

    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    monkeypatch.setattr(os, "stat", replacing_stat)
    with pytest.raises(ValueError, match="named pipe"):
        read(tmp_path, "file")
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208


def test_a_link_that_replaces_a_file_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").write_bytes(b"x")
    real_stat = os.stat

    def replacing_stat(path, **options):
        result = real_stat(path, **options)
        if path == "file":
            (tmp_path / "run" / "file").unlink()
            (tmp_path / "run" / "file").symlink_to(tmp_path / "secret")
        return result

    monkeypatch.setattr(os, "stat", replacing_stat)
    with pytest.raises(OSError, match="symbolic links"):
        read(tmp_path / "run", "file")


def test_file_handles_are_always_closed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "a" / "pipe")
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    for _ in range(20):
        read(tmp_path, "a/file")
        for name in ("a/pipe", "a", "a/none", "none/file", "a/file/file"):
            with pytest.raises((ValueError, OSError)):
                read(tmp_path, name)
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208


def test_a_folder_with_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_open, "_MAX_ENTRIES", 10)
    for number in range(10):
        (tmp_path / str(number)).touch()
    assert len(safe_open.list_files(tmp_path)) == 10
    (tmp_path / "one more").touch()
    with pytest.raises(ValueError, match="over 10 files"):
        safe_open.list_files(tmp_path)
