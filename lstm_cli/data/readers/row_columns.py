"""Columns of a table that say something of a row beside text and label: its id and its weight."""

from __future__ import annotations

import hashlib
import math
import re
from array import array
from collections.abc import Sequence

import numpy as np

from lstm_cli.data.readers.columns import (
    Record,
    format_value,
    no_such_column,
    quote_name,
)
from lstm_cli.errors import LstmError
from lstm_cli.io.text_format import pluralize
from lstm_cli.io.text_store import TextWriter

# Sums of larger ones leave the range in which training computes.
_MAX_WEIGHT = 1_000_000
_MAX_SHOWN = 3
_NUMBER = re.compile(r"[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)(e[+-]?[0-9]+)?", re.ASCII | re.IGNORECASE)


class RowColumns:
    """Reads the ids and the weights of the rows of a table.

    A row of weight 0 is left out, as if it were not there.

    Args:
        id_column: The column of the ids; None without ids. It is enough if one row has it.
        weight_column: The column of the weights; None without weights.
        file: The name of the table, for errors.

    Attributes:
        ids: Of each row that counts, in order, after `finish`; empty where a row has none.
        weights: Of each row that counts.
        num_left_out: Number of rows of weight 0.
    """

    def __init__(self, id_column: str | None, weight_column: str | None, file: str) -> None:
        self.ids: Sequence[str] = ()
        self.weights = array("d")
        self.num_left_out = 0
        self._id_column = id_column
        self._weight_column = weight_column
        self._file = file
        self._first: Sequence[str] = ()
        self._ids = TextWriter()
        self._has_ids = False

    def add(self, record: Record, place: str) -> bool:
        """Read id and weight of a row; return whether it counts.

        Args:
            record: From `iter_texts`.
            place: File and line, for errors.

        Raises:
            LstmError: The weight is missing, or not a finite number of 0 or more.
        """
        is_first, self._first = not self._first, self._first or list(record)
        if self._weight_column is not None:
            if self._weight_column not in record:
                file = self._file if is_first else place
                raise no_such_column(file, self._weight_column, list(record))
            weight = weight_of(record, self._weight_column, place)
            if not weight:
                self.num_left_out += 1
                return False
            self.weights.append(weight)
        if self._id_column is not None:
            name = id_of(record, self._id_column, place)
            self._ids.append(name)
            self._has_ids |= bool(name)
        return True

    def finish(self) -> None:
        """Check, after all rows, that there is a column of ids if one was named.

        Raises:
            LstmError: No row has it.
        """
        name = self._id_column
        if name is not None and name not in self._first and not self._has_ids:
            raise no_such_column(self._file, name, list(self._first))
        self.ids = self._ids.finish()


def id_of(record: Record, column: str, place: str) -> str:
    """Return the id of a record as a string; empty if it has none.

    Args:
        record: From `iter_texts`.
        column: The column of the ids.
        place: File and line, for errors.

    Raises:
        LstmError: It is a list or an object.
    """
    value = record.get(column)
    if value is None:
        return ""
    if isinstance(value, list | dict):
        raise LstmError(
            f"{place}: expected an id in {column!r}, a string or a number; found "
            f"{format_value(value)}.",
            "Name another column with --id-column.",
        )
    return str(value).strip()


def weight_of(record: Record, column: str, place: str) -> float:
    """Return the weight of a record.

    Args:
        record: From `iter_texts`.
        column: The column of the weights.
        place: File and line, for errors.

    Raises:
        LstmError: It is missing, negative or too large, or no number.
    """
    value = record.get(column)
    number = _to_number(value)
    if 0 <= number <= _MAX_WEIGHT:
        return number
    if _MAX_WEIGHT < number < math.inf:
        raise LstmError(
            f"{place}: expected a weight in {column!r} of at most {_MAX_WEIGHT:,}; found "
            f"{format_value(value)}.",
            "Divide all weights by the same number.",
        )
    is_missing = value is None or (isinstance(value, str) and not value.strip())
    found = "nothing" if is_missing else format_value(value)
    raise LstmError(
        f"{place}: expected a weight in {column!r}, a number of 0 or more such as 1 or 0.5; found "
        f"{found}.",
        "Write 1 for a row that counts as usual, and 0 for one to leave out.",
    )


def _to_number(value: object) -> float:
    """Return a JSON number, or the number that a string holds; NaN for everything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.nan
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _id_key(name: str) -> int:
    content = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def describe_ids(ids: Sequence[str], column: str) -> str:
    """Say which ids occur several times, and how many rows have none; empty if each has its own.

    Args:
        ids: Of all rows.
        column: Their column.
    """
    # As hashes: there may be more ids than fit in memory.
    keys = np.fromiter(map(_id_key, ids), np.uint64, len(ids))
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    missing = int(np.count_nonzero(keys == _id_key("")))
    repeated = np.sort(first[(counts > 1) & (keys[first] != _id_key(""))])
    parts = []
    if len(repeated):
        shown = [quote_name(ids[i]) for i in repeated[:_MAX_SHOWN].tolist()]
        more = len(repeated) - len(shown)
        names = ", ".join(shown) + (f" and {more} more" if more else "")
        parts.append(f"{pluralize(len(repeated), 'id')} of several rows ({names})")
    if missing:
        parts.append(f"{pluralize(missing, 'row')} without an id")
    return f"Column {column!r} has {' and '.join(parts)}." if parts else ""
