"""Find the text and the label column, and read their values from a record."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, Literal

from lstm_cli.data.readers.labels import written_label
from lstm_cli.errors import LstmError, suggest
from lstm_cli.io.text_format import visible

Role = Literal["text", "label"]
Record = dict[str, Any]
_MAX_NAME, _MAX_VALUE = 30, 40

COMMON_NAMES: dict[Role, tuple[str, ...]] = {
    "text": ("text", "review", "sentence", "content", "body", "comment", "message"),
    "label": ("label", "sentiment", "class", "category", "target"),
}
_JSON_NAMES = {
    bool: "true or false",
    float: "a fraction",
    type(None): "null",
    list: "a list",
    dict: "an object",
    bytes: "bytes",
}


def no_such_column(name: str, column: str, columns: Sequence[str]) -> LstmError:
    """Return the error for a column that a table does not have.

    Args:
        name: The table, or a line of it.
        column: The column that the user named.
        columns: The columns that it has.
    """
    return LstmError(
        f"{name} has no column {column!r}, only {join_names(columns)}.",
        suggest(column, list(columns), []),
    )


def find_column(columns: Sequence[str], role: Role, requested: str | None, name: str) -> str:
    """Find the column of the texts or of the labels.

    Args:
        columns: The columns of the table.
        role: Which of the two to find.
        requested: The column that the user named, if any. Upper and lower case must match.
        name: The name of the file, for errors.

    Returns:
        The requested column, or the first that has one of `COMMON_NAMES`, case ignored.

    Raises:
        LstmError: There is no such column.
    """
    if requested is not None:
        if requested in columns:
            return requested
        raise no_such_column(name, requested, columns)
    by_lowercase = {column.lower(): column for column in reversed(columns)}
    for common in COMMON_NAMES[role]:
        if common in by_lowercase:
            return by_lowercase[common]
    value = shlex.quote(columns[0]) if len(columns) == 1 else "NAME"
    raise LstmError(
        f"{name} has no column named {role}; found {join_names(columns)}.",
        f"Name the column with --{role}-column {value}, or rename it. If the first line is a row, "
        f"give --no-header --{role}-column NUMBER.",
    )


def text_of(record: Record, column: str, place: str) -> str:
    """Return the text of a record; it may be empty.

    Args:
        record: From `iter_records`.
        column: From `find_column`.
        place: File and line, for errors.

    Raises:
        LstmError: The value is missing or not a string.
    """
    value = _value(record, column, place)
    if isinstance(value, str):
        return value
    raise LstmError(
        f"{place}: expected a string in {column!r}, found {format_value(value)}.",
        'Write the text as a string between double quotes; "" is an empty text.',
    )


def label_of(record: Record, column: str, place: str) -> str:
    """Return the label of a record as it is written.

    Args:
        record: From `iter_records`.
        column: From `find_column`.
        place: File and line, for errors.

    Raises:
        LstmError: The value is missing or empty, a list, an object or bytes.
    """
    value = _value(record, column, place)
    if label := written_label(value):
        return label
    if value is not None and not isinstance(value, str | float):
        raise LstmError(
            f"{place}: expected a label in {column!r}, a string, a number, true or false; found "
            f"{format_value(value)}.",
            "If a text may have several labels, write each as a list of strings and give "
            "--multi-label list."
            if isinstance(value, list)
            else "Write the label as a string.",
        )
    raise missing_label(column, place)


def missing_label(column: str, place: str, num: int = 1, num_rows: int = 0) -> LstmError:
    """Return the error for rows without a label.

    Args:
        column: The column of the labels.
        place: File and line of the first such row.
        num: How many there are.
        num_rows: How many rows the table has, if that is known.
    """
    others = f" {num:,} of {num_rows:,} rows have none." if num > 1 else ""
    return LstmError(
        f"{place}: expected a label in {column!r}, found nothing.{others}",
        "Add the label. Or move the rows without one to a file of their own and give it with "
        "--unlabeled FILE: training learns words from it.",
    )


def _value(record: Record, column: str, place: str) -> object:
    if column not in record:
        raise LstmError(f"{place}: there is no {column!r}, only {join_names(list(record))}.")
    return record[column]


def format_value(value: object) -> str:
    """Format a JSON value for an error, shortened."""
    known = _JSON_NAMES.get(type(value))
    if known is not None:
        return known
    return visible(value, _MAX_VALUE) if isinstance(value, str) else f"{value!r:.40}"


def quote_name(name: str) -> str:
    """Quote a name for an error, shortened: with the wrong column, a whole text can be a label."""
    return visible(name, _MAX_NAME)


def join_names(names: Sequence[str], max_items: int = 8) -> str:
    """Quote and join names for an error; a long list is abbreviated."""
    return abbreviate([quote_name(name) for name in names], max_items) or "none"


def abbreviate(items: Sequence[str], max_items: int = 8) -> str:
    """Join the first items of a list, and count the rest."""
    rest = len(items) - max_items
    return ", ".join(items[:max_items]) + (f" and {rest} more" if rest > 0 else "")
