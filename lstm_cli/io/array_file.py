"""Arrays on disk: written in parts, then mapped into memory."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Sequence
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
    mapped = np.memmap(path, dtype, "r")
    handle = os.open(path, os.O_RDONLY)
    weakref.finalize(mapped, os.close, handle)
    mapped.handle = handle  # type: ignore[attr-defined]
    # As a plain array: a slice of a `memmap` takes several times as long.
    return np.asarray(mapped)


def read_slices(
    array: NDArray[Any], starts: Sequence[int], stops: Sequence[int]
) -> list[NDArray[Any]]:
    """Return slices of the rows of an array.

    Those of a file are read from it. Used as an array, it is mapped in pieces of up to a megabyte,
    and with places far from each other the whole file would soon count as memory.

    Args:
        array: Contiguous, `[rows, ...]`; in memory, or mapped from a file.
        starts: First row of each slice.
        stops: End of each slice.
    """
    contents = _read(array, starts, stops)
    if contents is None:
        return [array[start:stop] for start, stop in zip(starts, stops, strict=True)]
    shape = (-1, *array.shape[1:])
    return [np.frombuffer(content, array.dtype).reshape(shape) for content in contents]


def read_rows(array: NDArray[Any], rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Return some rows of an array, read as `read_slices` does."""
    starts = rows.tolist()
    contents = _read(array, starts, [row + 1 for row in starts])
    found: NDArray[Any] = (
        array[rows]
        if contents is None
        else np.frombuffer(b"".join(contents), array.dtype).reshape(len(rows), *array.shape[1:])
    )
    return found


def _read(array: NDArray[Any], starts: Sequence[int], stops: Sequence[int]) -> list[bytes] | None:
    """Read slices of an array from the file of `map_array`; None if it has none.

    Windows cannot read at a place, so None is returned there too.
    """
    base = _mapped(array)
    handle = getattr(base, "handle", None)
    if handle is None or not hasattr(os, "pread"):
        return None
    first, size = array.ctypes.data - base.ctypes.data, array.strides[0]
    return [
        os.pread(handle, (stop - start) * size, first + start * size)
        for start, stop in zip(starts, stops, strict=True)
    ]


def _mapped(array: NDArray[Any]) -> Any:
    """Return the mapped file that an array is a part of; None for an array in memory."""
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    return base


def drop_pages(*arrays: NDArray[Any]) -> None:
    """Give back the memory of arrays that are mapped from files; it is read again when it is used.

    The system would do so only when memory is short, and count it as used until then.

    Args:
        arrays: Those in memory are left alone.
    """
    for array in arrays:
        pages = getattr(_mapped(array), "_mmap", None)
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
