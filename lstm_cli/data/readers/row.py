"""The rows of a table, and what was found out about the file while reading it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lstm_cli.data.pipe import PIPE_NAME
from lstm_cli.data.readers.columns import Record
from lstm_cli.data.readers.encoding import GUESS
from lstm_cli.errors import LstmError
from lstm_cli.io.text_format import pluralize

_DELIMITER_NAMES = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "'|'", " ": "a space"}
# The usual suffix and delimiter of a format: the user is informed of any other.
_SUFFIXES = {"fasttext": ".txt", "lines": ".txt"}


class Row(NamedTuple):
    """A record of a table, or why it cannot be read.

    Attributes:
        line: The line at which it starts, counted from 1; in Parquet and Arrow its number.
        record: Its values by column: strings in CSV and TSV, any JSON value in the other formats.
            Empty if there is an error.
        error: Why it cannot be read; the error names the line. Rows after it can be read.
    """

    line: int
    record: Record
    error: LstmError | None = None


@dataclass
class Found:
    """How a file is read, and what was counted while its rows were read.

    Attributes:
        format: The format; empty before the file is opened.
        compression: `gzip`, `zstd`, `bzip2` or `xz`; empty if there is none.
        encoding: The encoding of the text; empty for Parquet and Arrow.
        is_guess: Whether the whole encoding is a guess.
        delimiter: What separates the fields of CSV and TSV; else empty.
        num_guessed: Number of lines that are not UTF-8, and were read by a guess.
        first_guessed: The first of these, counted from 1; 0 if there is none.
        merged: First and last line of rows that a pair of stray quotes has probably made of
            several rows; at most the first few.
        num_merged: Number of such rows.
    """

    format: str = ""
    compression: str = ""
    encoding: str = ""
    is_guess: bool = False
    delimiter: str = ""
    num_guessed: int = 0
    first_guessed: int = 0
    merged: list[tuple[int, int]] = field(default_factory=list)
    num_merged: int = 0

    def add_guessed(self, line: int) -> None:
        """Count a line that was read by a guess of its encoding."""
        self.first_guessed = self.first_guessed or line
        self.num_guessed += 1

    def add_merged(self, first: int, last: int) -> None:
        """Count a row that is probably several rows between two stray quotes."""
        self.num_merged += 1
        if len(self.merged) < 3:
            self.merged.append((first, last))

    def notes(self, name: str) -> list[str]:
        """Return what a person should know, once the rows were read.

        Args:
            name: The name of the file.
        """
        return [*self._format_notes(name), *self._encoding_notes(name), *self._quoting_notes(name)]

    def _format_notes(self, name: str) -> Iterator[str]:
        """Yield the format, if the name of the file stands for another one, and the delimiter."""
        plain = name.lower()
        for suffix in (".gz", ".zst", ".bz2", ".xz"):
            plain = plain.removesuffix(suffix)
        usual = _SUFFIXES.get(self.format, f".{self.format}")
        parts = []
        if self.delimiter not in ("", {"csv": ",", "tsv": "\t"}.get(self.format, "")):
            parts.append(f"fields separated by {delimiter_name(self.delimiter)}")
        if self.compression and plain == name.lower():
            parts.append(f"compressed by {self.compression}")
        # A pipe has no name; lines are what it usually holds.
        is_usual = plain.endswith(usual) or (name == PIPE_NAME and self.format == "lines")
        if parts or not is_usual:
            yield f"{name} is read as {', '.join([FORMAT_NAMES[self.format], *parts])}."

    def _encoding_notes(self, name: str) -> Iterator[str]:
        """Yield an encoding that is not UTF-8."""
        if self.num_guessed:
            lines = pluralize(self.num_guessed, "line")
            is_or_are = "is" if self.num_guessed == 1 else "are"
            yield (
                f"{name}: {lines} {is_or_are} not UTF-8 (the first is line {self.first_guessed}), "
                f"read as {GUESS}, which is a guess. If it is wrong, name the encoding with "
                "--encoding."
            )
        elif self.is_guess:
            yield (
                f"{name} is read as {self.encoding.upper()}, which is a guess: every second byte "
                "is 0. If it is wrong, name the encoding with --encoding."
            )
        elif self.encoding not in ("", "utf-8"):
            yield f"{name} is read as {self.encoding}."

    def _quoting_notes(self, name: str) -> Iterator[str]:
        """Yield rows that may be several rows."""
        if not self.num_merged:
            return
        places = ", ".join(f"{first} to {last}" for first, last in self.merged)
        more = ", ..." if self.num_merged > len(self.merged) else ""
        yield (
            f"{name}: {pluralize(self.num_merged, 'row')} between two double quotes may be several "
            f"rows (lines {places}{more}). If they are, give --quoting none."
        )


FORMAT_NAMES = {
    "csv": "CSV",
    "tsv": "TSV",
    "jsonl": "JSONL (a JSON object per line)",
    "json": "JSON objects",
    "fasttext": "fastText's format (__label__...)",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "lines": "plain lines, one text in each",
}


def delimiter_name(delimiter: str) -> str:
    """Return a delimiter in words, for sentences."""
    return _DELIMITER_NAMES.get(delimiter, repr(delimiter))


@dataclass(frozen=True)
class Rows:
    """The rows of an opened table, which are read once, lazily.

    Attributes:
        columns: The columns of every record, in their order; None if each record has its own keys
            (JSONL). A column without a name is called by its number: `column 3`.
        rows: The rows.
        found: How the file is read; its counts grow while the rows are read.
        schema: The types of the columns in Parquet and Arrow, a `pyarrow.Schema`; None in others.
    """

    columns: tuple[str, ...] | None
    rows: Iterator[Row]
    found: Found
    schema: Any = None

    def __iter__(self) -> Iterator[Row]:
        """Return the rows that are left.

        Raises:
            LstmError: What follows cannot be read either: an unclosed quote, a read error.
        """
        return self.rows
