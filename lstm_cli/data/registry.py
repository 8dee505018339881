"""Which data sets there are, and which kind of source a name stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lstm_cli.data.dataset import Kind
from lstm_cli.data.source import DataSource, RawDataset
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io import paths

Origin = Literal["embedded", "tfds", "table", "folder"]

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True)
class Entry:
    """A data set known by name.

    Attributes:
        name: What is typed.
        origin: Where it comes from.
        kind: What an input is.
        description: One line for a list.
        train: Number of examples for training and validation.
        test: Number of examples for testing.
        num_classes: Number of labels.
    """

    name: str
    origin: Origin
    kind: Kind
    description: str
    train: int
    test: int
    num_classes: int


_ENTRIES = (
    Entry("demo", "embedded", "text", "Generated film reviews: one word decides", 6000, 1000, 2),
    Entry("imdb", "tfds", "text", "Film reviews from IMDB (TFDS imdb_reviews)", 25000, 25000, 2),
    Entry("digits", "embedded", "image", "Digits, 8 rows of 8 (scikit-learn)", 1438, 359, 10),
    Entry("mnist", "tfds", "image", "Digits, 28 rows of 28 (TFDS mnist)", 60000, 10000, 10),
)


def names() -> tuple[Entry, ...]:
    """The data sets known by name, for `lstm data list`."""
    return _ENTRIES


def resolve(name: str) -> Origin:
    """Say which kind of source a name stands for.

    A registered name wins over a file or folder of that name; `./imdb` is the folder.

    Raises:
        LstmError: No such data set (nearest names offered), no such path, or a file of no kind
            that can be read.
    """
    for entry in _ENTRIES:
        if entry.name == name:
            return entry.origin
    if name.startswith("tfds:"):
        return "tfds"
    path = paths.expand(name)
    if paths.is_folder(path):
        return "folder"
    if path.suffix.lower() in TABLE_SUFFIXES and paths.exists(path):
        return "table"
    raise _no_such(name, path)


def _no_such(name: str, path: Path) -> LstmError:
    """Tell an unknown name from a path that leads nowhere and from a file we cannot read."""
    if paths.exists(path):
        return LstmError(
            f"{name!r} is a file, but not one of {', '.join(TABLE_SUFFIXES)}.",
            "Give a table with a text and a label column, or a folder with a subfolder per class.",
            ExitCode.USAGE,
        )
    if "/" in name or "\\" in name or path.suffix.lower() in (*TABLE_SUFFIXES, ".txt", ".json"):
        return LstmError(
            f"There is no file or folder {name!r}.",
            f"Looked in {path.absolute().parent}. Check the path, or see `lstm data list`.",
            ExitCode.DATA,
        )
    return LstmError(
        f"There is no data set {name!r}.",
        f"{suggest(name, [entry.name for entry in _ENTRIES])} Or give tfds:NAME, or a path "
        f"({', '.join(TABLE_SUFFIXES)}, or a folder with a subfolder per class).",
        ExitCode.USAGE,
    )


def open_raw(source: DataSource) -> RawDataset:
    """Find what `source` names, with the reader of its kind."""
    origin = resolve(source.name)
    if origin == "embedded":
        from lstm_cli.data.readers.builtin import open_demo, open_digits

        return (open_demo if source.name == "demo" else open_digits)(source)
    if origin == "tfds":
        from lstm_cli.data.readers.tfds import open_tfds

        return open_tfds(source)
    from lstm_cli.data.readers.files import open_path

    return open_path(source)
