"""Texts on disk: they are read like a list, and their files are removed whatever happens."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
from itertools import count

import numpy as np
import pytest

from lstm_cli.errors import LstmError
from lstm_cli.io import array_file, temp_folder, text_store
from lstm_cli.io.array_file import ArrayFolder
from lstm_cli.io.paths import cache_dir
from lstm_cli.io.temp_folder import TempFolder
from lstm_cli.io.text_store import JoinedTexts, StoredTexts, TextWriter, join_texts, take_texts

TEXTS = ["ein Film", "", "\ud800 half", "映画 😀", "a\nb\0c", "last"]
_KILLED = """
import os, signal
from lstm_cli.io.temp_folder import TempFolder
folder = TempFolder()
(folder.path / "texts").write_bytes(b"x")
print(folder.path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def folders():
    """The temporary folders that there are."""
    root = cache_dir() / "temp"
    return [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []


@pytest.fixture
def store(monkeypatch):
    """A function that writes texts to disk."""
    monkeypatch.setattr(text_store, "MAX_IN_MEMORY", -1)
    monkeypatch.setattr(text_store, "_CHUNK", 2)
    return text_store.collect_texts


def test_stored_texts_are_read_like_a_list(store):
    texts = store(TEXTS)
    assert isinstance(texts, StoredTexts)
    assert list(texts) == TEXTS
    assert [texts[i] for i in range(-6, 6)] == [*TEXTS, *TEXTS]
    assert list(texts[4:1:-2]) == TEXTS[4:1:-2]
    assert list(texts[1:][2:4]) == TEXTS[3:5]
    assert list(store([])) == []
    with pytest.raises(IndexError):
        texts[6]


def test_a_selection_has_its_texts_in_its_order(store):
    texts, rng = store(TEXTS), np.random.default_rng(0)
    joined = join_texts(texts[:2], TEXTS[2:5], texts[5:])
    assert isinstance(joined, JoinedTexts)
    for size in range(20):
        indices = rng.integers(0, len(TEXTS), size)
        expected = [TEXTS[i] for i in indices]
        assert list(take_texts(texts, indices)) == expected
        assert list(take_texts(joined, indices)) == expected
        assert [joined[int(i)] for i in indices] == expected


def test_texts_far_apart_are_read_one_by_one(store, monkeypatch):
    monkeypatch.setattr(text_store, "_BUFFER", 9)
    texts = store(["a", "b" * 100, "c"])
    read = []
    monkeypatch.setattr(
        text_store._TextFile, "_bytes", lambda _, start, end: read.append((start, end)) or b""
    )
    list(take_texts(texts, np.array([0, 2])))
    assert read == [(0, 1), (101, 102)]


def test_texts_go_to_disk_when_there_are_many(monkeypatch):
    monkeypatch.setattr(text_store, "MAX_IN_MEMORY", 10)
    assert text_store.collect_texts(["12345", "67890"]) == ["12345", "67890"]
    texts = text_store.collect_texts(["12345", "67890", "", "x"])
    assert isinstance(texts, StoredTexts)
    assert list(texts) == ["12345", "67890", "", "x"]


def test_texts_in_memory_stay_lists():
    assert join_texts(["a"], ["b"]) == ["a", "b"]
    assert take_texts(["a", "b"], np.array([1, 1])) == ["b", "b"]


def test_another_process_reads_the_same_file(store):
    texts = store(TEXTS)[1:5]
    assert list(pickle.loads(pickle.dumps(texts))) == TEXTS[1:5]
    assert len(pickle.dumps(store(["x" * 10_000] * 10))) < 1000


def test_a_function_of_the_texts_is_called_once_for_each(store):
    texts, numbers = store(TEXTS), count(5)
    assert texts[2:4].derive("n", lambda _: next(numbers)).tolist() == [7, 8]
    assert texts.derive("n", lambda _: next(numbers)).tolist() == [5, 6, 7, 8, 9, 10]


def test_files_are_removed_with_the_texts(store):
    texts = store(TEXTS)
    part = texts[3:]
    del texts
    gc.collect()
    assert (len(folders()), list(part)) == (1, TEXTS[3:])
    del part
    gc.collect()
    assert folders() == []


def test_what_a_killed_process_left_is_removed_by_the_next():
    command = [sys.executable, "-c", _KILLED]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [str(path) for path in folders()] == [killed.stdout.strip()]
    mine = TempFolder()
    assert folders() == [mine.path]
    other = TempFolder()  # A living process keeps its folder.
    assert sorted(folders()) == sorted([mine.path, other.path])


def test_without_a_cache_folder_the_systems_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(temp_folder.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = TempFolder()
    assert folder.path.parent.parent == tmp_path
    monkeypatch.setattr(temp_folder.tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(LstmError, match="Cannot write temporary files"):
        TempFolder()


def test_a_folder_of_another_user_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(temp_folder, "_roots", lambda: iter([(tmp_path, True)]))
    TempFolder().remove()
    monkeypatch.setattr(temp_folder.os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(LstmError, match="another user"):
        TempFolder()


class FullDisk:
    """A file on a full disk, in place of another one."""

    def __init__(self, file):
        file.close()

    def write(self, _):
        """Fail."""
        raise OSError(28, "No space left on device")

    def close(self):
        """Do nothing."""


def test_a_full_disk_is_an_error_that_says_where(store, monkeypatch, tmp_path):
    writer = TextWriter()
    writer.append("x")
    writer._store._file._file = FullDisk(writer._store._file._file)
    with pytest.raises(LstmError, match="No space left") as error:
        writer.append("y")
    assert str(cache_dir() / "temp") in error.value.message
    assert "LSTM_CACHE_DIR" in error.value.hint
    arrays = array_file.ArrayWriter(tmp_path / "x", np.int8)
    arrays._file._file = FullDisk(arrays._file._file)
    with pytest.raises(LstmError, match="No space left"):
        arrays.append(np.zeros(1))


def test_mapped_arrays_outlive_their_folder():
    folder = ArrayFolder()
    for values in ([1, 2], [], [3]):
        folder.append("a", np.array(values, np.uint16))
    folder.append("b", np.zeros(0, np.int64))
    arrays = folder.finish()
    assert folders() == []
    assert (arrays["a"].tolist(), arrays["a"].dtype) == ([1, 2, 3], np.uint16)
    assert (arrays["b"].tolist(), arrays["b"].dtype) == ([], np.int64)


def test_dropped_pages_are_read_again():
    folder = ArrayFolder()
    folder.append("a", np.arange(100_000))
    (array,) = folder.finish().values()
    array_file.drop_pages(array, array[5:], np.zeros(3))
    assert array[99_999] == 99_999
    assert isinstance(array.base, np.memmap)


@pytest.mark.parametrize("shape", [(60,), (20, 3)])
def test_rows_of_a_file_are_read_as_those_in_memory(shape, monkeypatch):
    monkeypatch.setattr(array_file, "_LARGE", 1)
    values = np.arange(60, dtype=np.int16).reshape(shape)
    stored = array_file.on_disk(values)
    assert array_file._mapped(stored) is not None
    for one, other in ((values, stored), (values[7:], stored[7:])):
        slices = [array_file.read_slices(each, [3, 0, 4], [5, 1, 4]) for each in (one, other)]
        assert [each.tolist() for each in slices[0]] == [each.tolist() for each in slices[1]]
        rows = [array_file.read_rows(each, np.array([9, 0, 9])) for each in (one, other)]
        assert rows[0].tolist() == rows[1].tolist()
        assert rows[0].dtype == rows[1].dtype
