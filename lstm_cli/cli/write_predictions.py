"""Answers of `lstm predict` as CSV, TSV or JSON Lines, on stdout or in a file."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from lstm_cli.cli import output
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction.columns import OWN_NAME, PredictionColumns, classes, free_name

if TYPE_CHECKING:
    from lstm_cli.data.kept_columns import KeptColumns
    from lstm_cli.prediction.answers import Answer
    from lstm_cli.prediction.ranking import RankedPrediction
    from lstm_cli.prediction.result import Prediction

_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".parquet": "parquet"}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


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


def resolve_format(format_: str, out: Path | None) -> str:
    """Return the format to write: of the file's name, or for stdout.

    Args:
        format_: As typed.
        out: The file; None for stdout.

    Raises:
        LstmError: The name of the file stands for no format, or a table cannot be in a file, or
            Parquet not elsewhere (exit code 2).
    """
    if out is None:
        if format_ == "parquet":
            raise LstmError(
                "--format parquet needs a file.", "Name it: --out FILE.parquet", ExitCode.USAGE
            )
        if format_ != "auto":
            return format_
        return "table" if output.is_terminal() else "tsv"
    if format_ == "table":
        raise LstmError(
            "--format table is for the terminal.",
            "Name the file .csv, .tsv, .jsonl or .parquet, and leave out --format.",
            ExitCode.USAGE,
        )
    if format_ != "auto":
        return format_
    suffix = "".join(s for s in out.suffixes[-2:] if s.lower() not in _COMPRESSED)
    found = _SUFFIXES.get(Path(f"x{suffix}").suffix.lower())
    if found is None:
        raise LstmError(
            f"--out expects a name that ends in {', '.join(_SUFFIXES)}, found '{out}'.",
            "Or choose with --format.",
            ExitCode.USAGE,
        )
    return found


def check_out(out: Path | None, file: Path | None) -> None:
    """Check that the output does not replace the input.

    Raises:
        LstmError: It would (exit code 2).
    """
    with contextlib.suppress(OSError, ValueError):
        if out is not None and file is not None and out.samefile(file):
            raise LstmError(
                f"--out {out} is the file that is read.", "Name another file.", ExitCode.USAGE
            )


@dataclass(frozen=True)
class Target:
    """Where text goes.

    Attributes:
        write: Writes text.
        flush: Passes on what was written; the next input may take a while.
        is_file: Whether it is a file, and not stdout.
    """

    write: Callable[[str], Any]
    flush: Callable[[], None]
    is_file: bool


@contextlib.contextmanager
def open_target(out: Path | None) -> Iterator[Target]:
    """Open a file, compressed if its name says so, or stdout.

    The file gets its name at the end of the block. If the block fails, an old file stays.

    Raises:
        LstmError: The file cannot be written.
    """
    if out is None:
        # A pipe gets the data as it is; to ask for each row whether it is one would take time.
        write = output.write_data if output.is_terminal() else sys.stdout.write
        yield Target(write, sys.stdout.flush, is_file=False)
        return
    from lstm_cli.io.atomic_write import open_atomic

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
            target.write(_to_json(target)(fields) + "\n")
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
    if suffix not in _COMPRESSED:
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
        self._write, self._to_text = target.write, _to_json(target)

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


def _to_json(target: Target) -> Callable[[Any], str]:
    return output.json_line if target.is_file else output.json_text


def _free_key(fields: dict[str, Any]) -> str:
    return free_name(fields) if OWN_NAME in fields else OWN_NAME


def to_fields(prediction: Prediction, top_k: int | None) -> dict[str, Any]:
    """Return a prediction as plain JSON types."""
    return prediction.to_dict() | {"probabilities": dict(classes(prediction, top_k))}
