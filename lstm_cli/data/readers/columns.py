"""Find the text and the label column, and read their values from a record."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, Literal

from lstm_cli.errors import LstmError, suggest

Role = Literal["text", "label"]
Record = dict[str, Any]

COMMON_NAMES: dict[Role, tuple[str, ...]] = {
    "text": ("text", "review", "sentence", "content", "body", "comment", "message"),
    "label": ("label", "sentiment", "class", "category", "target"),
}
_JSON_NAMES = {bool: "true or false", float: "a fraction", type(None): "null", list: "a list"}


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
        raise LstmError(
            f"{name} has no column {requested!r}, only {join_names(columns)}.",
            suggest(requested, list(columns)),
        )
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
    raise LstmError(f"{place}: expected a string in {column!r}, found {format_value(value)}.")


def label_of(record: Record, column: str, place: str) -> str:
    """Return the label of a record, a string or an integer, as a string.

    Args:
        record: From `iter_records`.
        column: From `find_column`.
        place: File and line, for errors.

    Raises:
        LstmError: The value is missing, empty, or neither a string nor an integer.
    """
    value = _value(record, column, place)
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    value_name = "nothing" if isinstance(value, str) else format_value(value)
    raise LstmError(
        f"{place}: expected a label in {column!r}, a string or an integer; found {value_name}.",
        "Add the label or drop the row.",
    )


def _value(record: Record, column: str, place: str) -> object:
    if column not in record:
        raise LstmError(f"{place}: there is no {column!r}, only {join_names(list(record))}.")
    return record[column]


def format_value(value: object) -> str:
    """Format a JSON value for an error, shortened."""
    return _JSON_NAMES.get(type(value), f"{value!r:.40}")


def quote_name(name: str) -> str:
    """Quote a name for an error, shortened: with the wrong column, a whole text can be a label."""
    return repr(name if len(name) <= 30 else name[:29] + "…")


def join_names(names: Sequence[str], max_items: int = 8) -> str:
    """Quote and join names for an error; a long list is abbreviated."""
    return abbreviate([quote_name(name) for name in names], max_items) or "none"


def abbreviate(items: Sequence[str], max_items: int = 8) -> str:
    """Join the first items of a list, and count the rest."""
    rest = len(items) - max_items
    return ", ".join(items[:max_items]) + (f" and {rest} more" if rest > 0 else "")
