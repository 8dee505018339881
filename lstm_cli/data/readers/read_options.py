"""How a file that people bring is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from lstm_cli.errors import ExitCode, LstmError

Format = Literal["csv", "tsv", "jsonl"]


def format_of(path: Path) -> Format:
    """Return the format that the suffix of a file stands for.

    Raises:
        LstmError: The suffix is not .csv, .tsv or .jsonl.
    """
    suffix = path.suffix.lower().removeprefix(".")
    for known in get_args(Format):
        if suffix == known:
            return known  # type: ignore[no-any-return]
    raise LstmError(
        f"{path} does not end in .csv, .tsv or .jsonl.",
        "Rename or convert it.",
        ExitCode.USAGE,
    )


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file, where a person says it.

    Attributes:
        format: The format; `auto` for the one that the file's name stands for.
    """

    format: Format | Literal["auto"] = "auto"


DEFAULT = ReadOptions()
