"""Texts on disk that are read like a list: what does not fit in memory."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lstm_cli.io.array_file import ArrayWriter, drop_pages, map_array, on_disk
from lstm_cli.io.temp_folder import TempFile, TempFolder

# Characters of texts that are kept in memory; with more, they go to disk.
MAX_IN_MEMORY = 32 << 20
_TEXTS, _ENDS = "texts", "ends"
_BUFFER = 1 << 20
# Texts that are read at once, and the bytes of a block with them.
_CHUNK = 1024
# Texts after which the memory of their places is given back.
_DROPPED = 1 << 18
_MAX_BLOCK = 8 << 20
# Texts in a block may have this many times their bytes between them.
_MAX_GAPS = 4


class _TextFile:
    """The bytes of texts in a folder, and where each text ends.

    Args:
        path: The folder.
        folder: Removes the folder with this object; None in another process.
    """

    def __init__(self, path: Path, folder: TempFolder | None = None) -> None:
        self.path = path
        self.ends: NDArray[np.int64] = map_array(path / _ENDS, np.int64)
        self._folder = folder
        self._derived: dict[str, NDArray[Any]] = {}
        self._stream = (path / _TEXTS).open("rb", buffering=0)

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self._stream.close()

    def read(self, rows: NDArray[np.int64]) -> Iterator[str]:
        """Yield the texts of some rows."""
        ends = self.ends[rows]
        starts = np.where(rows > 0, self.ends[np.maximum(rows - 1, 0)], 0)
        first, last = int(starts.min()), int(ends.max())
        size = last - first
        if size > min(_MAX_BLOCK, _BUFFER + _MAX_GAPS * int((ends - starts).sum())):
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                yield _decode(self._bytes(start, end))
            return
        block = self._bytes(first, last)
        for start, end in zip((starts - first).tolist(), (ends - first).tolist(), strict=True):
            yield _decode(block[start:end])

    def read_one(self, row: int) -> str:
        """Return the text of a row."""
        return _decode(self._bytes(int(self.ends[row - 1]) if row else 0, int(self.ends[row])))

    def derive(self, name: str, values: Iterable[int]) -> NDArray[np.uint64]:
        """Return a number for each text, which is computed once and kept on disk, `<uint64>[num]`.

        Args:
            name: Name of the numbers.
            values: Computes them, in the order of the texts.
        """
        if name not in self._derived:
            writer, remaining = ArrayWriter(self.path / name, np.uint64), iter(values)
            while len(part := np.fromiter(islice(remaining, _BUFFER), np.uint64)):
                writer.append(part)
            self._derived[name] = writer.finish()
        return self._derived[name]

    def _bytes(self, start: int, end: int) -> bytes:
        self._stream.seek(start)
        parts = []
        while start < end and (part := self._stream.read(end - start)):
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _decode(content: bytes) -> str:
    # JSON may have half of a surrogate pair.
    return content.decode("utf-8", "surrogatepass")


class StoredTexts(Sequence[str]):
    """A sequence of texts of which only the places are in memory.

    Slices and selections share the file. Another process reads the same file when it gets a pickled
    sequence.

    Args:
        file: All texts of a file.
        rows: The rows of the file, `<int32>[num]` or `<int64>[num]`; None for all.
    """

    def __init__(self, file: _TextFile, rows: NDArray[Any] | None = None) -> None:
        self._file = file
        self._rows = rows

    def __len__(self) -> int:
        return len(self._file.ends) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> StoredTexts: ...

    def __getitem__(self, index: int | slice) -> str | StoredTexts:
        """Return a text, or a sequence of a part of the texts."""
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        index = range(len(self))[index]
        return self._file.read_one(index if self._rows is None else int(self._rows[index]))

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _CHUNK):
            indices = np.arange(start, min(start + _CHUNK, len(self)))
            yield from self._file.read(self._places(indices))
            if start % _DROPPED == 0:
                self._drop_pages()
        self._drop_pages()

    def _drop_pages(self) -> None:
        drop_pages(self._file.ends)
        if self._rows is not None:
            drop_pages(self._rows)

    def __reduce__(self) -> Any:
        return _open, (self._file.path, self._rows)

    def take(self, indices: NDArray[np.int64]) -> StoredTexts:
        """Return the texts at these indices, in this order."""
        rows = indices if self._rows is None else self._rows[indices]
        return StoredTexts(self._file, on_disk(rows.astype(index_type(len(self._file.ends)))))

    def derive(self, name: str, function: Callable[[str], int]) -> NDArray[np.uint64]:
        """Return a function of each text; it is called once for each text of the file.

        Args:
            name: Name of the function.
            function: Returns a number of 64 bits.

        Raises:
            LstmError: The disk is full.
        """
        values = self._file.derive(name, map(function, StoredTexts(self._file)))
        if self._rows is not None:
            found: NDArray[np.uint64] = values[self._rows]
            drop_pages(values, self._rows)
            return found
        return values

    def _places(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return indices if self._rows is None else self._rows[indices].astype(np.int64)


def index_type(num: int) -> type[np.int32 | np.int64]:
    """Return the smallest type of the indices of that many rows, with a sign."""
    return np.int32 if num < 1 << 31 else np.int64


def _open(path: Path, rows: NDArray[Any] | None) -> StoredTexts:
    return StoredTexts(_TextFile(path), rows)


class JoinedTexts(Sequence[str]):
    """The texts of several sequences, one after the other.

    Args:
        parts: The sequences.

    Attributes:
        parts: Those that are not empty.
    """

    def __init__(self, parts: Sequence[Sequence[str]]) -> None:
        self.parts = [part for part in parts if len(part)]
        self._ends = np.cumsum([len(part) for part in self.parts], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.parts else 0

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        """Return a text, or a sequence of a part of the texts."""
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        index = range(len(self))[index]
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self.parts[part][index - int(self._ends[part])]

    def __iter__(self) -> Iterator[str]:
        for part in self.parts:
            yield from part

    def take(self, indices: NDArray[np.int64]) -> Sequence[str]:
        """Return the texts at these indices, in this order, of which neighbours share a part."""
        places = np.searchsorted(self._ends, indices, side="right")
        cuts = np.flatnonzero(np.diff(places)) + 1
        starts = self._ends - np.array([len(part) for part in self.parts], np.int64)
        groups = zip(np.split(indices, cuts), np.split(places, cuts), strict=True)
        return join_texts(
            *(take_texts(self.parts[at[0]], own - starts[at[0]]) for own, at in groups if len(at))
        )


Texts = StoredTexts | JoinedTexts


def is_stored(texts: object) -> bool:
    """Return whether texts are on disk, so that what is as large as they are goes there too."""
    return isinstance(texts, Texts)


def take_texts(texts: Sequence[str], indices: NDArray[np.int64]) -> Sequence[str]:
    """Return the texts at these indices: a list, or for texts on disk their places."""
    if isinstance(texts, Texts):
        return texts.take(indices)
    return [texts[i] for i in indices.tolist()]


def join_texts(*parts: Sequence[str]) -> Sequence[str]:
    """Return the texts of several sequences: a list, unless some are on disk."""
    if any(map(is_stored, parts)):
        return parts[0] if len(parts) == 1 else JoinedTexts(parts)
    return [text for part in parts for text in part]


class TextWriter:
    """Collects texts: in a list, and on disk once they are more than `MAX_IN_MEMORY` characters."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._num = self._size = 0
        self._store: _StoreWriter | None = None

    def __len__(self) -> int:
        return self._num

    def append(self, text: str) -> None:
        """Add a text.

        Raises:
            LstmError: The disk is full.
        """
        self._num += 1
        if self._store is not None:
            self._store.append(text)
            return
        self._texts.append(text)
        self._size += len(text)
        if self._size > MAX_IN_MEMORY:
            self._store = _StoreWriter()
            for each in self._texts:
                self._store.append(each)
            self._texts = []

    def finish(self) -> Sequence[str]:
        """Return all texts.

        Raises:
            LstmError: The disk is full.
        """
        return self._texts if self._store is None else self._store.finish()


def collect_texts(texts: Iterable[str]) -> Sequence[str]:
    """Return texts as `TextWriter` does.

    Raises:
        LstmError: The disk is full.
    """
    writer = TextWriter()
    for text in texts:
        writer.append(text)
    return writer.finish()


class _StoreWriter:
    """Writes texts to a new temporary folder."""

    def __init__(self) -> None:
        self._folder = TempFolder()
        self._file = TempFile(self._folder.path / _TEXTS)
        self._ends = ArrayWriter(self._folder.path / _ENDS, np.int64)
        self._waiting = array("q")
        self._end = 0

    def append(self, text: str) -> None:
        """Write a text."""
        content = text.encode("utf-8", "surrogatepass")
        self._file.write(content)
        self._end += len(content)
        self._waiting.append(self._end)
        if len(self._waiting) == _BUFFER:
            self._write_ends()

    def finish(self) -> StoredTexts:
        """Return the texts."""
        self._write_ends()
        self._ends.finish()
        self._file.close()
        return StoredTexts(_TextFile(self._folder.path, self._folder))

    def _write_ends(self) -> None:
        self._ends.append(np.frombuffer(self._waiting, np.int64))
        self._waiting = array("q")
