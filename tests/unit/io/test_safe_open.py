"""Names inside a folder, and files that are no files."""

from __future__ import annotations

import os

import pytest
from fixtures_attacks import within
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.io import safe_open


def read(path, name):
    with within(5), safe_open.opened(path, name) as file:
        return file.read()


def test_a_file_is_read_at_whatever_depth(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"deep")
    assert read(tmp_path, "a/b/c") == b"deep"
    assert safe_open.names(tmp_path) == ["a/b/c"]


@relaxed
@given(st.text(st.sampled_from("./\\:ab\0"), max_size=8) | st.text(max_size=8))
def test_no_name_leads_out_of_the_folder(name):
    try:
        parts = safe_open.check_name(name)
    except ValueError:
        return
    assert "/".join(parts) == name
    joined = os.path.normpath(os.path.join("/run", name))  # noqa: PTH118  (as a path would be)
    assert joined == f"/run/{name}"


@pytest.mark.parametrize("name", ["../secret", "/secret", "in/../../secret", "in/link/secret"])
def test_a_file_outside_is_not_read(name, tmp_path):
    (tmp_path / "secret").write_text("precious")
    inside = tmp_path / "run"
    (inside / "in").mkdir(parents=True)
    (inside / "in" / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"leads out|no name inside|symbolic link"):
        read(inside, name)


def test_a_pipe_put_in_place_of_a_file_just_then_is_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")
    look = os.stat

    def exchanging(path, **options):
        found = look(path, **options)
        if path == "file":
            (tmp_path / "file").unlink()
            os.mkfifo(tmp_path / "file")
        return found

    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    monkeypatch.setattr(os, "stat", exchanging)
    with pytest.raises(ValueError, match="named pipe"):
        read(tmp_path, "file")
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208


def test_a_link_put_in_place_of_a_file_just_then_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "secret").write_bytes(b"precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").write_bytes(b"x")
    look = os.stat

    def exchanging(path, **options):
        found = look(path, **options)
        if path == "file":
            (tmp_path / "run" / "file").unlink()
            (tmp_path / "run" / "file").symlink_to(tmp_path / "secret")
        return found

    monkeypatch.setattr(os, "stat", exchanging)
    with pytest.raises(OSError, match="symbolic links"):
        read(tmp_path / "run", "file")


def test_handles_are_closed_whatever_happens(tmp_path):
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


def test_a_folder_of_very_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_open, "_MAX_ENTRIES", 10)
    for number in range(10):
        (tmp_path / str(number)).touch()
    assert len(safe_open.names(tmp_path)) == 10
    (tmp_path / "one more").touch()
    with pytest.raises(ValueError, match="over 10 files"):
        safe_open.names(tmp_path)
