"""Files of word vectors that people have: read for the words of a vocabulary, in bounded memory."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.safe_open import detect_file_type
from lstm_cli.text.vector_arrays import NpzVectors, SafetensorsVectors, VectorArrays
from lstm_cli.text.vector_lines import VectorLines
from lstm_cli.text.vectors_of_words import VectorsOfWords

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_HINT = (
    "Give vectors in the text format of word2vec, GloVe or fastText (also .gz), or .npz or "
    ".safetensors with words and vectors."
)


@dataclass(frozen=True)
class FileVectors:
    """Vectors that a file has for the words of a vocabulary.

    Attributes:
        vectors: `<float32>[vocabulary, width]`, 0 for words that the file lacks.
        is_found: Whether the file has a word, `<bool>[vocabulary]`.
        num_rows: Words of the file.
        sha256: Of the file, in hex.
        notes: What a person should know: damaged rows, repeated words, a file that is cut off.
    """

    vectors: NDArray[np.float32]
    is_found: NDArray[np.bool_]
    num_rows: int
    sha256: str
    notes: tuple[str, ...]


def check_exists(path: Path) -> None:
    """Check that there is a file of vectors.

    Raises:
        LstmError: There is none (exit code 3).
    """
    if not path.is_file():
        raise LstmError(
            f"There is no file {str(path)!r} of word vectors.",
            "Check the path after --vectors (the setting embedding.vectors_file).",
            ExitCode.DATA,
        )


def vector_width(path: Path) -> int:
    """Return the number of numbers in a vector of a file, from its beginning.

    Raises:
        LstmError: The file is missing, or not one of vectors.
    """
    with _opened(path) as content:
        return content.width


def read_vectors(path: Path, words: Sequence[str]) -> FileVectors:
    """Read the vectors of the words of a vocabulary; the other words are passed over.

    Args:
        path: A file in the text format of word2vec, GloVe or fastText, also compressed by gzip; or
            a .npz or .safetensors file. The content decides, not the name.
        words: The token of each id, beginning with `SPECIAL_TOKENS`.

    Raises:
        LstmError: The file is missing, not one of vectors, or damaged in many places.
    """
    with _opened(path) as content:
        found = VectorsOfWords(str(path), words, content.width)
        content.read_into(found)
        declared = content.num_words if isinstance(content, VectorLines) else None
    found.check()
    return FileVectors(
        found.vectors, found.is_found, found.num_rows, digest(path), tuple(_notes(found, declared))
    )


def digest(path: Path) -> str:
    """Return the SHA-256 of a file (hex).

    Raises:
        LstmError: It cannot be read (exit code 3).
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise LstmError(f"Cannot read {path}: {error.strerror}.", "", ExitCode.DATA) from error


def _notes(found: VectorsOfWords, declared: int | None) -> Iterator[str]:
    """Yield what a person should know about a file."""
    if found.num_damaged:
        yield (
            f"{found.num_damaged:,} of {found.num_rows:,} rows are damaged and passed over; the "
            f"first: {found.first_damage}."
        )
    if found.num_repeated:
        yield f"{found.num_repeated:,} words of the vocabulary come again; the first row counts."
    if declared is not None and declared != found.num_rows:
        state = "may be cut off" if declared > found.num_rows else "has more"
        yield f"Its first line says {declared:,} words, and it has {found.num_rows:,}: it {state}."


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[VectorLines | VectorArrays]:
    """Open a file of vectors by its content.

    Raises:
        LstmError: It is missing, of another kind, or damaged.
    """
    check_exists(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
            stream.seek(0)
            yield _open_content(path, stream, start)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise LstmError(f"Cannot read {path}: {reason}.", "Get it again.", ExitCode.DATA) from error


def _open_content(path: Path, stream: BinaryIO, start: bytes) -> VectorLines | VectorArrays:
    if start.startswith(_GZIP):
        return VectorLines(cast(BinaryIO, gzip.GzipFile(fileobj=stream)), str(path))
    if start.startswith(_ZIP):
        return NpzVectors(path)
    if start[8:9] == b"{" and b"\0\0" in start[:8]:
        return SafetensorsVectors(path)
    kind = detect_file_type(start)
    if kind is not None:
        raise LstmError(f"{path} is {kind}, not a file of word vectors.", _HINT)
    return VectorLines(stream, str(path))
