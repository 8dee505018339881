"""CSV, TSV and JSONL: read records one at a time, with their line numbers, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from lstm_cli.data.readers.columns import (
    Record,
    find_column,
    format_value,
    join_names,
    text_of,
)
from lstm_cli.data.readers.csv_rows import CsvRows
from lstm_cli.data.readers.decode import ReplacementCounter, decode_lines
from lstm_cli.data.readers.label_sets import (
    LIST,
    NONE,
    LabelSet,
    check_columns,
    label_value,
    merge_labels,
    require_labels,
    resolve_format,
    set_columns,
    split_values,
)
from lstm_cli.data.readers.labels import Merge
from lstm_cli.errors import ExitCode, LstmError

Format = Literal["csv", "tsv", "jsonl"]
# Takes lines, the name of the source for errors, and a counter of lines with invalid bytes.
_Reader = Callable[[Iterator[str], str, ReplacementCounter | None], Iterator[tuple[int, Record]]]

_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_FIELD = 2**31 - 1  # characters; the default of the csv module is 131,072
_JSONL_HINT = 'Each line must be one object such as {"text": "...", "label": "..."}.'


def format_of(path: Path) -> Format:
    """Return the format that the suffix of a file stands for.

    Raises:
        LstmError: The suffix is not .csv, .tsv or .jsonl.
    """
    suffix = path.suffix.lower().removeprefix(".")
    for known in get_args(Format):
        if suffix == known:
            return known  # type: ignore[no-any-return]
    raise LstmError(
        f"{path} does not end in .csv, .tsv or .jsonl.",
        "Rename or convert it.",
        ExitCode.USAGE,
    )


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
        merges: Spellings of labels that count as another one.
    """

    texts: list[str]
    labels: list[str]
    columns: tuple[str, ...] = ()
    lines: Sequence[int] = ()
    label_sets: list[LabelSet] | None = None
    multi_label: str = NONE
    merges: tuple[Merge, ...] = ()


def read_table(
    path: Path, text_column: str | None, label_column: str | None, multi_label: str = NONE
) -> LabeledTexts:
    """Read the texts and labels of a table.

    Args:
        path: A .csv, .tsv or .jsonl file.
        text_column: The column of the texts, if the user named it.
        label_column: The column of the labels, if the user named it.
        multi_label: The setting `data.multi_label`.

    Raises:
        LstmError: The file is malformed, has no rows, or a column was not found.
    """
    texts: list[str] = []
    values: list[str | LabelSet] = []
    lines: list[int] = []
    columns: tuple[str, str] | None = None
    interned: dict[str | LabelSet, str | LabelSet] = {}
    for line, record in iter_records(path, format_of(path)):
        if columns is None:
            columns = (
                find_column(list(record), "text", text_column, str(path)),
                find_column(list(record), "label", label_column, str(path)),
            )
            if columns[0] == columns[1]:
                raise LstmError(f"{path}: column {columns[0]!r} cannot be both text and label.")
        place = f"{path}, line {line}"
        texts.append(text_of(record, columns[0], place))
        value = label_value(record, columns[1], place)
        values.append(interned.setdefault(value, value))  # one object per class, not per row
        lines.append(line)
    if columns is None:
        raise LstmError(f"{path} holds no rows.", "It needs a text and a label in each.")
    multi_label = resolve_format(multi_label, values)
    if multi_label == NONE:
        require_labels(values, columns[1], lambda i: f"{path}, line {lines[i]}")
    labels, sets, merges = merge_labels(*split_values(values, multi_label))
    return LabeledTexts(texts, labels, columns, lines, sets, multi_label, merges)


def read_label_columns(
    path: Path, text_column: str | None, label_columns: tuple[str, ...]
) -> LabeledTexts:
    """Read the texts of a table, and labels from columns of 0 and 1.

    Args:
        path: A .csv, .tsv or .jsonl file.
        text_column: The column of the texts, if the user named it.
        label_columns: The columns, each named as its label.

    Raises:
        LstmError: The file is malformed, has no rows, or a column was not found.
    """
    texts: list[str] = []
    sets: list[LabelSet] = []
    lines: list[int] = []
    column: str | None = None
    for line, record in iter_records(path, format_of(path)):
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
    fmt: Format,
    name: str | None = None,
    counter: ReplacementCounter | None = None,
) -> Iterator[tuple[int, Record]]:
    """Read records lazily.

    The first line of CSV and TSV names the columns. If a semicolon or a tab separates them there,
    it separates all fields. A quoted field may span lines. In JSONL, each line is an object. Blank
    lines are skipped, except in CSV and TSV with one column, where they are empty values.

    Args:
        source: A file, or a stream of bytes such as `sys.stdin.buffer`.
        fmt: The format.
        name: The name of the source, for errors; the path by default.
        counter: Counts the lines with invalid bytes, which are then replaced. Without it, invalid
            bytes are an error.

    Yields:
        The line at which a record starts, counted from 1, and its values by column. Values are
        strings in CSV and TSV, and any JSON value in JSONL.

    Raises:
        LstmError: A record is malformed; the error names its line.
    """
    name = name or str(source)
    if not isinstance(source, Path):
        yield from _READERS[fmt](decode_lines(source, name, counter), name, counter)
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise LstmError(f"Cannot read {name}: {error.strerror}.", "", ExitCode.DATA) from error
    with stream:
        yield from _READERS[fmt](decode_lines(stream, name, counter), name, counter)


def _read_separated(
    lines: Iterator[str], name: str, counter: ReplacementCounter | None, delimiter: str
) -> Iterator[tuple[int, Record]]:
    """Read the records of CSV and TSV."""
    import csv

    csv.field_size_limit(_MAX_FIELD)
    first = next(lines, "")
    if not first.strip():
        raise LstmError(f"{name}: expected a first line that names the columns, found nothing.")
    if delimiter not in first:
        delimiter = next((char for char in ";\t," if char in first), delimiter)
    reader = CsvRows(chain([first], lines), delimiter)
    columns: list[str] | None = None
    start = 1
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _malformed(name, start, reader.line_num, str(error), delimiter) from error
        if columns is None:
            columns = _header(row, name)
        elif row or len(columns) == 1:
            row = row or [""]
            if len(row) != len(columns):
                raise LstmError(
                    f"{name}, line {start}: expected {len(columns)} fields as in the first line, "
                    f"found {len(row)}.",
                    f"Put fields that contain {_delimiter_name(delimiter)} between double quotes.",
                )
            yield start, {key: value for key, value in zip(columns, row, strict=True) if key}
        start = reader.line_num + 1


def _header(row: list[str], name: str) -> list[str]:
    """Return the column names in the first line; columns without a name are ignored."""
    columns = [column.strip() for column in row]
    if any("\0" in column for column in columns):
        raise LstmError(
            f"{name}, line 1: NUL characters in the column names.",
            "If this is UTF-16 without a byte order mark, save it as UTF-8.",
        )
    duplicates = sorted({column for column in columns if column and columns.count(column) > 1})
    if duplicates:
        found = f"column {join_names(duplicates)} occurs twice among {join_names(columns)}"
        raise LstmError(
            f"{name}, line 1: {found}.",
            "Rename or drop the duplicates.",
        )
    if not any(columns):
        raise LstmError(f"{name}, line 1: expected column names, found none.")
    return columns


def _malformed(name: str, start: int, line: int, reason: str, delimiter: str) -> LstmError:
    if reason == "unexpected end of data":
        reason = "a double quote is opened and never closed"
    elif "expected after" in reason:
        reason = (
            f"expected {_delimiter_name(delimiter)} or the line's end after a closing double quote"
        )
    lines = f"line {start}" if line <= start else f"lines {start} to {line}"
    return LstmError(
        f"{name}, {lines}: {reason}.",
        "A field that begins with a double quote must end with one; write a quote inside it twice.",
    )


def _delimiter_name(delimiter: str) -> str:
    return {"\t": "a tab", ",": "a comma", ";": "a semicolon"}[delimiter]


def _read_jsonl(
    lines: Iterator[str], name: str, counter: ReplacementCounter | None
) -> Iterator[tuple[int, Record]]:
    """Read the records of JSONL."""
    import json

    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            record = json.loads(line.rstrip("\r\n"), object_pairs_hook=_without_duplicates)
        except json.JSONDecodeError as error:
            found = f"{place}, column {error.colno}: expected a JSON object, found: {error.msg}."
            raise LstmError(found, _JSONL_HINT) from error
        except (ValueError, RecursionError) as error:
            raise LstmError(f"{place}: {error}.") from error
        if not isinstance(record, dict):
            found = f"{place}: expected a JSON object, found {format_value(record)}."
            raise LstmError(found, _JSONL_HINT)
        if "\\u" in line:
            record = _replace_surrogates(record, place, number, counter)
        yield number, record


def _without_duplicates(pairs: list[tuple[str, Any]]) -> Record:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return record


def _replace_surrogates(
    record: Record, place: str, number: int, counter: ReplacementCounter | None
) -> Record:
    r"""Treat half of a surrogate pair, which a `\u` escape can write, like invalid bytes."""
    damaged_keys = [
        key for key, value in record.items() if isinstance(value, str) and _SURROGATE.search(value)
    ]
    if not damaged_keys:
        return record
    if counter is None:
        raise LstmError(
            f"{place}: {damaged_keys[0]!r} holds half of a surrogate pair, which is not text."
        )
    counter.add(number)
    return record | {key: _SURROGATE.sub("\ufffd", record[key]) for key in damaged_keys}


_READERS: dict[Format, _Reader] = {
    "csv": partial(_read_separated, delimiter=","),
    "tsv": partial(_read_separated, delimiter="\t"),
    "jsonl": _read_jsonl,
}
