"""How a file that people bring is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lstm_cli.errors import ExitCode, LstmError

AUTO = "auto"

Format = Literal["csv", "tsv", "jsonl", "json", "fasttext", "parquet", "arrow", "lines"]
Quoting = Literal["auto", "none"]
# The formats of tables that `lstm` writes.
TableFormat = Literal["csv", "tsv", "jsonl"]
TABLE_FORMATS: tuple[TableFormat, ...] = ("csv", "tsv", "jsonl")

# A delimiter by name, for shells in which the character is hard to type.
_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


def format_of(path: Path) -> TableFormat:
    """Return the format that a table with this name is written in.

    Raises:
        LstmError: The suffix is not .csv, .tsv or .jsonl.
    """
    suffix = path.suffix.lower().removeprefix(".")
    for known in TABLE_FORMATS:
        if suffix == known:
            return known
    raise LstmError(
        f"{path} does not end in .csv, .tsv or .jsonl.",
        "Give the file one of these names.",
        ExitCode.USAGE,
    )


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file, where a person says it; `auto` for what its content shows.

    Attributes:
        format: The format.
        encoding: A text encoding that Python knows, in lower case. `auto`: by the byte order mark,
            UTF-8 without it; lines that are not valid UTF-8 are read by a guess, and counted.
        delimiter: What separates the fields of CSV and TSV, one character or a name such as `tab`.
        quoting: `none` if double quotes are characters like others in CSV and TSV.
        header: Whether the first line of CSV and TSV names the columns. If not, they are named by
            their numbers, from 1.

    Raises:
        LstmError: The encoding is unknown, or the delimiter is not one character (exit code 2).
    """

    format: Format | Literal["auto"] = "auto"
    encoding: str = AUTO
    delimiter: str = AUTO
    quoting: Quoting = "auto"
    header: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", _known_encoding(self.encoding))
        object.__setattr__(self, "delimiter", _one_character(self.delimiter))

    def changed(self) -> dict[str, Any]:
        """Return the options that are not the defaults, by name."""
        return {
            name: value for name, value in vars(self).items() if value != getattr(DEFAULT, name)
        }

    def words(self) -> list[str]:
        """Return these options as words of a command line; none for the defaults."""
        words = []
        for name, value in self.changed().items():
            if name == "header":
                words.append("--no-header")
            else:
                words += ["--input-format" if name == "format" else f"--{name}", value]
        return words


def _known_encoding(name: str) -> str:
    """Return the name of a text encoding, in lower case and with hyphens.

    Raises:
        LstmError: Python does not know it, or it is not one of texts.
    """
    if name == AUTO:
        return name
    try:
        "a\n".encode(name)
    except (LookupError, ValueError) as error:
        raise LstmError(
            f"There is no text encoding {name!r}.",
            "For example: --encoding windows-1252, latin-1, utf-16, shift_jis or gb18030.",
            ExitCode.USAGE,
        ) from error
    return name.lower().replace("_", "-")


def _one_character(delimiter: str) -> str:
    """Return the character of a delimiter that may be given by name.

    Raises:
        LstmError: It is not one character, or one that cannot separate fields.
    """
    if delimiter == AUTO:
        return delimiter
    character = _DELIMITERS.get(delimiter.lower(), delimiter)
    if len(character) != 1 or character in '"\r\n\0':
        raise LstmError(
            f"A delimiter is one character, found {delimiter!r}.",
            "For example: --delimiter ';' or --delimiter tab",
            ExitCode.USAGE,
        )
    return character


DEFAULT = ReadOptions()
