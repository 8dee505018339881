"""The columns of a table that a run is scored on: those of the run come first."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.readers.table import open_rows
from lstm_cli.data.source import DataSource
from lstm_cli.errors import LstmError
from lstm_cli.io import paths


def with_known_columns(
    path: Path,
    source: DataSource,
    text_columns: Sequence[str],
    label_column: str | None,
    id_column: str | None,
) -> tuple[DataSource, str]:
    """Return how to read a table that goes with the data that a model learns from.

    A column that the table has keeps its role. For a role whose columns the table lacks, a column
    with a common name is looked for, as in any table. Rows without ids have numbers.

    Args:
        path: The table; a folder has no columns.
        source: How to read it so far: the columns in it are those that the user named for it.
        text_columns: The columns of the texts in the other data; empty if it has none.
        label_column: The column of its labels, or None.
        id_column: The column of its ids, or None.

    Returns:
        The source with columns, and a note on those that are missing; the note may be empty.
    """
    if paths.is_folder(path):
        return source, ""
    columns, _ = _first_columns(path, source.read_options)
    if source.id_column is None and id_column in columns:
        source = replace(source, id_column=id_column)
    missing: list[str] = []
    if not source.text_columns and text_columns:
        if set(text_columns) & set(columns):
            source = replace(source, text_columns=tuple(text_columns))
        else:
            missing += text_columns
    if source.label_column is None and label_column is not None:
        if label_column in columns:
            source = replace(source, label_column=label_column)
        else:
            missing.append(label_column)
    if not missing or not columns:
        return source, ""
    return source, (
        f"{path} lacks the {'column' if len(missing) == 1 else 'columns'} {join_names(missing)} of "
        "the training data: one with a common name is read in its place."
    )


def check_same_columns(
    path: Path,
    train_path: Path,
    text_columns: Sequence[str],
    label_columns: Sequence[str],
    options: ReadOptions,
) -> Sequence[str]:
    """Check that a table has the columns that texts and labels of the training file are in.

    Otherwise other columns could be found by name, and a run would be scored on them.

    Args:
        path: The table of another split.
        train_path: The training file.
        text_columns: The columns of its texts.
        label_columns: Those of its labels.
        options: How to read the table.

    Returns:
        The columns of the table, or the keys of its first object; none if it is malformed, which
        reading it says.

    Raises:
        LstmError: A column is missing; both files are named.
    """
    columns, is_header = _first_columns(path, options)
    if not is_header and set(text_columns) & set(columns):
        text_columns = ()  # An object may lack some of several.
    for what, names in (("texts", text_columns), ("labels", label_columns)):
        missing = [name for name in names if name not in columns]
        if missing and columns:
            raise LstmError(
                f"{path} has no column {join_names(missing)}, in which {train_path} has its "
                f"{what}; found {join_names(columns)}.",
                f"Rename the column in {path.name}, or choose one that both files have with "
                f"--{what[:-1]}-column NAME.",
            )
    return columns


def _first_columns(path: Path, options: ReadOptions) -> tuple[tuple[str, ...], bool]:
    """Return the columns of a table, or the keys of its first object; none if it is malformed.

    Also return whether each record has these columns.
    """
    with contextlib.suppress(LstmError), open_rows(path, options) as rows:
        if rows.columns is not None:
            return rows.columns, True
        for row in rows:
            return tuple(row.record), False
    return (), False
