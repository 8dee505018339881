"""Which columns a file of answers has, and the writer for its format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_cli.data.kept_columns import Keep, choose_kept
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.records import Records, all_keys
from lstm_cli.io.atomic_write import open_atomic
from lstm_cli.prediction.columns import PredictionColumns
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.write_parquet import ParquetWriter
from lstm_cli.prediction.write_text import Layout, Writer, make_writer, open_text_file


@dataclass(frozen=True)
class Content:
    """What to write for an answer, before the columns of the input are known.

    Attributes:
        format: `table`, `csv`, `tsv`, `jsonl` or `parquet`.
        header: Whether CSV and TSV on stdout start with the names of the columns.
        top_k: How many classes to write; None for all.
        keep: What of the input to write.
        id_column: The column for `keep="id"`, if it was named.
    """

    format: str
    header: bool = False
    top_k: int | None = None
    keep: Keep = "none"
    id_column: str | None = None


def choose_layout(
    content: Content,
    predictor: Predictor,
    records: Records,
    file: Path | None,
    options: ReadOptions,
) -> Layout:
    """Choose the columns to write for an input.

    Args:
        content: What to write.
        predictor: Of the run.
        records: The input.
        file: The file of the input, if it can be read once more.
        options: How to read it.

    Raises:
        LstmError: The input has no column that identifies a row, and `content.keep` needs it.
    """
    columns, is_open = records.columns, records.is_open
    if is_open and file is not None and content.keep == "all" and content.format != "jsonl":
        # Every object may have keys of its own, and the first line needs all of them.
        columns = all_keys(file, options)
    id_column = content.id_column
    if content.keep == "id" and id_column is None:
        trained_with = predictor.config.data.id_column
        id_column = trained_with if trained_with in (columns or ()) else None
    kept = choose_kept(content.keep, columns, id_column, predictor.kind, is_open)
    has_errors = columns is not None or predictor.kind == "image"
    own = PredictionColumns.of(predictor, content.top_k, has_errors)
    return Layout(content.format, content.header, kept, own)


@contextlib.contextmanager
def open_file_writer(layout: Layout, out: Path, schema: Any = None) -> Iterator[Writer]:
    """Open a file of answers, which gets its name at the end of the block.

    Args:
        layout: What to write.
        out: The file.
        schema: The types of the input's columns, for Parquet, if it has them.

    Raises:
        LstmError: The file cannot be written.
    """
    if layout.format == "parquet":
        with open_atomic(out) as file, ParquetWriter(layout, file, schema) as parquet:
            yield parquet
        return
    with open_text_file(out) as target:
        yield make_writer(layout, target)
