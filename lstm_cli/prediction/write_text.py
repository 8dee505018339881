"""Answers of `lstm predict` as CSV, TSV or JSON Lines."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from lstm_cli.io.atomic_write import open_atomic
from lstm_cli.io.json_text import json_line
from lstm_cli.prediction.columns import OWN_NAME, PredictionColumns, classes, free_name

if TYPE_CHECKING:
    from lstm_cli.data.kept_columns import KeptColumns
    from lstm_cli.prediction.answers import Answer
    from lstm_cli.prediction.ranking import RankedPrediction
    from lstm_cli.prediction.result import Prediction

# Formats of files by the end of their names, and the ends of compressed files.
FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".parquet": "parquet"}
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


@dataclass(frozen=True)
class Layout:
    """What is written for an answer.

    Attributes:
        format: `table`, `csv`, `tsv` or `jsonl`.
        header: Whether CSV and TSV start with the names of the columns.
        kept: What of the input comes first.
        columns: What of the prediction follows.
    """

    format: str
    header: bool
    kept: KeptColumns
    columns: PredictionColumns


class Writer(Protocol):
    """Writes answers one by one.

    Attributes:
        num_cut: Records of which a field was not written.
    """

    num_cut: int

    def write(self, answer: Answer) -> None:
        """Write an answer."""

    def flush(self) -> None:
        """Write what is held back: the next input may take a while."""


def format_of(name: str) -> str | None:
    """Return the format that the name of a file stands for, compressed or not; None for others."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


@dataclass(frozen=True)
class Target:
    """Where text goes.

    Attributes:
        write: Writes text.
        flush: Passes on what was written; the next input may take a while.
        is_file: Whether it is a file, and not stdout.
        to_json: Returns a value as one line of JSON.
    """

    write: Callable[[str], Any]
    flush: Callable[[], None]
    is_file: bool
    to_json: Callable[[Any], str] = json_line


@contextlib.contextmanager
def open_text_file(out: Path) -> Iterator[Target]:
    """Open a file, compressed if its name says so.

    The file gets its name at the end of the block. If the block fails, an old file stays.

    Raises:
        LstmError: The file cannot be written.
    """
    with open_atomic(out) as file, _compress(file, out.suffix.lower()) as stream:
        text = io.TextIOWrapper(stream, "utf-8", "backslashreplace", newline="")
        yield Target(text.write, _nothing, is_file=True)
        text.flush()
        text.detach()


def make_writer(layout: Layout, target: Target) -> Writer:
    """Return a writer of CSV, TSV or JSON Lines."""
    return (_JsonWriter if layout.format == "jsonl" else _ColumnsWriter)(layout, target)


def write_ranked(ranked: Sequence[RankedPrediction], layout: Layout, target: Target) -> None:
    """Write the texts of a ranking as CSV, TSV or JSON Lines."""
    columns = layout.columns
    if layout.format == "jsonl":
        for r in ranked:
            place = {"record": r.record, "uncertainty": r.uncertainty, "similarity": r.similarity}
            fields = {**place, **to_fields(r.prediction, columns.top_k), "text": r.text}
            target.write(target.to_json(fields) + "\n")
        return
    write_row = _row_writer(layout.format, target)
    if layout.header or target.is_file:
        write_row(["record", "uncertainty", *columns.names(), "text"])
    for r in ranked:
        place_cells = [str(r.record), f"{r.uncertainty:.6f}"]
        write_row([*place_cells, *columns.cells(r.prediction), r.text])


def _nothing() -> None:
    pass


@contextlib.contextmanager
def _compress(file: BinaryIO, suffix: str) -> Iterator[Any]:
    """Compress what is written, as the suffix says."""
    if suffix not in COMPRESSED:
        yield file
        return
    with _compressor(file, suffix) as stream:
        yield stream


def _compressor(file: BinaryIO, suffix: str) -> Any:
    """Return a file that compresses.

    Raises:
        LstmError: The package for .zst is not installed.
    """
    if suffix == ".gz":
        import gzip

        # Without name and time, equal answers are equal files.
        return gzip.GzipFile("", "wb", fileobj=file, mtime=0)
    if suffix == ".bz2":
        import bz2

        return bz2.BZ2File(file, "wb")
    if suffix == ".xz":
        import lzma

        return lzma.LZMAFile(file, "wb")
    from lstm_cli.data.readers.compression import load_zstd

    return load_zstd().ZstdFile(file, mode="wb")


class _ColumnsWriter:
    """Writes CSV and TSV.

    TSV on stdout has no quotes, so that `cut` and `awk` read it: tabs and line breaks in a cell
    become spaces. In a file nothing may be lost, so TSV has quotes as CSV does.

    Attributes:
        num_cut: Records with fields that have no column, because the first records lacked them.
    """

    def __init__(self, layout: Layout, target: Target) -> None:
        self.flush = target.flush
        self.num_cut = 0
        self._kept, self._columns = layout.kept, layout.columns
        self._known = set(layout.kept.names)
        self._write_row = _row_writer(layout.format, target)
        if layout.header or target.is_file:
            names = self._kept.names
            prefix = f"{free_name(names)}_" if names else ""
            self._write_row([*names, *self._columns.names(prefix)])

    def write(self, answer: Answer) -> None:
        """Write a row."""
        record, prediction, _ = answer
        if prediction is None:
            own = self._columns.empty(record.error.message if record.error else "")
        else:
            own = self._columns.cells(prediction)
        if self._kept.is_open and not self._known.issuperset(record.fields or ()):
            self.num_cut += 1
        self._write_row([*self._kept.cells(record), *own] if self._kept.names else own)


def _row_writer(format_: str, target: Target) -> Callable[[list[str]], Any]:
    """Return a function that writes the cells of a row."""
    write = target.write
    if format_ == "tsv" and not target.is_file:
        return lambda row: write(_tsv_line(row))
    import csv

    delimiter = "\t" if format_ == "tsv" else ","
    return csv.writer(_Lines(write), delimiter=delimiter, lineterminator="\n").writerow


class _Lines:
    """A file for the csv module."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self.write = write


def _tsv_line(row: list[str]) -> str:
    """Return a line of TSV without quotes; tabs and line breaks in cells become spaces."""
    line = "\t".join(row)
    if line.count("\t") >= len(row) or "\n" in line or "\r" in line:
        line = "\t".join(re.sub(r"[\t\r\n]", " ", cell) for cell in row)
    return line + "\n"


class _JsonWriter:
    """Writes one object a line: the prediction alone, or under a key beside the fields kept."""

    num_cut = 0

    def __init__(self, layout: Layout, target: Target) -> None:
        self.flush = target.flush
        self._kept, self._top_k = layout.kept, layout.columns.top_k
        self._write, self._to_text = target.write, target.to_json

    def write(self, answer: Answer) -> None:
        """Write an object."""
        record, prediction, _ = answer
        own: dict[str, Any]
        if prediction is None:
            own = {"label": "", "error": record.error.message if record.error else ""}
        else:
            own = to_fields(prediction, self._top_k)
        if self._kept.names:
            fields = self._kept.fields(record)
            own = fields | {_free_key(fields): own}
        self._write(self._to_text(own) + "\n")


def _free_key(fields: dict[str, Any]) -> str:
    return free_name(fields) if OWN_NAME in fields else OWN_NAME


def to_fields(prediction: Prediction, top_k: int | None) -> dict[str, Any]:
    """Return a prediction as plain JSON types."""
    return prediction.to_dict() | {"probabilities": dict(classes(prediction, top_k))}
