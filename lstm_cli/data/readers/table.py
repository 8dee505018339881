"""Tables: the texts and the labels of their rows, which `open_rows` reads in any format."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.readers.coded import CodedWriter, recode
from lstm_cli.data.readers.columns import Record, find_column
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
from lstm_cli.data.readers.open_rows import iter_records, open_rows
from lstm_cli.data.readers.read_options import DEFAULT, ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.data.readers.row_columns import RowColumns
from lstm_cli.data.readers.text_columns import TextColumns
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.array_file import on_disk
from lstm_cli.io.text_store import TextWriter

__all__ = ["iter_records", "open_rows"]


class TextRow(NamedTuple):
    """A record of a table with its text.

    Attributes:
        line: The line at which it starts, counted from 1.
        record: Its values by column.
        text: The value of the text column, or those of several, joined.
        text_columns: The columns of the text.
    """

    line: int
    record: Record
    text: str
    text_columns: tuple[str, ...]


@dataclass(frozen=True)
class LabeledTexts:
    """Texts as read, with the names of their labels.

    Attributes:
        texts: In the order of the file, or sorted by class folder and file name.
        labels: The label of each text; several ones as they are written.
        text_columns: The columns of the texts; empty for a folder.
        label_columns: The column of the labels, or one for each label; empty for a folder.
        label_sets: The labels of each text; None if each text has exactly one label.
        multi_label: How several labels of a text are written: `none`, `list` or a separator.
        lines: The line at which each record starts, counted from 1; empty for a folder.
        merges: Spellings of labels that count as another one.
        notes: Remarks on how the file was read.
        ids: The id of each row; empty without a column of ids.
        weights: The weight of each row in training, above 0; empty without a column of weights.
        num_left_out: Number of rows of weight 0, which are not among the others.
    """

    texts: Sequence[str]
    labels: Sequence[str]
    text_columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    lines: Sequence[int] | NDArray[np.int64] = ()
    label_sets: Sequence[LabelSet] | None = None
    multi_label: str = NONE
    merges: tuple[Merge, ...] = ()
    notes: tuple[str, ...] = ()
    ids: Sequence[str] = ()
    weights: Sequence[float] = ()
    num_left_out: int = 0

    def with_row_columns(self, columns: RowColumns) -> LabeledTexts:
        """Return these texts with the ids and weights of their rows.

        Raises:
            LstmError: There is no column of ids, though one was named.
        """
        columns.finish()
        return replace(
            self,
            ids=columns.ids,
            weights=columns.weights,
            num_left_out=columns.num_left_out,
        )


def read_table(
    path: Path,
    text_columns: Sequence[str] = (),
    label_column: str | None = None,
    multi_label: str = NONE,
    options: ReadOptions = DEFAULT,
    row_columns: RowColumns | None = None,
) -> LabeledTexts:
    """Read the texts and labels of a table.

    Args:
        path: A table.
        text_columns: The columns of the texts, if the user named them.
        label_column: The column of the labels, if the user named it.
        multi_label: The setting `data.multi_label`.
        options: How to read the file.
        row_columns: Reads ids and weights.

    Raises:
        LstmError: The file is malformed, has no rows, or a column was not found.
    """
    row_columns = row_columns or RowColumns(None, None, str(path))
    texts, lines = TextWriter(), array("q")
    rows: CodedWriter[str | LabelSet] = CodedWriter()
    found: tuple[str, ...] = ()
    file = Found()
    for line, record, text, columns in iter_texts(path, text_columns, options, file):
        if not found:
            found = columns
            require_table(file, path)
            label_column = find_column(list(record), "label", label_column, str(path))
            if label_column in found:
                raise LstmError(f"{path}: column {label_column!r} cannot be both text and label.")
        place = f"{path}, line {line}"
        if not row_columns.add(record, place):
            continue
        texts.append(text)
        rows.append(label_value(record, str(label_column), place))
        lines.append(line)
    if not lines or label_column is None:
        raise _no_rows(path, row_columns)
    values = rows.finish()
    multi_label = resolve_format(multi_label, values)
    if multi_label == NONE:
        require_labels(values, label_column, lambda i: f"{path}, line {lines[i]}")
    labels, sets, merges = merge_labels(*split_values(values, multi_label))
    notes = tuple(file.notes(str(path)))
    numbers = on_disk(np.frombuffer(lines, np.int64))
    read = LabeledTexts(
        texts.finish(), labels, found, (label_column,), numbers, sets, multi_label, merges, notes
    )
    return read.with_row_columns(row_columns)


def read_label_columns(
    path: Path,
    text_columns: Sequence[str],
    label_columns: tuple[str, ...],
    options: ReadOptions = DEFAULT,
    row_columns: RowColumns | None = None,
) -> LabeledTexts:
    """Read the texts of a table, and labels from columns of 0 and 1.

    Args:
        path: A table.
        text_columns: The columns of the texts, if the user named them.
        label_columns: The columns, each named as its label.
        options: How to read the file.
        row_columns: Reads ids and weights.

    Raises:
        LstmError: The file is malformed, has no rows, or a column was not found.
    """
    row_columns = row_columns or RowColumns(None, None, str(path))
    texts, lines = TextWriter(), array("q")
    rows: CodedWriter[LabelSet] = CodedWriter()
    found: tuple[str, ...] = ()
    file = Found()
    for line, record, text, columns in iter_texts(path, text_columns, options, file):
        if not found:
            found = columns
            require_table(file, path)
            present = [column for column in found if column in record]
            check_columns(list(record), (*label_columns, *present), str(path))
        place = f"{path}, line {line}"
        if not row_columns.add(record, place):
            continue
        texts.append(text)
        rows.append(set_columns(record, label_columns, place))
        lines.append(line)
    if not lines:
        raise _no_rows(path, row_columns)
    sets = rows.finish()
    labels = recode(sets, ", ".join)
    notes = tuple(file.notes(str(path)))
    numbers = on_disk(np.frombuffer(lines, np.int64))
    read = LabeledTexts(
        texts.finish(), labels, found, label_columns, numbers, sets, LIST, (), notes
    )
    return read.with_row_columns(row_columns)


def _no_rows(path: Path, row_columns: RowColumns) -> LstmError:
    if row_columns.num_left_out:
        return LstmError(f"{path} holds no rows of a weight above 0.", "Check the weights.")
    return LstmError(f"{path} holds no rows.", "It needs a text and a label in each.")


def iter_texts(
    path: Path,
    text_columns: Sequence[str] = (),
    options: ReadOptions = DEFAULT,
    file: Found | None = None,
) -> Iterator[TextRow]:
    """Read the records of a table with their texts, lazily.

    Args:
        path: A table.
        text_columns: The columns of the texts, if the user named them.
        options: How to read the file.
        file: As for `open_rows`.

    Raises:
        LstmError: The file is malformed, or a column was not found.
    """
    found: TextColumns | None = None
    with open_rows(path, options, found=file, text_columns=text_columns) as rows:
        for line, record, error in rows:
            if error is not None:
                raise error
            if found is None:
                is_header = rows.columns is not None
                found = TextColumns.find(list(record), text_columns, str(path), is_header)
            text = found.read(record, f"{path}, line {line}")
            yield TextRow(line, record, text, found.names)
    if found is not None:
        found.check()


def require_table(found: Found, path: Path) -> None:
    """Check that a file has columns: plain lines have no labels.

    Raises:
        LstmError: It has not (exit code 2).
    """
    if found.format == "lines":
        raise LstmError(
            f"{path} holds plain lines: its first line names no column such as text.",
            "Give a table with a text and a label column. If it is one, say which with "
            "--input-format csv, or with --input-format csv --no-header if no line names the "
            "columns.",
            ExitCode.USAGE,
        )
