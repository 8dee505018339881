"""Which column holds the texts and which the labels, and what a record has there."""

from __future__ import annotations

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


def find_column(columns: Sequence[str], role: Role, asked: str | None, name: str) -> str:
    """Find the column of the texts or the labels.

    Args:
        columns: The columns there are.
        role: What is looked for.
        asked: The column named by the user, if any; it must be there as spelled.
        name: What to call the file in errors.

    Returns:
        The column asked for, else the first that has one of `COMMON_NAMES`, in any case.

    Raises:
        LstmError: There is none.
    """
    if asked is not None:
        if asked in columns:
            return asked
        raise LstmError(
            f"{name} has no column {asked!r}, only {listed(columns)}.",
            suggest(asked, list(columns)),
        )
    spelled = {column.lower(): column for column in reversed(columns)}
    for common in COMMON_NAMES[role]:
        if common in spelled:
            return spelled[common]
    option = f"--{role}-column {columns[0] if len(columns) == 1 else 'NAME'}"
    raise LstmError(
        f"{name} has no column named {role}; found {listed(columns)}.",
        f"Say which one it is with {option}, or rename it.",
    )


def text_of(record: Record, column: str, place: str) -> str:
    """The text of a record; it may be empty.

    Args:
        record: From `iter_records`.
        column: From `find_column`.
        place: File and line, for errors.

    Raises:
        LstmError: It is missing or no string.
    """
    value = _value(record, column, place)
    if isinstance(value, str):
        return value
    raise LstmError(f"{place}: expected a string in {column!r}, found {shown(value)}.")


def label_of(record: Record, column: str, place: str) -> str:
    """The label of a record, a string or an integer, as a string.

    Args:
        record: From `iter_records`.
        column: From `find_column`.
        place: File and line, for errors.

    Raises:
        LstmError: It is missing, or neither.
    """
    value = _value(record, column, place)
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    found = "nothing" if isinstance(value, str) else shown(value)
    raise LstmError(
        f"{place}: expected a label in {column!r}, a string or an integer; found {found}.",
        "Fill it in or drop the row.",
    )


def _value(record: Record, column: str, place: str) -> object:
    if column not in record:
        raise LstmError(f"{place}: there is no {column!r}, only {listed(list(record))}.")
    return record[column]


def shown(value: object) -> str:
    """A JSON value for an error, cut short."""
    return _JSON_NAMES.get(type(value), f"{value!r:.40}")


def quoted(name: str) -> str:
    """A name for an error, cut short: where the wrong column is read, a text stands for a name."""
    return repr(name if len(name) <= 30 else name[:29] + "…")


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for an error; the tail of a long list is counted instead of told."""
    return few([quoted(name) for name in names], most) or "none"


def few(items: Sequence[str], most: int = 8) -> str:
    """A list for a sentence, with its tail counted instead of told."""
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest} more" if rest > 0 else "")
