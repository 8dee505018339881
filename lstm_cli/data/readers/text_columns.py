"""The text of a record: the value of one column, or the values of several, joined."""

from __future__ import annotations

from collections.abc import Sequence

from lstm_cli.data.readers.columns import Record, find_column, join_names, text_of
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.fields import join_fields


class TextColumns:
    """Reads the text of each record of a table.

    Of several columns, a record may lack some: a missing value, or null in JSON, is empty.

    Args:
        names: The columns, in the order in which their values are joined.
        file: The name of the table, for errors.

    Attributes:
        names: As the argument.
    """

    def __init__(self, names: Sequence[str], file: str) -> None:
        self.names = tuple(names)
        self._file = file
        self._unseen = dict.fromkeys(self.names)

    @classmethod
    def find(
        cls, columns: Sequence[str], requested: Sequence[str], file: str, is_header: bool = True
    ) -> TextColumns:
        """Find the columns of the texts.

        Args:
            columns: The columns of the table, or the keys of its first object.
            requested: The columns that the user named, if any.
            file: The name of the table, for errors.
            is_header: Whether every record has these columns. If not (JSONL), it is enough that the
                first object has one of several; `check` then looks for the others.

        Raises:
            LstmError: A requested column does not exist or is named twice, or none was requested
                and no column has a common name.
        """
        check_distinct(requested)
        if len(requested) < 2:
            name = requested[0] if requested else None
            return cls([find_column(columns, "text", name, file)], file)
        if is_header or not set(requested) & set(columns):
            requested = [find_column(columns, "text", name, file) for name in requested]
        return cls(requested, file)

    def read(self, record: Record, place: str) -> str:
        """Return the text of a record.

        Args:
            record: From `iter_records`.
            place: File and line, for errors.

        Raises:
            LstmError: A value is not a string; or a single column, or all of several, are missing.
        """
        if len(self.names) == 1:
            return text_of(record, self.names[0], place)
        present = [name for name in self.names if record.get(name) is not None]
        if not present and not any(name in record for name in self.names):
            raise LstmError(
                f"{place}: there is none of {join_names(self.names)}, only "
                f"{join_names(list(record))}."
            )
        for name in present:
            self._unseen.pop(name, None)
        values = [text_of(record, name, place) if name in present else "" for name in self.names]
        return join_fields(values)

    def check(self) -> None:
        """Check, after all records, that each of several columns was in one of them.

        Raises:
            LstmError: A column was in no record.
        """
        if len(self.names) > 1 and self._unseen:
            raise LstmError(
                f"{self._file} has no column {join_names(list(self._unseen))}: no row has a value "
                "there.",
                "Check --text-column (the setting data.text_columns), or leave that column out.",
            )


def check_distinct(names: Sequence[str]) -> None:
    """Check that no column is named twice.

    Raises:
        LstmError: One is (exit code 2).
    """
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise LstmError(
            f"The text column {twice!r} is named twice.",
            "Give --text-column once for each column.",
            ExitCode.USAGE,
        )
