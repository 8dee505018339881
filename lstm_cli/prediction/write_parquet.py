"""Answers of `lstm predict` as Parquet: the columns of the input with their types, then ours."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from lstm_cli.io.optional import require
from lstm_cli.prediction.columns import PredictionColumns, free_name

if TYPE_CHECKING:
    from lstm_cli.data.kept_columns import KeptColumns
    from lstm_cli.data.records import InputRecord
    from lstm_cli.prediction.answers import Answer
    from lstm_cli.prediction.ranking import RankedPrediction
    from lstm_cli.prediction.write_text import Layout

# Rows and characters in a group, which is in memory.
_GROUP_ROWS = 16_384
_GROUP_CHARACTERS = 32 << 20


class ParquetWriter:
    """Writes answers in groups of rows; the last one at the end of a block.

    Columns of a Parquet or Arrow file keep their types. Those of other tables are text, and values
    of JSON that are not text are JSON.

    Attributes:
        num_cut: As for `Writer`.
    """

    def __init__(self, layout: Layout, file: BinaryIO, schema: Any = None) -> None:
        """Write the columns of a layout.

        Args:
            layout: What to write.
            file: Where to write it.
            schema: The types of the input's columns, a `pyarrow.Schema`, if it has them.
        """
        self.num_cut = 0
        self._kept, self._columns = layout.kept, layout.columns
        self._known = set(layout.kept.names)
        self._is_typed = schema is not None
        names = layout.kept.names
        prefix = f"{free_name(names)}_" if names else ""
        kept = [schema.field(name) if schema is not None else (name, "text") for name in names]
        own = zip(self._columns.names(prefix), self._columns.types(), strict=True)
        self._groups = _Groups(file, [*kept, *own])

    def __enter__(self) -> ParquetWriter:
        """Return the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the last group and the end of the file."""
        if kind is None:
            self._groups.close()
        else:
            self._groups.discard()

    def write(self, answer: Answer) -> None:
        """Write an answer, or keep it for its group."""
        record, prediction, _ = answer
        if prediction is None:
            reason = record.error.message if record.error else ""
            own = [None] * (len(self._columns.types()) - 1) + [reason]
        else:
            own = self._columns.values(prediction)
        if self._kept.is_open and not self._known.issuperset(record.fields or ()):
            self.num_cut += 1
        values = [*_kept_values(self._kept, record, self._is_typed), *own]
        self._groups.add(values, len(record.text))

    def flush(self) -> None:
        """Keep the rows until there is a group."""


def _kept_values(kept: KeptColumns, record: InputRecord, is_typed: bool) -> Sequence[Any]:
    """Return the values of an input: as they are, or as text, and None where there is none."""
    fields = kept.fields(record)
    if is_typed:
        return [fields.get(name) for name in kept.names]
    cells = zip(kept.names, kept.cells(record), strict=True)
    return [None if fields.get(name) is None else cell for name, cell in cells]


def write_ranked_parquet(
    ranked: Sequence[RankedPrediction], columns: PredictionColumns, file: BinaryIO
) -> None:
    """Write the texts of a ranking."""
    own = zip(columns.names(), columns.types(), strict=True)
    place = [("record", "integer"), ("uncertainty", "number")]
    groups = _Groups(file, [*place, *own, ("text", "text")])
    for r in ranked:
        values = [r.record, r.uncertainty, *columns.values(r.prediction), r.text]
        groups.add(values, len(r.text))
    groups.close()


class _Groups:
    """Rows of a Parquet file, written in groups."""

    def __init__(self, file: BinaryIO, columns: Sequence[Any]) -> None:
        """Begin a file.

        Args:
            file: Where to write.
            columns: For each column a field of pyarrow, or its name and its type in words.
        """
        require("pyarrow", purpose="Writing Parquet")
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {
            "text": pa.string(),
            "number": pa.float32(),
            "integer": pa.int64(),
            "flag": pa.bool_(),
            "texts": pa.list_(pa.string()),
            "numbers": pa.list_(pa.float32()),
        }
        fields = [
            pa.field(column[0], types[column[1]]) if isinstance(column, tuple) else column
            for column in columns
        ]
        # A row that cannot be read has no values.
        self._schema = pa.schema([field.with_nullable(True) for field in fields])
        self._writer = pq.ParquetWriter(file, self._schema)
        self._rows: list[Sequence[Any]] = []
        self._num_characters = 0

    def add(self, values: Sequence[Any], num_characters: int) -> None:
        """Add a row; write the group if it is full."""
        self._rows.append(values)
        self._num_characters += num_characters
        if len(self._rows) >= _GROUP_ROWS or self._num_characters >= _GROUP_CHARACTERS:
            self._write()

    def close(self) -> None:
        """Write the last group and the end of the file."""
        self._write()
        self._writer.close()

    def discard(self) -> None:
        """End the writer after an error, while its file is open: the file is removed next."""
        with contextlib.suppress(Exception):
            self._writer.close()

    def _write(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        arrays = [
            pa.array(values, type=field.type)
            for values, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
        ]
        self._writer.write_table(pa.table(arrays, schema=self._schema))
        self._rows, self._num_characters = [], 0
