"""Several labels of one text: read from a cell, a JSON list or columns of 0 and 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from lstm_cli.data.readers.coded import recode
from lstm_cli.data.readers.columns import (
    Record,
    format_value,
    label_of,
    missing_label,
    no_such_column,
)
from lstm_cli.data.readers.labels import Merge, name_labels, written_label
from lstm_cli.errors import LstmError

# Values of `data.multi_label` that are not separators.
AUTO, NONE, LIST = "auto", "none", "list"
# Separators that are found in a table without being named.
_SEPARATORS = ("|", ";")
# It is a separator if this fraction of the parts of joined values occur in other values too.
_MIN_REUSED = 0.8
# The same for a separator that is only asked about.
_MIN_REUSED_IF_ASKED = 0.6
_IS_SET = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}

LabelSet = tuple[str, ...]


def label_value(record: Record, column: str, place: str) -> str | LabelSet:
    """Return the value of a label column that may hold several labels.

    Args:
        record: From `iter_records`.
        column: From `find_column`.
        place: File and line, for errors.

    Returns:
        The labels of a list; else the value as a string, which may be empty.

    Raises:
        LstmError: The value is an object or bytes, or one in a list has no label.
    """
    value = record.get(column, "")
    if isinstance(value, list):
        return _unique(label_of({column: item}, column, place) for item in value)
    is_label = value is None or isinstance(value, str | float)
    return written_label(value) if is_label else label_of(record, column, place)


def find_separator(
    values: Iterable[str], separators: Sequence[str] = _SEPARATORS, certain: bool = True
) -> str | None:
    """Find the separator of values that are unmistakably several labels; None if there is none.

    Most parts of the joined values must occur in other values too, and not always in the same
    place of them: `joy|love` beside `joy` and `love|pride` holds two labels, but `size|S` beside
    `size|M` is a name.

    Args:
        values: The label of each text.
        separators: What to look for.
        certain: Whether it must be unmistakable. If not, fewer parts need to occur again, and none
            needs to be a value of its own.
    """
    distinct = set(values)
    min_reused = _MIN_REUSED if certain else _MIN_REUSED_IF_ASKED
    for separator in separators:
        split = [split_labels(value, separator) for value in distinct if separator in value]
        parts = {part for labels in split if len(labels) > 1 for part in labels}
        counts = Counter(part for value in distinct for part in split_labels(value, separator))
        reused = [part for part in parts if counts[part] > 1]
        is_name = certain and not parts & distinct
        if parts and not is_name and len(reused) >= min_reused * len(parts):
            return separator
    return None


def possible_separator(values: Iterable[str]) -> str | None:
    """Return a separator that occurs in some value; None if there is none."""
    distinct = set(values)
    return next((s for s in _SEPARATORS if any(s in value for value in distinct)), None)


def resolve_format(multi_label: str, values: Iterable[str | LabelSet]) -> str:
    """Return how several labels are written: `none`, `list` or a separator.

    Args:
        multi_label: The setting `data.multi_label`.
        values: From `label_value`.
    """
    if multi_label != AUTO:
        return multi_label
    distinct = set(values)
    if any(isinstance(value, tuple) for value in distinct):
        return LIST
    return find_separator(str(value) for value in distinct) or NONE


def split_values(
    values: Sequence[str | LabelSet], multi_label: str
) -> tuple[Sequence[str], Sequence[LabelSet] | None]:
    """Return the label of each text as it is written, and its labels.

    Args:
        values: From `label_value`.
        multi_label: From `resolve_format`; with `none` each value is one label, and there are no
            sets.
    """
    joined = recode(values, _joined)
    if multi_label == NONE:
        return joined, None
    return joined, recode(values, partial(split_labels, separator=multi_label))


def _joined(value: str | LabelSet) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def require_labels(
    values: Sequence[str | LabelSet], column: str, place: Callable[[int], str]
) -> None:
    """Check that each text has exactly one label.

    Args:
        values: From `label_value`.
        column: The column of the labels, for errors.
        place: Returns file and line of a value, for errors.

    Raises:
        LstmError: A value is a list or empty.
    """
    for i, value in enumerate(values):
        if isinstance(value, tuple):
            label_of({column: list(value)}, column, place(i))
    empty = [i for i, value in enumerate(values) if not value]
    if empty:
        raise missing_label(column, place(empty[0]), len(empty), len(values))


def merge_labels(
    labels: Sequence[str], sets: Sequence[LabelSet] | None
) -> tuple[Sequence[str], Sequence[LabelSet] | None, tuple[Merge, ...]]:
    """Give equal labels one name.

    Args:
        labels: The label of each text of the training data, as it is written.
        sets: The labels of each text, if it may have several.

    Returns:
        The labels and the sets with the names of the classes, and the spellings that were merged.
    """
    if sets is None:
        names, merges = name_labels(Counter(labels))
        return recode(labels, names.__getitem__), None, merges
    names, merges = name_labels(Counter(label for labels in sets for label in labels))
    named = recode(sets, lambda labels: _unique(names[label] for label in labels))
    return labels, named, merges


def split_labels(value: str | LabelSet, separator: str) -> LabelSet:
    """Split a value into its labels; an empty one has none.

    Args:
        value: From `label_value`.
        separator: What stands between two labels, or `list`: then a string is one label.
    """
    if isinstance(value, tuple):
        return value
    parts = [value] if separator == LIST else value.split(separator)
    return _unique(part.strip() for part in parts if part.strip())


def check_columns(columns: Sequence[str], requested: Sequence[str], name: str) -> None:
    """Check the columns of `data.label_columns`, and the text column.

    Args:
        columns: The columns of the table.
        requested: The columns to read.
        name: The name of the file, for errors.

    Raises:
        LstmError: There is no such column, or one is to be read twice.
    """
    twice = next((column for column in requested if requested.count(column) > 1), None)
    if twice is not None:
        raise LstmError(
            f"{name}: column {twice!r} is named twice among text and labels.",
            "Name each column once, the text not in --label-columns.",
        )
    for column in requested:
        if column not in columns:
            raise no_such_column(name, column, columns)


def set_columns(record: Record, columns: Sequence[str], place: str) -> LabelSet:
    """Return the columns that hold 1 in a record; an empty cell counts as 0.

    Args:
        record: From `iter_records`.
        columns: Those of `data.label_columns`.
        place: File and line, for errors.

    Raises:
        LstmError: A value is not 0, 1, true, false or empty.
    """
    return tuple(column for column in columns if _is_set(record.get(column), column, place))


def _is_set(value: object, column: str, place: str) -> bool:
    text = "0" if value is None else str(value).strip().lower() or "0"
    if isinstance(value, list | dict) or text not in _IS_SET:
        raise LstmError(
            f"{place}: expected 0 or 1 in {column!r}, found {format_value(value)}.",
            "Each column of --label-columns says whether a text has that label.",
        )
    return _IS_SET[text]


def _unique(labels: Iterable[str]) -> LabelSet:
    return tuple(dict.fromkeys(labels))
