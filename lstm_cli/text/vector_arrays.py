"""Word vectors as arrays: .npz and .safetensors files of words and rows, read in pieces."""

from __future__ import annotations

import contextlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.text.vector_lines import MAX_WIDTH, MIN_WIDTH
from lstm_cli.text.vectors_of_words import VectorsOfWords

# Bytes of a piece of an array.
_PIECE = 8 << 20
_MAX_WORD_BYTES = 4096
_NPZ_HINT = "Save it with: np.savez(FILE, words=np.array(words), vectors=vectors)"
_SAFETENSORS_HINT = (
    "It needs a tensor of vectors, and the words as a JSON list in its metadata under 'words', or "
    "as a tensor 'words' of bytes (uint8): UTF-8 with a line for each word."
)


class VectorArrays(Protocol):
    """Words and their vectors as arrays.

    Attributes:
        width: Numbers of a vector.
    """

    width: int

    def read_into(self, found: VectorsOfWords) -> None:
        """Take the vectors of the words that are wanted."""


@dataclass(frozen=True)
class _Header:
    """Name, shape and dtype of an array in a .npz file."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def is_words(self) -> bool:
        return len(self.shape) == 1 and self.dtype.kind in "US"

    @property
    def is_vectors(self) -> bool:
        return len(self.shape) == 2 and self.dtype.kind == "f"


class NpzVectors:
    """A .npz file with a list of words and an array of their vectors.

    Nothing is unpickled.

    Args:
        path: The file.

    Raises:
        LstmError: It has other arrays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as archive:
            found = [_header(archive, name) for name in archive.namelist()]
        words = [each for each in found if each.is_words]
        vectors = [each for each in found if each.is_vectors]
        if len(words) != 1 or len(vectors) != 1:
            names = ", ".join(f"{e.name[:40]} {e.dtype} {list(e.shape)}" for e in found[:8])
            raise LstmError(
                f"{path} has not one list of words and one array of vectors; found "
                f"{names or 'nothing'}.",
                _NPZ_HINT,
            )
        self._words, self._vectors = words[0], vectors[0]
        self.width = _checked_shapes(path, words[0].shape[0], vectors[0].shape)
        if self._words.dtype.itemsize > _MAX_WORD_BYTES:
            raise LstmError(f"{path} has words of over {_MAX_WORD_BYTES:,} bytes.", _NPZ_HINT)

    def read_into(self, found: VectorsOfWords) -> None:
        """Read both arrays side by side, and take the vectors of the words that are wanted.

        Raises:
            LstmError: The file is damaged.
        """
        row_bytes = self.width * self._vectors.dtype.itemsize
        num = _rows_of_piece(max(row_bytes, self._words.dtype.itemsize))
        with (
            self._opened() as archive,
            archive.open(self._words.name) as words,
            archive.open(self._vectors.name) as vectors,
        ):
            for stream in (words, vectors):
                _read_header(stream)
            for start in range(0, self._words.shape[0], num):
                rows = min(num, self._words.shape[0] - start)
                names = _read_rows(words, self._words.dtype, (rows,))
                values = _read_rows(vectors, self._vectors.dtype, (rows, self.width))
                _take(map(_text, names.tolist()), values, start, found)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        """Open the archive.

        Raises:
            LstmError: It cannot be read.
        """
        damage = (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, SyntaxError)
        try:
            with zipfile.ZipFile(self._path) as archive:
                yield archive
        except (*damage, zipfile.BadZipFile, zlib.error, OverflowError, TypeError) as error:
            raise LstmError(
                f"{self._path} is not a .npz file of word vectors ({str(error)[:150]}).",
                _NPZ_HINT,
            ) from None


def _text(word: str | bytes) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else word


def _header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(name) as stream:
        shape, dtype = _read_header(stream)
    return _Header(name, shape, dtype)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an array.

    Raises:
        ValueError: It is not an array, one of Python objects, or one of columns.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise ValueError("it has pickled Python objects")
    if is_fortran and len(shape) > 1:
        raise ValueError("its array is stored by columns; save np.ascontiguousarray(vectors)")
    return shape, dtype


def _read_rows(stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Read the next rows of an array.

    Raises:
        ValueError: The file ends before.
    """
    num_bytes = dtype.itemsize * int(np.prod(shape))
    content = stream.read(num_bytes)
    if len(content) < num_bytes:
        raise ValueError("it is cut off")
    return np.frombuffer(content, dtype).reshape(shape)


class SafetensorsVectors:
    """A .safetensors file with a tensor of vectors, and the words of its rows.

    Args:
        path: The file.

    Raises:
        LstmError: It has other tensors, or no words.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            names = [n for n, shape in shapes.items() if len(shape) == 2]
            if len(names) != 1:
                raise LstmError(
                    f"{path} has {len(names)} tensors with two dimensions, expected one.",
                    _SAFETENSORS_HINT,
                )
            self._name = names[0]
            dtype = slices[self._name].get_dtype()
            if dtype not in ("F16", "F32", "F64"):
                raise ValueError(f"its vectors are of type {dtype}, expected F16, F32 or F64")
            self._words = _words(file, "words" in shapes, path)
        self.width = _checked_shapes(path, len(self._words), shapes[self._name])

    def read_into(self, found: VectorsOfWords) -> None:
        """Read the rows, and take the vectors of the words that are wanted.

        Raises:
            LstmError: The file is damaged.
        """
        num = _rows_of_piece(4 * self.width)
        with self._opened() as file:
            rows = file.get_slice(self._name)
            for start in range(0, len(self._words), num):
                stop = min(start + num, len(self._words))
                _take(iter(self._words[start:stop]), np.asarray(rows[start:stop]), start, found)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        """Open the file.

        Raises:
            LstmError: It cannot be read.
        """
        import safetensors

        damage = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
        try:
            with safetensors.safe_open(self._path, framework="np") as file:
                yield file
        except (safetensors.SafetensorError, OverflowError, *damage) as error:
            raise LstmError(
                f"{self._path} is not a .safetensors file of word vectors ({str(error)[:150]}).",
                _SAFETENSORS_HINT,
            ) from None


def _words(file: Any, has_tensor: bool, path: Path) -> list[str]:
    """Return the words of the rows.

    Raises:
        LstmError: There are none.
        ValueError: They are not a list of texts.
    """
    if has_tensor:
        content = np.asarray(file.get_tensor("words"))
        if content.ndim != 1 or content.dtype != np.uint8:
            raise ValueError("its tensor 'words' is not one of bytes")
        return content.tobytes().decode().removesuffix("\n").split("\n")
    metadata = file.metadata() or {}
    if "words" not in metadata:
        raise LstmError(f"{path} has no words.", _SAFETENSORS_HINT)
    words = json.loads(metadata["words"])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("'words' in its metadata is not a list of texts")
    return words


def _checked_shapes(path: Path, num_words: int, shape: tuple[int, ...]) -> int:
    """Return the width of the vectors.

    Raises:
        LstmError: There are more or fewer vectors than words, or they are too wide.
    """
    num, width = shape
    if num != num_words:
        raise LstmError(
            f"{path} has {num_words:,} words and {num:,} vectors.",
            "Save a vector for each word, in the same order.",
        )
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise LstmError(
            f"{path} has vectors of {width:,} numbers, expected {MIN_WIDTH:,} to {MAX_WIDTH:,}.",
            "Check that it is a file of word vectors.",
        )
    return width


def _rows_of_piece(row_bytes: int) -> int:
    return max(1, _PIECE // row_bytes)


def _take(words: Iterator[str], values: NDArray[Any], start: int, found: VectorsOfWords) -> None:
    """Take the vectors of a piece."""
    for index, word in enumerate(words):
        place = found.find(word)
        if place is not None:
            found.put(place, values[index], f"row {start + index + 1:,}")
