"""Open the data set at a path: a table, or a folder with one subfolder per class."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.dataset import SourceFile, Split
from lstm_cli.data.readers import folder
from lstm_cli.data.readers.coded import map_to_ids
from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.readers.detect import COMPRESSED_SUFFIXES
from lstm_cli.data.readers.known_columns import check_same_columns
from lstm_cli.data.readers.label_sets import AUTO, NONE
from lstm_cli.data.readers.labels import find_labels
from lstm_cli.data.readers.remarks import spelling_notes, table_notes
from lstm_cli.data.readers.row_columns import RowColumns
from lstm_cli.data.readers.table import LabeledTexts, iter_records, read_label_columns, read_table
from lstm_cli.data.registry import names
from lstm_cli.data.source import DataSource, RawDataset, add_labels, sort_labels
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths
from lstm_cli.io.text_format import pluralize
from lstm_cli.io.text_store import is_stored

# Tables on disk that are remembered: one for each split.
_MAX_STORED = 3


def open_path(source: DataSource) -> RawDataset:
    """Read a table or a folder. Files of other splits are read on request.

    The classes are those of the training examples. They are sorted as integers, or else as strings.
    If a folder has its classes in a subfolder `train`, like aclImdb, its other splits are the
    subfolders `validation` (or `dev`) and `test`.

    Raises:
        LstmError: A file is malformed (the error names the line) or empty.
    """
    path = paths.expand(source.name)
    splits = folder.find_splits(path)
    train_path, others = _find_parts(splits, source)
    train = _read(train_path, source)
    classes = _classes(train, source)
    files = {
        name: SourceFile(str(part), _digest(part))
        for name, part in {"train": train_path, **others}.items()
    }
    learned = [f"{name} {file.sha256}" for name, file in files.items() if name != "test"]
    read: dict[str, Callable[[], Split]] = {"train": partial(_split, train, classes, train_path)}
    as_train = _as_train(source, train)
    for name, part in others.items():
        read[name] = partial(_read_split, name, part, train_path, train, as_train, classes)
    return RawDataset(
        name=run_name(path),
        source=source.name,
        kind="text",
        labels=classes,
        read=read,
        identity=" ".join(
            ["path", *learned, *_columns_identity(train), *_reading_identity(train, source)]
        ),
        is_path=True,
        text_columns=train.text_columns,
        label_column=_label_column(train, source),
        multi_label=train.multi_label,
        notes=(*table_notes(train, source), *_folder_notes(path, splits, others)),
        files=files,
    )


def read_more(path: Path, source: DataSource) -> tuple[Split, tuple[str, ...]]:
    """Read the labeled texts of another table or folder; return them with their class names.

    Args:
        path: A table, or a folder with a subfolder per class.
        source: How the labeled data is read: the columns that it has there. Where the table has
            none of them, the first columns with common names are read.

    Raises:
        LstmError: The file is malformed or empty.
    """
    if paths.is_folder(path):
        path = folder.find_splits(path)["train"]
    else:
        source = _with_own_columns(path, source)
    found = _read(path, source)
    classes = _classes(found, replace(source, labels=()))
    return replace(_split(found, classes, path), notes=tuple(found.notes)), classes


def _with_own_columns(path: Path, source: DataSource) -> DataSource:
    """Return how to read a table, by the columns that it has."""
    record = next((record for _, record in iter_records(path, source.read_options)), None)
    if record is None:
        return source
    has_texts = set(source.text_columns) & set(record)
    own_labels = tuple(name for name in (*source.label_columns, *source.labels) if name in record)
    return replace(
        source,
        text_columns=source.text_columns if has_texts else (),
        label_column=source.label_column if source.label_column in record else None,
        label_columns=tuple(dict.fromkeys(own_labels)) if source.label_columns else (),
        id_column=source.id_column if source.id_column in record else None,
        weight_column=source.weight_column if source.weight_column in record else None,
    )


def training_file(path: Path) -> SourceFile:
    """Return the table or folder with the training examples of a path."""
    train_path = folder.find_splits(path)["train"]
    return SourceFile(str(train_path), _digest(train_path))


def run_name(path: Path) -> str:
    """Return the folder name of a path's runs: its name without characters special to a shell."""
    path = path.resolve()
    if path.suffix.lower() in COMPRESSED_SUFFIXES and not paths.is_folder(path):
        path = path.with_suffix("")
    stem = path.name if paths.is_folder(path) else path.stem
    name = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "data"
    if name in {entry.name for entry in names()} or name.startswith("tfds-"):
        name = f"{name}-{path.suffix[1:].lower() or 'folder'}"  # imdb.csv is not the preset imdb
    return name


def _find_parts(splits: Mapping[str, Path], source: DataSource) -> tuple[Path, dict[str, Path]]:
    """Return where the training examples are, and those of other splits by the split's name."""
    others = dict(splits)
    train_path = others.pop("train")
    for name, file in {"validation": source.validation_file, "test": source.test_file}.items():
        if file is not None:
            others[name] = paths.expand(file)
    return train_path, others


def _folder_notes(
    path: Path, splits: Mapping[str, Path], others: Mapping[str, Path]
) -> Iterator[str]:
    """Yield what of a folder is not read."""
    if paths.is_folder(path):
        used = {"train": splits["train"], **others}
        yield from folder.describe_unread(
            path, {name: part for name, part in splits.items() if used[name] == part}
        )


def _as_train(source: DataSource, train: LabeledTexts) -> DataSource:
    """Return how the other files are read: the columns and the label format are those of train."""
    return replace(
        source,
        multi_label=train.multi_label,
        text_columns=train.text_columns or source.text_columns,
        label_column=_label_column(train, source) or source.label_column,
    )


def _label_column(train: LabeledTexts, source: DataSource) -> str | None:
    """Return the one column that the labels are in."""
    return None if source.label_columns else next(iter(train.label_columns), None)


def _read_split(
    name: str,
    path: Path,
    train_path: Path,
    train: LabeledTexts,
    source: DataSource,
    classes: Sequence[str],
) -> Split:
    """Read a file of another split, from the columns of the training file.

    It may lack ids and weights. Test rows need no weights: nothing is trained on them.
    """
    if not paths.is_folder(path):
        columns = (train.text_columns, train.label_columns) if train.text_columns else ((), ())
        found = check_same_columns(path, train_path, *columns, source.read_options)
        weight_column = source.weight_column if name != "test" else None
        source = replace(
            source,
            id_column=source.id_column if source.id_column in found else None,
            weight_column=weight_column if weight_column in found else None,
        )
    examples = _read(path, source)
    split = _split(examples, classes, path)
    return replace(split, notes=(*examples.notes, *spelling_notes(examples, classes, path)))


def _read(path: Path, source: DataSource) -> LabeledTexts:
    if paths.is_folder(path):
        _check_folder(path, source)
        return folder.read_folder(path, source.read_options)
    reading = _reading(path, source)
    for table in _stored_tables:
        if reading in table.readings:
            return table.read
    read = _read_table(path, source)
    if is_stored(read.texts):
        named = replace(
            source, text_columns=read.text_columns, label_column=_label_column(read, source)
        )
        _stored_tables.append(_StoredTable((reading, _reading(path, named)), read))
        del _stored_tables[:-_MAX_STORED]
    return read


class _StoredTable(NamedTuple):
    """A table whose texts are on disk.

    Attributes:
        readings: From `_reading`: as it was read, and with the columns that were found.
        read: What was read.
    """

    readings: tuple[tuple[Any, ...], ...]
    read: LabeledTexts


# The settings are chosen from the data and may split it anew: a large table is not read again.
_stored_tables: list[_StoredTable] = []


def _reading(path: Path, source: DataSource) -> tuple[Any, ...]:
    """Return what decides what is read from a table."""
    status = path.stat()
    return (
        path,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        source.text_columns,
        source.label_column,
        source.label_columns,
        source.multi_label,
        source.id_column,
        source.weight_column,
        source.read_options,
    )


def _read_table(path: Path, source: DataSource) -> LabeledTexts:
    row_columns = RowColumns(source.id_column, source.weight_column, str(path))
    if source.label_columns:
        return read_label_columns(
            path, source.text_columns, source.label_columns, source.read_options, row_columns
        )
    return read_table(
        path,
        source.text_columns,
        source.label_column,
        source.multi_label,
        source.read_options,
        row_columns,
    )


def _check_folder(path: Path, source: DataSource) -> None:
    """Refuse settings for several labels: a file in a class folder has one.

    Raises:
        LstmError: There are such settings (exit code 2).
    """
    if source.label_columns or source.multi_label not in (AUTO, NONE):
        raise LstmError(
            f"{path} is a folder with a subfolder per class, so each text has one label.",
            "Leave out --multi-label and --label-columns, or give a table.",
            ExitCode.USAGE,
        )


def _classes(train: LabeledTexts, source: DataSource) -> tuple[str, ...]:
    """Return the class names in the order of their ids."""
    if source.label_columns:
        own = source.label_columns
    elif train.label_sets is None:
        own = sort_labels(train.labels)
    else:
        own = sort_labels(label for labels in set(train.label_sets) for label in labels)
    return add_labels(source.labels, own)


def _columns_identity(train: LabeledTexts) -> list[str]:
    """Return what identifies the columns; of several text columns also that they are joined."""
    texts = train.text_columns
    joined = ["joined", str(len(texts))] if len(texts) > 1 else []
    return [*joined, *texts, *train.label_columns]


def _reading_identity(train: LabeledTexts, source: DataSource) -> list[str]:
    """Return how the bytes became rows and labels, as far as it is not the usual way."""
    labels = [] if train.label_sets is None else ["multi-label", train.multi_label]
    if source.weight_column is not None:
        labels.append(f"weights={source.weight_column!r}")
    return labels + [f"{name}={value!r}" for name, value in source.read_options.changed().items()]


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of a folder's files with their names."""
    if not path.is_file():
        return folder.digest(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _split(examples: LabeledTexts, classes: Sequence[str], path: Path) -> Split:
    """Map labels to class ids; raise an error for labels that the training examples do not have."""
    sets = examples.label_sets
    found = (
        set(examples.labels) if sets is None else {name for names in set(sets) for name in names}
    )
    known = find_labels(found, classes)
    unknown = sorted(found - set(known))
    if unknown:
        raise LstmError(
            f"{path} has labels that the training examples do not have: {join_names(unknown)}"
            f"{_first_place(examples, set(unknown))}.",
            "Drop those rows, rename their labels, or add examples of them to the training file.",
        )
    split = Split(
        examples.texts,
        np.zeros(0, np.int32),
        np.asarray(examples.lines, np.int64) if len(examples.lines) else None,
        examples.ids or None,
        _weights(examples),
    )
    if sets is not None:
        labels = np.zeros((len(sets), len(classes)), np.int32)
        for row, names in zip(labels, sets, strict=True):
            row[[known[name] for name in names]] = 1
        return replace(split, labels=labels)
    return replace(split, labels=map_to_ids(examples.labels, known))


def _weights(examples: LabeledTexts) -> NDArray[np.float64] | None:
    """Return the weights of the rows; None if all are 1, which is the same as no weights."""
    if all(weight == 1 for weight in examples.weights):
        return None
    return np.array(examples.weights, np.float64)


def _first_place(examples: LabeledTexts, labels: set[str]) -> str:
    """Say how many rows have one of these labels, and where the first one is."""
    sets = examples.label_sets
    names = [(label,) for label in examples.labels] if sets is None else sets
    rows = [row for row, found in enumerate(names) if not labels.isdisjoint(found)]
    where = f", the first in line {examples.lines[rows[0]]}" if len(examples.lines) else ""
    return f" ({pluralize(len(rows), 'row')}{where})"
