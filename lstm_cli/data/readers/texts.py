"""Read texts without labels from a table, a file of plain lines, or a folder of .txt files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from lstm_cli.data.readers.columns import find_column, join_names
from lstm_cli.data.readers.decode import decode_lines
from lstm_cli.data.readers.table import iter_records, iter_texts
from lstm_cli.data.registry import TABLE_SUFFIXES
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths

LINES_SUFFIX = ".txt"


def check_path(path: Path) -> None:
    """Check that a path is a folder, or a file of a type that `read_texts` reads.

    Raises:
        LstmError: There is no such file or folder (exit code 3), or the type is another (2).
    """
    if paths.is_folder(path):
        return
    if not paths.exists(path):
        raise LstmError(
            f"There is no file or folder {str(path)!r} of unlabeled texts.",
            "Check the path after --unlabeled (the setting data.unlabeled).",
            ExitCode.DATA,
        )
    if path.suffix.lower() not in (*TABLE_SUFFIXES, LINES_SUFFIX):
        raise LstmError(
            f"{str(path)!r} is not one of the file types {', '.join(TABLE_SUFFIXES)} or "
            f"{LINES_SUFFIX}.",
            "Give unlabeled texts as a table, as .txt with one text per line, or as a folder of "
            ".txt files with one text each.",
            ExitCode.USAGE,
        )


def read_texts(path: Path, text_columns: Sequence[str] = ()) -> tuple[list[str], str]:
    """Read the texts of a file or folder; labels are ignored.

    A table has one text per row, a .txt file one per line (blank lines are skipped), a folder one
    per .txt file, in subfolders too, sorted by path. Hidden files and folders are skipped.

    Args:
        path: A .csv, .tsv, .jsonl or .txt file, or a folder.
        text_columns: The columns of the texts in the labeled data. They are used if a table has
            them; otherwise the first column with a common name is.

    Returns:
        The texts, and the SHA-256 (hex) of the file, or of the folder's files and their names.

    Raises:
        LstmError: The path is missing or of another type, or a file is malformed or not UTF-8.
    """
    check_path(path)
    if paths.is_folder(path):
        return _read_folder(path)
    if path.suffix.lower() == LINES_SUFFIX:
        content = _read_bytes(path)
        texts = [line.rstrip("\r\n") for line in decode_lines(BytesIO(content), str(path))]
        return [text for text in texts if text.strip()], hashlib.sha256(content).hexdigest()
    texts = list(_table_texts(path, text_columns))
    with path.open("rb") as stream:
        return texts, hashlib.file_digest(stream, "sha256").hexdigest()


def _table_texts(path: Path, text_columns: Sequence[str]) -> Iterator[str]:
    """Yield the texts of a table."""
    first = next(iter_records(path), None)
    if first is not None:
        columns = _find_columns(list(first[1]), text_columns, path)
        yield from (row.text for row in iter_texts(path, columns))


def _find_columns(columns: list[str], text_columns: Sequence[str], path: Path) -> Sequence[str]:
    if set(text_columns) & set(columns):
        return text_columns
    try:
        return [find_column(columns, "text", None, str(path))]
    except LstmError as error:
        like = f", as in the labeled data ({join_names(text_columns)})" if text_columns else ""
        raise LstmError(
            f"{path} has no column of texts{like}; found {join_names(columns)}.",
            "Rename its column of texts, or save the texts as .txt with one per line.",
        ) from error


def _read_folder(path: Path) -> tuple[list[str], str]:
    """Read the .txt files of a folder and its subfolders."""
    texts: list[str] = []
    total = hashlib.sha256()
    for file in _text_files(path):
        content = _read_bytes(file)
        texts.append("".join(decode_lines(BytesIO(content), str(file))).rstrip("\r\n"))
        name = file.relative_to(path).as_posix()
        digest = hashlib.sha256(content).hexdigest()
        # A file name may have invalid bytes; they are hashed unchanged.
        total.update(f"{name} {digest}\n".encode(errors="surrogateescape"))
    if not texts:
        raise LstmError(
            f"The folder {path} holds no .txt files.",
            "Unlabeled texts in a folder are .txt files, one text in each.",
        )
    return texts, total.hexdigest()


def _text_files(folder: Path) -> Iterator[Path]:
    """Yield the .txt files of a folder, then those of its subfolders."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise LstmError(f"Cannot read {folder}: {error.strerror}.", "", ExitCode.DATA) from error
    for entry in entries:
        if entry.suffix.lower() == LINES_SUFFIX and entry.is_file():
            yield entry
    for entry in entries:
        # A link can lead back to the folder it is in.
        if entry.is_dir() and not entry.is_symlink():
            yield from _text_files(entry)


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LstmError(f"Cannot read {file}: {error.strerror}.", "", ExitCode.DATA) from error
