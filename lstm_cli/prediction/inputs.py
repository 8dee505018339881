"""What `predict` reads in Python: texts in lists, arrays, and columns and rows of tables.

Series and tables of pandas and polars, and columns of Arrow, are known by their attributes: none of
these libraries is imported. Images are read by `prediction.image_inputs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.readers.columns import COMMON_NAMES, find_column
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import shorten

# A text, or the values of its columns by their names.
TextInput = str | Mapping[str, Any]


class ArrayLike(Protocol):
    """An array, or what NumPy can read as one: a column, a table."""

    def __array__(self) -> NDArray[Any]:
        """Return it as an array of NumPy."""


class ArrayInterface(Protocol):
    """What NumPy reads through its older interface: an image of Pillow."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Describe the memory of the array."""


Inputs = TextInput | Iterable[TextInput | ArrayLike | ArrayInterface] | ArrayLike | ArrayInterface


def read_texts(
    inputs: Any, text_columns: Sequence[str], to_text: Callable[[TextInput], str], run_name: str
) -> Iterator[str]:
    """Yield the texts of an input, in order.

    Args:
        inputs: One text, an iterable of texts, or a table or a row that has the run's columns.
        text_columns: The columns that the run reads.
        to_text: Joins the values of columns.
        run_name: For errors.

    Raises:
        LstmError: The input holds no texts, or one of its values is missing or not a text; the
            message names the place (exit code 2).
    """
    inputs = _unwrap(inputs)
    if isinstance(inputs, Mapping):
        _check_one_text(inputs, text_columns)
        yield to_text(_without_missing(inputs))
        return
    values = _values(inputs, text_columns, run_name)
    for position, value in enumerate(values):
        if not isinstance(value, str):
            value = _unwrap(value)
            (value,) = _row_cells(value, text_columns) or (value,)
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield _join(value, position, to_text)
        else:
            raise _not_a_text(value, _place(values, position))


def _check_one_text(inputs: Mapping[str, Any], text_columns: Sequence[str]) -> None:
    """Refuse whole columns by their names, where one text is expected.

    Raises:
        LstmError: A text column holds several values (exit code 2).
    """
    for name in text_columns:
        values = inputs.get(name)
        if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
            raise LstmError(
                f"Expected one string in {name!r}, found {describe(values)}.",
                "A dict is one text. Give a list of dicts, or a table: pandas.DataFrame(texts).",
                ExitCode.USAGE,
            )


def _values(inputs: Any, text_columns: Sequence[str], run_name: str) -> Iterable[Any]:
    """Return what holds one text, or the values of its columns, for each element."""
    if isinstance(inputs, str | bytes | bytearray | memoryview):
        return [inputs]
    if hasattr(type(inputs), "collect"):  # the LazyFrame of polars, a table of Spark
        raise LstmError(
            f"Expected the rows of a table, found {type(inputs).__name__}, which has none yet.",
            "Compute them first: model.predict(table.collect()).",
            ExitCode.USAGE,
        )
    if (names := _column_names(inputs)) is not None:
        return _rows(inputs, names, text_columns, run_name)
    if row := _row_cells(inputs, text_columns):
        return row
    if isinstance(inputs, np.ndarray):
        return _array_values(inputs, run_name)
    if not isinstance(inputs, Iterable):
        raise LstmError(
            f"Expected texts, found {describe(inputs)}.",
            "Give a string, or a list, an array or a column of strings.",
            ExitCode.USAGE,
        )
    return _column_values(inputs)


def _unwrap(value: Any) -> Any:
    """Return the Python object in a value of Arrow, or in an array without a dimension."""
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.names is None:
        return value.item()
    return value.as_py() if hasattr(type(value), "as_py") else value


def _row_cells(value: Any, text_columns: Sequence[str]) -> list[Any]:
    """Return the text of a row of a table, or the values of its columns, as the only element.

    The list is empty for what is not a row with a column that the run reads: a Series of pandas is
    a row if its index has the name of such a column, and a column if not.
    """
    names = [name for name in _field_names(value) if isinstance(name, str)]
    wanted = list(text_columns) or _usual_column(names)
    found = [name for name in wanted if name in names]
    if not found or len(set(names)) < len(names):
        return []
    get = getattr if isinstance(value, tuple) else type(value).__getitem__
    cells = {name: get(value, name) for name in found}
    return [cells] if text_columns else [cells[found[0]]]


def _field_names(value: Any) -> Sequence[Any]:
    """Return the names of the fields of a row; of a Series its index; empty for anything else."""
    if isinstance(value, tuple):
        return getattr(value, "_fields", ())
    if isinstance(value, np.void):
        return value.dtype.names or ()
    if isinstance(value, Mapping) or not hasattr(type(value), "__getitem__"):
        return ()
    keys = getattr(value, "keys", None)  # pandas, and the rows of sqlite3
    return list(keys()) if callable(keys) else ()


def _array_values(array: NDArray[Any], run_name: str) -> Sequence[Any]:
    """Return the texts of an array of strings or of Python objects."""
    if array.ndim == 1 and not array.size:  # `np.array([])` has the type float64.
        return []
    if array.dtype.kind not in "UOST":
        raise LstmError(
            f"Run {run_name} reads texts, found an array <{array.dtype}>{list(array.shape)}.",
            "Give strings, or name an image run.",
            ExitCode.USAGE,
        )
    if array.ndim > 1 and array.size != len(array):
        raise LstmError(
            f"Expected one text for each row, found an array of the shape {list(array.shape)}.",
            "Give one of its columns: texts[:, 0].",
            ExitCode.USAGE,
        )
    # `[num, 1]`, and a single string without a dimension, have one text in each row, too.
    values: Sequence[Any] = array.reshape(-1).tolist()
    return values


def _column_names(inputs: Any) -> list[Any] | None:
    """Return the names of the columns of a table; None for what is not a table."""
    kind = type(inputs)  # A column or a cell may be called `columns`, too, but not in the class.
    if isinstance(inputs, np.ndarray):
        names: Any = inputs.dtype.names
    elif not hasattr(kind, "__getitem__"):
        return None
    elif hasattr(kind, "column_names"):  # Arrow
        names = inputs.column_names
    else:  # pandas, polars
        names = inputs.columns if hasattr(kind, "columns") else None
    return None if names is None or callable(names) else list(names)


def _rows(
    table: Any, names: Sequence[str], text_columns: Sequence[str], run_name: str
) -> Iterable[Any]:
    """Return the column of the texts, or of several columns the values of each row."""
    wanted = list(text_columns) or _usual_column(names)
    if len(names) == 1 and (not wanted or len(wanted) == 1):
        wanted = list(names)
    if not wanted or not set(wanted) <= set(names):
        found = ", ".join(shorten(str(name), 30) for name in names[:10]) or "no column"
        what = "column" if len(wanted) == 1 else "columns"
        reads = f"the {what} {', '.join(wanted)}" if wanted else "one text for each row"
        raise LstmError(
            f"Run {run_name} reads {reads}; the table has {found}.",
            "Give the column of the texts: model.predict(table['NAME']).",
            ExitCode.USAGE,
        )
    if isinstance(table, np.ndarray):
        table = table.reshape(-1)
    columns = [_column_values(table[name]) for name in wanted]
    if any(_column_names(column) is not None for column in columns):
        raise LstmError(
            f"The table has several columns named {', '.join(wanted)}.",
            "Give one of them by its position: model.predict(table.iloc[:, 0]).",
            ExitCode.USAGE,
        )
    if len(columns) == 1:
        return columns[0]
    return [dict(zip(wanted, row, strict=True)) for row in zip(*columns, strict=True)]


def _usual_column(names: Sequence[Any]) -> list[str]:
    """Return the column that `lstm predict` reads by default; empty if there is none."""
    columns = [str(name) for name in names]
    if {column.lower() for column in columns}.isdisjoint(COMMON_NAMES["text"]):
        return []
    return [find_column(columns, "text", None, "The table")]


def _column_values(values: Any) -> Iterable[Any]:
    """Return an iterable of Python objects; those of a column of Arrow are not."""
    to_python = getattr(values, "to_pylist", None)
    elements: Iterable[Any] = values if to_python is None else to_python()
    return elements


def _join(value: Mapping[str, Any], position: int, to_text: Callable[[TextInput], str]) -> str:
    """Return a text from the values of its columns.

    Raises:
        LstmError: As `to_text`, with the position of the text.
    """
    try:
        return to_text(_without_missing(value))
    except LstmError as error:
        message = f"Position {position} of the texts (counted from 0): {error.message}"
        raise LstmError(message, error.hint, error.exit_code) from None


def _without_missing(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if is_missing(cell) else cell for name, cell in row.items()}


def is_missing(value: Any) -> bool:
    """Tell whether a cell is missing: None, NaN, or the marks of pandas for no value."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


def _place(values: Any, position: int) -> str:
    """Name the place of a value, with the name of its column and its index in pandas."""
    name, index = getattr(values, "name", None), getattr(values, "index", None)
    column = "" if name is None or callable(name) else f" of the column {name!r}"
    if index is None or callable(index):
        return f"position {position}{column or ' of the texts'} (counted from 0)"
    return f"row {index[position]!r}{column or ' of the texts'} (position {position}, from 0)"


def _not_a_text(value: Any, place: str) -> LstmError:
    if is_missing(value):
        return LstmError(
            f"Expected a string at {place}, found {describe(value)}: the value is missing.",
            "Leave such rows out (in pandas: texts.dropna()), or replace them with ''.",
            ExitCode.USAGE,
        )
    hint = "Give one string for each text."
    if isinstance(value, bytes | bytearray | memoryview):
        hint = "Decode bytes first: bytes(value).decode('utf-8')."
    message = f"Expected a string at {place}, found {describe(value)}."
    return LstmError(message, hint, ExitCode.USAGE)


def describe(value: Any) -> str:
    """Return a value as Python writes it, shortened, with its type."""
    return f"{shorten(repr(value), 60)} ({type(value).__name__})"
