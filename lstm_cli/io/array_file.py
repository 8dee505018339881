"""Arrays on disk: written in parts, then mapped into memory."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lstm_cli.io.temp_folder import TempFile, TempFolder

# Bytes of an array that is moved to disk.
_LARGE = 4 << 20


class ArrayWriter:
    """Writes an array of one dimension to a file.

    Args:
        path: A new file in a temporary folder.
        dtype: Type of the values.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._file = TempFile(path)

    def append(self, values: NDArray[Any]) -> None:
        """Write values, which are cast to the type of the file.

        Raises:
            LstmError: The disk is full.
        """
        self._file.write(np.ascontiguousarray(values, self._dtype).data)

    def finish(self) -> NDArray[Any]:
        """Return all values: pages of the file, read when they are used.

        Raises:
            LstmError: The disk is full.
        """
        self._file.close()
        return map_array(self._file.path, self._dtype)


def map_array(path: Path, dtype: DTypeLike) -> NDArray[Any]:
    """Map a file of `ArrayWriter` into memory, for reading."""
    if not path.stat().st_size:
        return np.zeros(0, dtype)  # An empty file cannot be mapped.
    # As a plain array: a slice of a `memmap` takes several times as long.
    return np.asarray(np.memmap(path, dtype, "r"))


def drop_pages(*arrays: NDArray[Any]) -> None:
    """Give back the memory of arrays that are mapped from files; it is read again when it is used.

    The system would do so only when memory is short, and count it as used until then.

    Args:
        arrays: Those in memory are left alone.
    """
    for array in arrays:
        base: Any = array
        while base is not None and not isinstance(base, np.memmap):
            base = getattr(base, "base", None)
        pages = getattr(base, "_mmap", None)
        if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)


def on_disk(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array that is mapped from a file if it is large; a small one unchanged.

    Raises:
        LstmError: The disk is full.
    """
    if values.nbytes < _LARGE:
        return values
    arrays = ArrayFolder()
    arrays.append("values", values)
    return arrays.finish()["values"].reshape(values.shape)


class ArrayFolder:
    """A temporary folder with arrays. Arrays that are mapped outlive it."""

    def __init__(self) -> None:
        self.folder = TempFolder()
        self._writers: dict[str, ArrayWriter] = {}

    def append(self, name: str, values: NDArray[Any]) -> None:
        """Write values, `[num]`, to the array of this name; its type is that of the first ones.

        Raises:
            LstmError: The disk is full.
        """
        if name not in self._writers:
            self._writers[name] = ArrayWriter(self.folder.path / name, values.dtype)
        self._writers[name].append(values)

    def finish(self) -> dict[str, NDArray[Any]]:
        """Return the arrays, and remove the folder: on disk they live as long as they are used."""
        arrays = {name: writer.finish() for name, writer in self._writers.items()}
        self.folder.remove()
        return arrays
