"""What `predict` reads in Python: texts in lists, arrays and columns of tables; images in arrays.

Series and tables of pandas and polars, and columns of Arrow, are known by their attributes: none of
these libraries is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.readers.columns import find_column
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import shorten

# A text, or the values of its columns by their names.
TextInput = str | Mapping[str, Any]


class ArrayLike(Protocol):
    """An array, or what NumPy can read as one: a column, a table, an image of Pillow."""

    def __array__(self) -> NDArray[Any]:
        """Return it as an array of NumPy."""


Inputs = TextInput | Iterable[TextInput] | ArrayLike


def read_texts(
    inputs: Any, text_columns: Sequence[str], to_text: Callable[[TextInput], str], run_name: str
) -> Iterator[str]:
    """Yield the texts of an input, in order.

    Args:
        inputs: One text, an iterable of texts, or a table that has the run's columns.
        text_columns: The columns that the run reads.
        to_text: Joins the values of columns.
        run_name: For errors.

    Raises:
        LstmError: The input holds no texts, or one of its values is missing or not a text; the
            message names the place (exit code 2).
    """
    if isinstance(inputs, Mapping):
        yield to_text(_without_missing(inputs))
        return
    values = _values(inputs, text_columns, run_name)
    for position, value in enumerate(values):
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield _join(value, position, to_text)
        else:
            raise _not_a_text(value, _place(values, position))


def _values(inputs: Any, text_columns: Sequence[str], run_name: str) -> Iterable[Any]:
    """Return what holds one text, or the values of its columns, for each element."""
    if isinstance(inputs, str):
        return [inputs]
    if isinstance(inputs, bytes | bytearray):
        return [inputs]
    if (names := _column_names(inputs)) is not None:
        return _rows(inputs, names, text_columns, run_name)
    if isinstance(inputs, np.ndarray):
        return _array_values(inputs, run_name)
    if not isinstance(inputs, Iterable):
        raise LstmError(
            f"Expected texts, found {_describe(inputs)}.",
            "Give a string, or a list, an array or a column of strings.",
            ExitCode.USAGE,
        )
    return _column_values(inputs)


def _array_values(array: NDArray[Any], run_name: str) -> Sequence[Any]:
    """Return the texts of an array of strings or of Python objects."""
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


def _column_names(inputs: Any) -> list[str] | None:
    """Return the names of the columns of a table; None for what is not a table."""
    names: Any = getattr(inputs, "column_names", None)  # Arrow
    if names is None:
        names = getattr(inputs, "columns", None)  # pandas, polars
    if names is None or callable(names) or not hasattr(inputs, "__getitem__"):
        return None
    return list(names)


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


def _usual_column(names: Sequence[str]) -> list[str]:
    """Return the column that `lstm predict` reads by default; empty if there is none."""
    try:
        return [find_column([str(name) for name in names], "text", None, "The table")]
    except LstmError:
        return []


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
            f"Expected a string at {place}, found {_describe(value)}: the value is missing.",
            "Leave such rows out (in pandas: texts.dropna()), or replace them with ''.",
            ExitCode.USAGE,
        )
    hint = "Give one string for each text."
    if isinstance(value, bytes | bytearray):
        hint = "Decode bytes first: value.decode('utf-8')."
    message = f"Expected a string at {place}, found {_describe(value)}."
    return LstmError(message, hint, ExitCode.USAGE)


def _describe(value: Any) -> str:
    return f"{shorten(repr(value), 60)} ({type(value).__name__})"


def read_images(inputs: Any, shape: tuple[int, int], run_name: str) -> NDArray[np.uint8]:
    """Return images as the run reads them, `<uint8>[num, rows, columns]`.

    Args:
        inputs: An array `[num, rows, columns]` or `[num, rows, columns, 1]` of whole numbers from 0
            to 255, a sequence of such images, or one image `[rows, columns]`.
        shape: Rows and columns of an image of the run.
        run_name: For errors.

    Raises:
        LstmError: The input does not hold such images (exit code 2).
    """
    array = _to_array(inputs)
    if array is None or array.dtype.kind in "USTO":
        raise LstmError(
            f"Run {run_name} reads images, not texts: arrays <uint8>[num, {shape[0]}, {shape[1]}].",
            "lstm_cli.data.images.read_images reads image files in that form; for texts, name a "
            "text run (--run).",
            ExitCode.USAGE,
        )
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    if array.shape == shape:
        array = array[None]
    if array.ndim != 3 or array.shape[1:] != shape or not _are_pixels(array):
        raise LstmError(
            f"Run {run_name} reads images <uint8>[num, {shape[0]}, {shape[1]}] with values from 0 "
            f"to 255, found <{array.dtype}>{list(array.shape)}.",
            _image_hint(array, shape),
            ExitCode.USAGE,
        )
    return array.astype(np.uint8)


def _to_array(inputs: Any) -> NDArray[Any] | None:
    """Return an array of images; None for what NumPy cannot read as one array."""
    if isinstance(inputs, str | bytes | Mapping):
        return None
    if not hasattr(inputs, "__array__"):
        if not isinstance(inputs, Iterable):
            return None
        inputs = [np.asarray(image) for image in inputs]
    try:
        return np.asarray(inputs)
    except ValueError:  # images of different sizes
        return None


def _are_pixels(array: NDArray[Any]) -> bool:
    """Tell whether an array has whole numbers from 0 to 255."""
    if array.dtype == np.uint8:
        return True
    is_whole = array.dtype.kind in "iu"
    return is_whole and (not array.size or bool(array.min() >= 0 and array.max() <= 255))


def _image_hint(array: NDArray[Any], shape: tuple[int, int]) -> str:
    if array.ndim == 2 and array.shape[1] == shape[0] * shape[1]:
        return f"Give each image its shape: images.reshape(-1, {shape[0]}, {shape[1]})."
    if array.dtype.kind == "f":
        is_fraction = array.size and float(np.nanmax(array)) <= 1
        factor = " * 255" if is_fraction else ""
        return f"Convert the values: (images{factor}).round().astype('uint8')."
    return "lstm_cli.data.images.read_images reads image files in that form."
