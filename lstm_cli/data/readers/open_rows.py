"""Open a file or a pipe as rows: the one way from bytes to rows, whatever the format is.

Bytes are decompressed (`compression`), checked for what they are (`content`, `detect`), decoded
(`decode`), and read as rows (`separated`, `json_rows`, `fasttext`, `columnar`), lazily, in bounded
memory.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from lstm_cli.data.readers import fasttext
from lstm_cli.data.readers.columnar import open_columnar
from lstm_cli.data.readers.columns import Record
from lstm_cli.data.readers.compression import unpack
from lstm_cli.data.readers.content import check_readable, columnar_format
from lstm_cli.data.readers.decode import (
    HEAD_SIZE,
    Ends,
    ReplacementCounter,
    decode_head,
    decode_lines,
    find_encoding,
)
from lstm_cli.data.readers.detect import text_format
from lstm_cli.data.readers.json_rows import iter_json_lines, iter_json_objects
from lstm_cli.data.readers.read_options import AUTO, DEFAULT, ReadOptions
from lstm_cli.data.readers.row import FORMAT_NAMES, Found, Row, Rows
from lstm_cli.data.readers.separated import read_separated
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths


def check_file(path: Path) -> None:
    """Refuse a file that cannot be a table by its first bytes: a workbook, an image, a pipe.

    Raises:
        LstmError: It is one (exit code 2), or it cannot be read (3).
    """
    status = paths.status(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        raise LstmError(
            f"{path} is not a plain file. It is read more than once.",
            "Save what comes out of it as a file.",
            ExitCode.USAGE,
        )
    with _open(path, str(path)) as stream:
        _, head = unpack(stream, str(path), Found())
        if columnar_format(head) is None:
            check_readable(head, str(path), is_forced=True)


def iter_records(
    source: Path | BinaryIO,
    options: ReadOptions = DEFAULT,
    name: str | None = None,
    counter: ReplacementCounter | None = None,
    found: Found | None = None,
) -> Iterator[tuple[int, Record]]:
    """Read records lazily.

    Args:
        source: As for `open_rows`.
        options: As for `open_rows`.
        name: As for `open_rows`.
        counter: As for `open_rows`.
        found: As for `open_rows`.

    Yields:
        The line at which a record starts, counted from 1, and its values by column.

    Raises:
        LstmError: A record is malformed; the error names its line.
    """
    with open_rows(source, options, name, counter, found) as rows:
        for line, record, error in rows:
            if error is not None:
                raise error
            yield line, record


@contextlib.contextmanager
def open_rows(
    source: Path | BinaryIO,
    options: ReadOptions = DEFAULT,
    name: str | None = None,
    counter: ReplacementCounter | None = None,
    found: Found | None = None,
    text_columns: Sequence[str] = (),
) -> Iterator[Rows]:
    """Open a table for the duration of a block.

    Its content says how it is compressed, which format and encoding it has, and what separates the
    fields, where `options` do not. The first line of CSV and TSV names the columns. A quoted field
    may span lines. In JSONL, each line is an object. Blank lines are skipped, except in CSV and TSV
    with one column, where they are empty values.

    Args:
        source: A file, or a stream of bytes such as `sys.stdin.buffer`.
        options: How to read it; by default as its content and its name say.
        name: The name of the source, for errors; the path by default.
        counter: Counts the lines with invalid bytes, which are then replaced. Without it, invalid
            bytes are an error.
        found: Gets how the file is read, also while its rows are. Without it, the encoding of a
            line is never guessed, because the guess could not be reported.
        text_columns: Columns that show that a text is a table, beside those with usual names.

    Raises:
        LstmError: The file cannot be read, is not a table, or its first line names no columns.
    """
    name = name or str(source)
    may_guess = found is not None
    found = Found() if found is None else found
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(_open(source, name)) if isinstance(source, Path) else source
        stream, head = unpack(stream, name, found)
        columnar = columnar_format(head)
        if columnar is not None and options.format in (AUTO, columnar):
            found.format = columnar
            yield stack.enter_context(open_columnar(stream, columnar, name, found))
            return
        check_readable(head, name, options.format != AUTO or options.encoding != AUTO)
        text = decode_head(head, find_encoding(head, options.encoding))
        found.format = text_format(text, name, options, text_columns)
        lines = decode_lines(
            stream, name, counter, options.encoding, found, _ends(found.format), may_guess
        )
        yield _read_text(lines, text, name, options, counter, found)


def _open(path: Path, name: str) -> BinaryIO:
    """Open a file.

    Raises:
        LstmError: It cannot be read (exit code 3).
    """
    try:
        return path.open("rb", HEAD_SIZE)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LstmError(f"Cannot read {name}: {reason}.", "", ExitCode.DATA) from error


def _ends(format_: str) -> Ends:
    """Return what ends a line in a format."""
    return {"lines": "newline", "json": "newline_or_block"}.get(format_, "any")  # type: ignore[return-value]


def _read_text(
    lines: Iterator[str],
    head: str,
    name: str,
    options: ReadOptions,
    counter: ReplacementCounter | None,
    found: Found,
) -> Rows:
    """Return the rows of a text in a known format."""
    match found.format:
        case "csv" | "tsv":
            usual = "," if found.format == "csv" else "\t"
            return read_separated(lines, head, name, options, usual, found)
        case "jsonl":
            return Rows(None, iter_json_lines(lines, name, counter), found)
        case "json":
            return Rows(None, iter_json_objects(lines, name, counter), found)
        case "fasttext":
            return Rows(fasttext.COLUMNS, fasttext.iter_fasttext(lines), found)
        case "lines":
            rows = (Row(i, {"text": line.rstrip("\r\n")}) for i, line in enumerate(lines, 1))
            return Rows(("text",), rows, found)
    raise LstmError(
        f"{name} is not {FORMAT_NAMES[found.format]}.",
        "Leave out --input-format, or name its format.",
        ExitCode.USAGE,
    )
