"""What of an input is carried to the output: all its columns, its id, or nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lstm_cli.data.readers.columns import Record, join_names
from lstm_cli.data.records import InputRecord
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io.text_format import to_text

Keep = Literal["all", "id", "none"]


@dataclass(frozen=True)
class KeptColumns:
    """The columns of an input that stand before its prediction.

    Attributes:
        names: Their names, in the order of the input.
        is_open: Whether all fields of each record are kept where that is possible (in JSON): its
            objects may have other keys than `names`.
        is_table: Whether inputs are rows. If not, the one column has the text, or the name of the
            file.
    """

    names: tuple[str, ...] = ()
    is_open: bool = False
    is_table: bool = True

    def cells(self, record: InputRecord) -> list[str]:
        """Return the values as text; empty where a record has none."""
        if not self.is_table:
            return [record.text] * len(self.names)
        fields = record.fields or {}
        return [_cell(fields.get(name)) for name in self.names]

    def fields(self, record: InputRecord) -> Record:
        """Return the values by column, with their types."""
        if not self.is_table:
            return dict.fromkeys(self.names, record.text)
        fields = record.fields or {}
        if self.is_open:
            return fields
        return {name: fields[name] for name in self.names if name in fields}


NOTHING = KeptColumns()


def choose_kept(
    keep: Keep,
    columns: Sequence[str] | None,
    id_column: str | None = None,
    kind: str = "text",
    is_open: bool = False,
) -> KeptColumns:
    """Choose the columns to carry.

    Args:
        keep: Which ones.
        columns: Those of the input; None if it is not a table.
        id_column: The column that identifies a row, if it was named.
        kind: `text` or `image`.
        is_open: As `KeptColumns.is_open`.

    Raises:
        LstmError: The input has no such column (exit code 2).
    """
    if keep == "none":
        return NOTHING
    if columns is None:
        if keep == "id":
            raise LstmError(
                "--keep id needs a table with a column that identifies each row.",
                "Leave out --keep: the output has one record for each input, in the same order.",
                ExitCode.USAGE,
            )
        return KeptColumns(("text" if kind == "text" else "file",), is_table=False)
    if keep == "id":
        return KeptColumns((_find_id(columns, id_column),))
    return KeptColumns(tuple(columns), is_open)


def _find_id(columns: Sequence[str], requested: str | None) -> str:
    """Return the column that identifies a row: the requested one, or that with the name `id`."""
    if requested in columns:
        return str(requested)
    found = next((name for name in columns if name.casefold() == "id"), None)
    if requested is None and found is not None:
        return found
    raise LstmError(
        f"The input has no column {requested or 'id'!r}, only {join_names(columns)}.",
        suggest(requested, list(columns), []) if requested else "Name one with --id-column.",
        ExitCode.USAGE,
    )


def _cell(value: Any) -> str:
    """Return a value as text: a string as it is, JSON for what is not one, nothing for null."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, default=to_text)
    return "" if value is None else to_text(value)
