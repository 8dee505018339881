"""Files of other splits have the columns of the training file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.readers.table import open_rows
from lstm_cli.errors import LstmError


def check_same_columns(
    path: Path,
    train_path: Path,
    text_columns: Sequence[str],
    label_columns: Sequence[str],
    options: ReadOptions,
) -> None:
    """Check that a table has the columns that texts and labels of the training file are in.

    Otherwise other columns could be found by name, and a run would be scored on them.

    Args:
        path: The table of another split.
        train_path: The training file.
        text_columns: The columns of its texts.
        label_columns: Those of its labels.
        options: How to read the table.

    Raises:
        LstmError: A column is missing; both files are named.
    """
    with open_rows(path, options) as rows:
        columns = rows.columns
        if columns is None:
            first = next(iter(rows), None)
            if first is None or first.error is not None:
                return  # Reading the file will say so.
            columns = tuple(first.record)
            if set(text_columns) & set(columns):
                text_columns = ()  # An object may lack some of several.
    for what, names in (("texts", text_columns), ("labels", label_columns)):
        missing = [name for name in names if name not in columns]
        if missing:
            raise LstmError(
                f"{path} has no column {join_names(missing)}, in which {train_path} has its "
                f"{what}; found {join_names(columns)}.",
                f"Rename the column in {path.name}, or choose one that both files have with "
                f"--{what[:-1]}-column NAME.",
            )
