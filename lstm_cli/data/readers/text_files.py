"""Which files of a folder are texts, and how many are not read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lstm_cli.data.readers.columns import abbreviate
from lstm_cli.errors import ExitCode, LstmError

# Files of these suffixes are texts, and files without one if they are not binary.
TEXT_SUFFIXES = (".txt", ".text")
# A suffix that names a type begins with a letter and is short: `1999-12-10.7c53` has none.
_TYPE_SUFFIX = re.compile(r"\.[a-z][a-z0-9_]{0,9}")
_LINK, _BINARY = "linked folder", "binary file without suffix"
_START_SIZE = 4096


@dataclass(frozen=True)
class TextFiles:
    """The files of a folder and its subfolders, without hidden ones.

    Attributes:
        texts: Files with one text each: those of a folder by name, then those of its subfolders.
        skipped: How many files of each other type there are.
    """

    texts: list[Path] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def find_text_files(folder: Path) -> TextFiles:
    """Find the texts in a folder, at any depth.

    Raises:
        LstmError: A folder cannot be read (exit code 3).
    """
    found = TextFiles()
    for path in _walk(folder, found.skipped):
        kind = _skipped_type(path)
        if kind is None:
            found.texts.append(path)
        else:
            found.skipped[kind] += 1
    return found


def visible_entries(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted by name, without what is hidden.

    Raises:
        LstmError: The folder cannot be read (exit code 3).
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise LstmError(f"Cannot read {folder}: {error.strerror}.", "", ExitCode.DATA) from error


def describe_skipped(skipped: Counter[str]) -> str:
    """Return how many files of each type are not read: `12 .html, 1 .pdf`."""
    return abbreviate([f"{num:,} {kind}" for kind, num in skipped.most_common()])


def _walk(folder: Path, skipped: Counter[str]) -> Iterator[Path]:
    """Yield the files of a folder, then those of its subfolders."""
    folders = []
    for entry in visible_entries(folder):
        if entry.is_file():
            yield entry
        elif entry.is_dir():
            folders.append(entry)
    for entry in folders:
        # A link can lead back to the folder it is in.
        if entry.is_symlink():
            skipped[_LINK] += 1
        else:
            yield from _walk(entry, skipped)


def _skipped_type(path: Path) -> str | None:
    """Return the type of a file that is not a text; None for a text."""
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        return None
    if _TYPE_SUFFIX.fullmatch(suffix):
        return suffix
    try:
        with path.open("rb") as stream:
            return _BINARY if b"\0" in stream.read(_START_SIZE) else None
    except OSError:
        return None  # the error says more when the whole file is read
