"""Parquet and Arrow: rows from files of columns, read in batches."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

from lstm_cli.data.readers.row import Found, Row, Rows
from lstm_cli.errors import LstmError
from lstm_cli.io.optional import require

_BATCH_ROWS = 1024
_BLOCK = 1 << 20


@contextlib.contextmanager
def open_columnar(
    stream: BinaryIO, format_: Literal["parquet", "arrow"], name: str, found: Found
) -> Iterator[Rows]:
    """Open a file of columns for the duration of a block.

    Args:
        stream: Bytes. What is not a file on disk is copied to a temporary one, because the
            description of the columns stands at the end.
        format_: `arrow` is a file (also Feather of version 2) or a stream.
        name: The name of the source, for errors.
        found: How the file is read, for `Rows`.

    Raises:
        LstmError: pyarrow is not installed, or the file is damaged or of another format.
    """
    require("pyarrow", purpose=f"Reading {format_.capitalize()}")
    with contextlib.ExitStack() as stack:
        if not stream.seekable():
            file = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(stream, file, _BLOCK)
            file.seek(0)
            stream = file
        with _translated(name, format_):
            schema, batches = (_parquet if format_ == "parquet" else _arrow)(stream)
            columns = tuple(schema.names)
        if len(set(columns)) < len(columns):
            raise LstmError(f"{name} has two columns of one name.", "Rename one.")
        yield Rows(columns, _rows(batches, name, format_), found, schema)


def _parquet(stream: BinaryIO) -> tuple[Any, Iterator[Any]]:
    """Return the schema and the batches of a Parquet file."""
    import pyarrow.parquet as pq

    # Pages are read as they are needed; by default, whole groups of rows are.
    file = pq.ParquetFile(stream, buffer_size=_BLOCK, pre_buffer=False)
    return file.schema_arrow, file.iter_batches(_BATCH_ROWS, use_threads=False)


def _arrow(stream: BinaryIO) -> tuple[Any, Iterator[Any]]:
    """Return the schema and the batches of an Arrow file or stream."""
    import pyarrow as pa

    is_file = stream.read(6) == b"ARROW1"
    stream.seek(0)
    if not is_file:
        reader = pa.ipc.open_stream(stream)
        return reader.schema, iter(reader)
    reader = pa.ipc.open_file(stream)
    return reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches))


def _rows(batches: Iterator[Any], name: str, format_: str) -> Iterator[Row]:
    """Yield the rows of batches, numbered from 1."""
    number = 0
    while True:
        with _translated(name, format_):
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            with _translated(name, format_):
                records = batch.slice(start, _BATCH_ROWS).to_pylist()
            for record in records:
                number += 1
                yield Row(number, record)


@contextlib.contextmanager
def _translated(name: str, format_: str) -> Iterator[None]:
    """Turn the errors of pyarrow into one that names the file."""
    import pyarrow as pa

    try:
        yield
    except LstmError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise LstmError(
            f"{name} cannot be read as {format_.capitalize()}: {reason:.300}.",
            "Copy or download the file again, or write it again with pyarrow.",
        ) from error
