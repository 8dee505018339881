"""Files under local paths and URLs."""

from __future__ import annotations

import pytest

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.scale.storage import is_pattern, is_remote, join, open_storage

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def remote(tmp_path):
    fsspec.filesystem("memory").store.clear()
    return f"memory://store/{tmp_path.name}"


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path, remote):
    return str(tmp_path / "store") if request.param == "local" else remote


def test_a_store_finds_reads_and_writes(root):
    storage = open_storage(root)
    assert storage.sizes(root) == {}
    for name in ("b.csv", "sub/c.csv", "a.csv", "note.txt"):
        storage.write(join(root, name), name.encode())
    assert storage.sizes(root) == {"a.csv": 5, "b.csv": 5, "note.txt": 8, "sub/c.csv": 9}
    found = storage.find(join(root, "*.csv"))
    assert [file.path.rpartition("/")[2] for file in found] == ["a.csv", "b.csv"]
    assert [file.size for file in found] == [5, 5]
    assert len(storage.find(join(root, "note.txt"))) == 1
    assert storage.find(join(root, "none.txt")) == []
    paths = [join(root, name) for name in ("a.csv", "gone.csv")]
    assert list(storage.read(paths).values()) == [b"a.csv"]
    with storage.reading(found[1].path) as local:
        assert local.read_bytes() == b"b.csv"


def test_a_file_gets_its_content_at_the_end_of_the_block(root):
    storage, path = open_storage(root), join(root, "a.csv")
    storage.write(path, b"old")
    if is_remote(root):
        with pytest.raises(ZeroDivisionError), storage.writing(path) as local:
            local.write_bytes(b"ne")
            raise ZeroDivisionError
        assert storage.read([path]) == {path: b"old"}
    with storage.writing(path) as local:
        local.write_bytes(b"new")
    assert storage.read([path]) == {path: b"new"}


def test_a_store_without_atomic_objects_renames_at_the_end(remote, monkeypatch):
    monkeypatch.setattr("lstm_cli.scale.storage._ATOMIC", set())
    storage = open_storage(remote)
    storage.write(join(remote, "sub/a.csv"), b"new")
    assert storage.sizes(remote) == {"sub/a.csv": 3}


def test_names():
    assert is_remote("s3://bucket/a.csv") and not is_remote("file:///a.csv")
    assert not is_remote("a://b"[2:]) and not is_remote("a text: b")
    assert is_pattern("a?.csv") and is_pattern("s3://b/*.csv") and not is_pattern("a.csv")
    assert join("s3://bucket/out/", "a.csv") == "s3://bucket/out/a.csv"


@pytest.mark.parametrize(
    ("url", "code"), [("nonsense://a/b", ExitCode.USAGE), ("sftp://host/x", ExitCode.ERROR)]
)
def test_a_url_that_no_package_reads_is_an_error(url, code, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "paramiko", None)
    with pytest.raises(LstmError) as caught:
        open_storage(url)
    assert caught.value.exit_code == code
