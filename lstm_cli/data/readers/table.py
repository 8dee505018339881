"""CSV, TSV and JSONL: records one at a time, with the lines they start at, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from lstm_cli.data.readers.columns import Record, listed, shown
from lstm_cli.data.readers.decode import Replaced, decode_lines
from lstm_cli.errors import ExitCode, LstmError

Format = Literal["csv", "tsv", "jsonl"]

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_MOST_FIELD = 2**31 - 1  # characters; csv refuses fields over 131,072 otherwise


def format_of(path: Path) -> Format:
    """The format a file's name stands for.

    Raises:
        LstmError: None of ours.
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


def iter_records(
    source: Path | BinaryIO,
    fmt: Format,
    name: str | None = None,
    replaced: Replaced | None = None,
) -> Iterator[tuple[int, Record]]:
    """Read records lazily.

    The first line of CSV and TSV names the columns; a semicolon or a tab that separates them there
    separates all fields. A field may span lines within quotes. In JSONL each line is an object.
    Blank lines are skipped, except in CSV and TSV of one column, where they are empty values.

    Args:
        source: A file, or a stream of bytes such as `sys.stdin.buffer`.
        fmt: How to read it.
        name: What to call it in errors; the path by default.
        replaced: Where to count lines with bytes that are no text, which are then replaced;
            without it they are refused.

    Yields:
        The line a record starts at, from 1, and its values by column. Values are strings in CSV and
        TSV, and whatever JSON has in JSONL.

    Raises:
        LstmError: The first malformed record, with its line.
    """
    name = name or str(source)
    if not isinstance(source, Path):
        yield from _READERS[fmt](decode_lines(source, name, replaced), name, replaced)
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise LstmError(f"Cannot read {name}: {error.strerror}.", "", ExitCode.DATA) from error
    with stream:
        yield from _READERS[fmt](decode_lines(stream, name, replaced), name, replaced)


def _read_separated(
    lines: Iterator[str], name: str, replaced: Replaced | None, delimiter: str
) -> Iterator[tuple[int, Record]]:
    """Records of CSV and TSV."""
    import csv

    csv.field_size_limit(_MOST_FIELD)
    first = next(lines, "")
    if not first.strip():
        raise LstmError(f"{name}: expected a first line that names the columns, found nothing.")
    if delimiter not in first:
        delimiter = next((other for other in ";\t," if other in first), delimiter)
    # Strict: a quote that is never closed would otherwise swallow the rest of the file in silence.
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
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
                    f"Put fields that contain {_spoken(delimiter)} between double quotes.",
                )
            yield start, {key: value for key, value in zip(columns, row, strict=True) if key}
        start = reader.line_num + 1


def _header(row: list[str], name: str) -> list[str]:
    """Column names of a first line; columns without a name are read over."""
    columns = [column.strip() for column in row]
    if any("\0" in column for column in columns):
        raise LstmError(
            f"{name}, line 1: NUL characters in the column names.",
            "If this is UTF-16 without a byte order mark, save it as UTF-8.",
        )
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise LstmError(
            f"{name}, line 1: column {listed(twice)} occurs twice among {listed(columns)}.",
            "Rename or drop the others.",
        )
    if not any(columns):
        raise LstmError(f"{name}, line 1: expected names of columns, found none.")
    return columns


def _malformed(name: str, start: int, line: int, reason: str, delimiter: str) -> LstmError:
    if reason == "unexpected end of data":
        reason = "a double quote is opened and never closed"
    elif "expected after" in reason:
        reason = f"expected {_spoken(delimiter)} or the line's end after a closing double quote"
    lines = f"line {start}" if line <= start else f"lines {start} to {line}"
    return LstmError(
        f"{name}, {lines}: {reason}.",
        "A field that begins with a double quote must end with one, and double those inside it.",
    )


def _spoken(delimiter: str) -> str:
    return {"\t": "a tab", ",": "a comma", ";": "a semicolon"}[delimiter]


def _read_csv(
    lines: Iterator[str], name: str, replaced: Replaced | None
) -> Iterator[tuple[int, Record]]:
    return _read_separated(lines, name, replaced, ",")


def _read_tsv(
    lines: Iterator[str], name: str, replaced: Replaced | None
) -> Iterator[tuple[int, Record]]:
    return _read_separated(lines, name, replaced, "\t")


def _read_jsonl(
    lines: Iterator[str], name: str, replaced: Replaced | None
) -> Iterator[tuple[int, Record]]:
    """Records of JSONL."""
    import json

    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            record = json.loads(line.rstrip("\r\n"), object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            raise LstmError(
                f"{place}, column {error.colno}: expected a JSON object, found: {error.msg}.",
                'Each line must be one object such as {"text": "...", "label": "..."}.',
            ) from error
        except (ValueError, RecursionError) as error:
            raise LstmError(f"{place}: {error}.") from error
        if not isinstance(record, dict):
            raise LstmError(
                f"{place}: expected a JSON object, found {shown(record)}.",
                'Each line must be one object such as {"text": "...", "label": "..."}.',
            )
        yield number, _strip_bom(record, place, number, replaced) if "\\u" in line else record


def _unique(pairs: list[tuple[str, Any]]) -> Record:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return record


def _strip_bom(record: Record, place: str, number: int, replaced: Replaced | None) -> Record:
    r"""Treat halves of surrogate pairs, which `\u` escapes can write, as what is no text."""
    head_and_tail = [
        key for key, value in record.items() if isinstance(value, str) and _HALF_PAIR.search(value)
    ]
    if not head_and_tail:
        return record
    if replaced is None:
        raise LstmError(
            f"{place}: {head_and_tail[0]!r} holds half of a surrogate pair, which is no text."
        )
    replaced.count(number)
    return record | {key: _HALF_PAIR.sub("\ufffd", record[key]) for key in head_and_tail}


_READERS: dict[
    Format, Callable[[Iterator[str], str, Replaced | None], Iterator[tuple[int, Record]]]
] = {"csv": _read_csv, "tsv": _read_tsv, "jsonl": _read_jsonl}
