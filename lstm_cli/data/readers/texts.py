"""Read texts without labels from a table, a file of plain lines, or a folder of text files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from lstm_cli.data.readers.columns import find_column, join_names
from lstm_cli.data.readers.decode import decode_lines
from lstm_cli.data.readers.open_rows import check_file, open_rows
from lstm_cli.data.readers.read_options import DEFAULT, ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.data.readers.table import iter_texts
from lstm_cli.data.readers.text_files import TEXT_SUFFIXES, describe_skipped, find_text_files
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths
from lstm_cli.io.text_format import pluralize
from lstm_cli.io.text_store import collect_texts

LINES_SUFFIX = ".txt"


def check_path(path: Path) -> None:
    """Check that a path is a folder, or a file of a type that `read_texts` reads.

    Raises:
        LstmError: There is no such file or folder (exit code 3), or it is not text (2).
    """
    if paths.is_folder(path):
        return
    if not paths.exists(path):
        raise LstmError(
            f"There is no file or folder {str(path)!r} of unlabeled texts.",
            "Check the path after --unlabeled (the setting data.unlabeled).",
            ExitCode.DATA,
        )
    check_file(path)


class UnlabeledFile(NamedTuple):
    """The texts of a file or folder.

    Attributes:
        texts: In the order of the file, or sorted by path.
        sha256: SHA-256 (hex) of the file, or of the folder's files and their names.
        unread: A sentence on the files that are not read; empty if there are none.
    """

    texts: Sequence[str]
    sha256: str
    unread: str = ""


def read_texts(
    path: Path,
    text_columns: Sequence[str] = (),
    options: ReadOptions = DEFAULT,
    file: Found | None = None,
) -> UnlabeledFile:
    """Read the texts of a file or folder; labels are ignored.

    A table has one text per row, a file of plain lines one per line (blank lines are skipped), a
    folder one per text file (.txt, .text or without a suffix), in subfolders too, sorted by path.
    Hidden files and folders are skipped.

    Args:
        path: A table, a file of plain lines, or a folder.
        text_columns: The columns of the texts in the labeled data. They are used if a table has
            them; otherwise the first column with a common name is.
        options: How to read it, but for the format, which its content shows.
        file: As for `open_rows`.

    Raises:
        LstmError: The path is missing or of another type, or a file is malformed.
    """
    check_path(path)
    options = replace(options, format="auto")
    if paths.is_folder(path):
        return _read_folder(path, options)
    texts = collect_texts(_file_texts(path, text_columns, options, file))
    with path.open("rb") as stream:
        return UnlabeledFile(texts, hashlib.file_digest(stream, "sha256").hexdigest())


def _file_texts(
    path: Path, text_columns: Sequence[str], options: ReadOptions, file: Found | None
) -> Iterator[str]:
    """Yield the texts of a table, or plain lines that are not blank."""
    with open_rows(path, options, found=Found(), text_columns=text_columns) as rows:
        first = next(iter(rows), None)
        is_lines = rows.found.format == "lines"
    if first is None:
        return
    if first.error is not None:
        raise first.error
    columns = ["text"] if is_lines else _find_columns(list(first.record), text_columns, path)
    for row in iter_texts(path, columns, options, file):
        if not is_lines or row.text.strip():
            yield row.text


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


def _read_folder(path: Path, options: ReadOptions) -> UnlabeledFile:
    """Read the text files of a folder and its subfolders."""
    texts: list[str] = []
    total = hashlib.sha256()
    found = find_text_files(path)
    for file in found.texts:
        content = _read_bytes(file)
        lines = decode_lines(BytesIO(content), str(file), encoding=options.encoding)
        texts.append("".join(lines).rstrip("\r\n"))
        name = file.relative_to(path).as_posix()
        digest = hashlib.sha256(content).hexdigest()
        # A file name may have invalid bytes; they are hashed unchanged.
        total.update(f"{name} {digest}\n".encode(errors="surrogateescape"))
    unread = ""
    if found.skipped:
        num = pluralize(found.skipped.total(), "file")
        unread = f"{num} in {path} are not read: {describe_skipped(found.skipped)}."
    if not texts:
        raise LstmError(
            " ".join([f"The folder {path} holds no text files.", *filter(None, [unread])]),
            "Unlabeled texts in a folder are files with one text each, with the suffix "
            f"{', '.join(TEXT_SUFFIXES)} or none.",
        )
    return UnlabeledFile(texts, total.hexdigest(), unread)


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LstmError(f"Cannot read {file}: {error.strerror}.", "", ExitCode.DATA) from error
