"""Tables: rows of any format, read lazily in bounded memory; their texts and labels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lstm_cli.data.readers import fasttext
from lstm_cli.data.readers.columnar import open_columnar
from lstm_cli.data.readers.columns import Record, find_column, label_of, text_of
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
from lstm_cli.data.readers.label_sets import (
    LIST,
    NONE,
    LabelSet,
    check_columns,
    label_value,
    resolve_format,
    set_columns,
    split_values,
)
from lstm_cli.data.readers.read_options import AUTO, DEFAULT, ReadOptions
from lstm_cli.data.readers.row import FORMAT_NAMES, Found, Row, Rows
from lstm_cli.data.readers.separated import read_separated
from lstm_cli.errors import ExitCode, LstmError

__all__ = ["LabeledTexts", "Row", "Rows", "iter_records", "open_rows", "read_label_columns"]
__all__ += ["read_table"]


@dataclass(frozen=True)
class LabeledTexts:
    """Texts as read, with the names of their labels.

    Attributes:
        texts: In the order of the file, or sorted by class folder and file name.
        labels: The label of each text; several ones as they are written.
        columns: The text and the label column; empty for a folder.
        label_sets: The labels of each text; None if each text has exactly one label.
        multi_label: How several labels of a text are written: `none`, `list` or a separator.
        lines: The line at which each record starts, counted from 1; empty for a folder.
    """

    texts: list[str]
    labels: list[str]
    columns: tuple[str, ...] = ()
    lines: Sequence[int] = ()
    label_sets: list[LabelSet] | None = None
    multi_label: str = NONE


def read_table(
    path: Path,
    text_column: str | None,
    label_column: str | None,
    multi_label: str = NONE,
    options: ReadOptions = DEFAULT,
) -> LabeledTexts:
    """Read the texts and labels of a table.

    Args:
        path: A .csv, .tsv or .jsonl file.
        text_column: The column of the texts, if the user named it.
        label_column: The column of the labels, if the user named it.
        multi_label: The setting `data.multi_label`.
        options: How to read the file.

    Raises:
        LstmError: The file is malformed, has no rows, or a column was not found.
    """
    texts: list[str] = []
    values: list[str | LabelSet] = []
    lines: list[int] = []
    columns: tuple[str, str] | None = None
    interned: dict[str | LabelSet, str | LabelSet] = {}
    read_label = label_of if multi_label == NONE else label_value
    first_empty: tuple[Record, str] | None = None
    for line, record in iter_records(path, options):
        if columns is None:
            columns = (
                find_column(list(record), "text", text_column, str(path)),
                find_column(list(record), "label", label_column, str(path)),
            )
            if columns[0] == columns[1]:
                raise LstmError(f"{path}: column {columns[0]!r} cannot be both text and label.")
        place = f"{path}, line {line}"
        texts.append(text_of(record, columns[0], place))
        value = read_label(record, columns[1], place)
        if not value and first_empty is None:
            first_empty = record, place
        values.append(interned.setdefault(value, value))  # one object per class, not per row
        lines.append(line)
    if columns is None:
        raise LstmError(f"{path} holds no rows.", "It needs a text and a label in each.")
    multi_label = resolve_format(multi_label, values)
    if multi_label == NONE and first_empty is not None:
        label_of(first_empty[0], columns[1], first_empty[1])  # raises the error of an empty label
    labels, sets = split_values(values, multi_label)
    return LabeledTexts(texts, labels, columns, lines, sets, multi_label)


def read_label_columns(
    path: Path,
    text_column: str | None,
    label_columns: tuple[str, ...],
    options: ReadOptions = DEFAULT,
) -> LabeledTexts:
    """Read the texts of a table, and labels from columns of 0 and 1.

    Args:
        path: A .csv, .tsv or .jsonl file.
        text_column: The column of the texts, if the user named it.
        label_columns: The columns, each named as its label.
        options: How to read the file.

    Raises:
        LstmError: The file is malformed, has no rows, or a column was not found.
    """
    texts: list[str] = []
    sets: list[LabelSet] = []
    lines: list[int] = []
    column: str | None = None
    for line, record in iter_records(path, options):
        if column is None:
            column = find_column(list(record), "text", text_column, str(path))
            check_columns(list(record), (*label_columns, column), str(path))
        place = f"{path}, line {line}"
        texts.append(text_of(record, column, place))
        sets.append(set_columns(record, label_columns, place))
        lines.append(line)
    if column is None:
        raise LstmError(f"{path} holds no rows.", "It needs a text and labels in each.")
    labels = [", ".join(labels) for labels in sets]
    return LabeledTexts(texts, labels, (column, *label_columns), lines, sets, LIST)


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
        found: Gets how the file is read, also while its rows are.
        text_columns: Columns that show that a text is a table, beside those with usual names.

    Raises:
        LstmError: The file cannot be read, is not a table, or its first line names no columns.
    """
    name = name or str(source)
    found = Found() if found is None else found
    with contextlib.ExitStack() as stack:
        stream = source
        if isinstance(source, Path):
            try:
                stream = stack.enter_context(source.open("rb", HEAD_SIZE))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise LstmError(f"Cannot read {name}: {reason}.", "", ExitCode.DATA) from error
        assert not isinstance(stream, Path)
        opener = _open_stream(stream, options, name, counter, found, text_columns)
        yield stack.enter_context(opener)


@contextlib.contextmanager
def _open_stream(
    stream: BinaryIO,
    options: ReadOptions,
    name: str,
    counter: ReplacementCounter | None,
    found: Found,
    text_columns: Sequence[str],
) -> Iterator[Rows]:
    """Open a stream as `open_rows` does."""
    stream, head = unpack(stream, name, found)
    columnar = columnar_format(head)
    if columnar is not None and options.format in (AUTO, columnar):
        found.format = columnar
        with open_columnar(stream, columnar, name, found) as rows:
            yield rows
        return
    check_readable(head, name, options.format != AUTO or options.encoding != AUTO)
    text = decode_head(head, find_encoding(head, options.encoding))
    found.format = text_format(text, name, options, text_columns)
    ends: Ends = "any"
    if found.format in ("json", "lines"):
        ends = "newline" if found.format == "lines" else "newline_or_block"
    lines = decode_lines(stream, name, counter, options.encoding, found, ends)
    yield _read_text(lines, text, name, options, counter, found)


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
