"""The data sets known by name, and which reader a name or a path belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lstm_cli.data.dataset import Kind
from lstm_cli.data.readers.open_rows import check_file
from lstm_cli.data.source import DataSource, RawDataset
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io import paths

Origin = Literal["embedded", "tfds", "table", "folder", "images"]


@dataclass(frozen=True)
class Entry:
    """A data set known by name.

    Attributes:
        name: The name on the command line.
        origin: The kind of reader.
        kind: The kind of input.
        description: One line for `lstm data list`.
        train: Number of examples for training and validation.
        test: Number of test examples.
        num_classes: Number of classes.
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
    """Return the data sets known by name, for `lstm data list`."""
    return _ENTRIES


def resolve(name: str) -> Origin:
    """Return the kind of source that a name stands for.

    A known name takes precedence over a file or folder of that name; `./imdb` is the folder.

    Raises:
        LstmError: The name or path does not exist, the file is not a table by its content, or the
            class folders of a folder hold both texts and images.
    """
    for entry in _ENTRIES:
        if entry.name == name:
            return entry.origin
    if name.startswith("tfds:"):
        return "tfds"
    path = paths.expand(name)
    is_folder = paths.is_folder(path)
    if paths.exists(path):
        from lstm_cli.data.readers.own_images import holds_images

        if holds_images(path):
            return "images"
        if is_folder:
            return "folder"
        # Its content decides, not its name. Whether a text is a table is seen when it is read,
        # because options say how.
        check_file(path)
        return "table"
    raise _not_found(name, path)


def is_known(name: str) -> bool:
    """Return whether a data set is known by name: its splits are fixed, and need no checks."""
    return name in {entry.name for entry in _ENTRIES}


def is_path(name: str) -> bool:
    """Return whether a name stands for a file or folder of the user.

    Raises:
        LstmError: As `resolve`.
    """
    return resolve(name) in ("table", "folder", "images")


def _not_found(name: str, path: Path) -> LstmError:
    """Return the error for an unknown name or a missing path."""
    if "/" in name or "\\" in name or path.suffix:
        return LstmError(
            f"There is no file or folder {name!r}.",
            f"Looked in {path.absolute().parent}. Check the path, or see 'lstm data list'.",
            ExitCode.DATA,
        )
    return LstmError(
        f"There is no data set {name!r}.",
        f"{suggest(name, [entry.name for entry in _ENTRIES])} Or give tfds:NAME, or a path "
        "(a table such as data.csv, or a folder with a subfolder per class).",
        ExitCode.USAGE,
    )


def _check_no_row_columns(source: DataSource) -> None:
    """Refuse columns of ids and weights for data that has no rows with columns.

    Raises:
        LstmError: There are such settings (exit code 2).
    """
    for key, column in (("id", source.id_column), ("weight", source.weight_column)):
        if column is not None:
            raise LstmError(
                f"{source.name} is not a table: it has no column {column!r}.",
                f"Leave out --{key}-column (the setting data.{key}_column).",
                ExitCode.USAGE,
            )


def check_split_files(name: str, validation_file: Any, test_file: Any) -> None:
    """Check the files of other splits: that they have an effect, and that they exist.

    Args:
        name: Of the data set.
        validation_file: Path of the validation rows, or None.
        test_file: Path of the test rows, or None.

    Raises:
        LstmError: The data set has splits of its own (exit code 2), or there is no such file or
            folder (exit code 3).
    """
    for split, file in {"validation": validation_file, "test": test_file}.items():
        if file is None:
            continue
        if not is_path(name):
            raise LstmError(
                f"--{split} (data.{split}_file) is for a table or a folder; {name!r} has splits of "
                "its own.",
                f"Leave it out, or score a run on the file: lstm eval {file}",
                ExitCode.USAGE,
            )
        if not paths.exists(paths.expand(file)):
            raise LstmError(
                f"There is no {split} file or folder {str(file)!r}.",
                f"Check --{split} (data.{split}_file), or leave it out to split off a fraction of "
                "the examples.",
                ExitCode.DATA,
            )


def open_raw(source: DataSource) -> RawDataset:
    """Open the data set that `source` names, with the reader of its kind.

    Raises:
        LstmError: The data is missing or malformed, or `image_size` has no effect on it.
    """
    check_split_files(source.name, source.validation_file, source.test_file)
    origin = resolve(source.name)
    if origin != "table":
        _check_no_row_columns(source)
    if source.image_size is not None and origin != "images":
        raise LstmError(
            f"image.size has no effect: {source.name} does not hold images of your own.",
            "Leave it out.",
            ExitCode.USAGE,
        )
    if origin == "embedded":
        from lstm_cli.data.readers.builtin import open_demo, open_digits

        return (open_demo if source.name == "demo" else open_digits)(source)
    if origin == "tfds":
        from lstm_cli.data.readers.tfds import open_tfds

        return open_tfds(source)
    if origin == "images":
        from lstm_cli.data.readers.own_images import open_images

        return open_images(source)
    from lstm_cli.data.readers.path import open_path

    return open_path(source)
