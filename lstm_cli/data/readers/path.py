"""Open the data set at a path: a table, or a folder with one subfolder per class."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lstm_cli.data.dataset import Split
from lstm_cli.data.readers import folder
from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.readers.label_sets import AUTO, LIST, NONE, possible_separator
from lstm_cli.data.readers.table import LabeledTexts, read_label_columns, read_table
from lstm_cli.data.registry import names
from lstm_cli.data.source import DataSource, RawDataset, check_command, merge_labels, sort_labels
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths


def open_path(source: DataSource) -> RawDataset:
    """Read a table or a folder. A test file or folder is read on request.

    The classes are those of the training examples. They are sorted as integers, or else as strings.
    If a folder has its classes in a subfolder `train`, like aclImdb, its test split is `test`.

    Raises:
        LstmError: A file is malformed (the error names the line) or empty.
    """
    path = paths.expand(source.name)
    train_path, test_path = _find_train_and_test(path, source.test)
    train = _read(train_path, source)
    classes = _classes(train, source)
    digests = [_digest(part) for part in (train_path, test_path) if part]
    read: dict[str, Callable[[], Split]] = {"train": partial(_split, train, classes, train_path)}
    if test_path:
        test_source = replace(source, multi_label=train.multi_label)
        read["test"] = lambda: _split(_read(test_path, test_source), classes, test_path)
    return RawDataset(
        name=run_name(path),
        source=source.name,
        kind="text",
        labels=classes,
        read=read,
        identity=" ".join(["path", *digests, *train.columns, *_label_identity(train)]),
        is_path=True,
        text_column=train.columns[0] if train.columns else None,
        multi_label=train.multi_label,
        notes=tuple(_notes(train, source)),
    )


def run_name(path: Path) -> str:
    """Return the folder name of a path's runs: its name without characters special to a shell."""
    path = path.resolve()
    stem = path.name if paths.is_folder(path) else path.stem
    name = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "data"
    if name in {entry.name for entry in names()} or name.startswith("tfds-"):
        name = f"{name}-{path.suffix[1:].lower() or 'folder'}"  # imdb.csv is not the preset imdb
    return name


def _find_train_and_test(path: Path, test: Path | None) -> tuple[Path, Path | None]:
    """Return where the training examples and, if any, the test examples are."""
    if test is not None:
        test = paths.expand(test)
        if not paths.exists(test):
            raise LstmError(
                f"There is no test file or folder {str(test)!r}.",
                "Check data.test, or leave it out to split off a fraction of the examples.",
                ExitCode.DATA,
            )
    train_path, test_path = folder.find_train_and_test(path)
    return train_path, test or test_path


def _read(path: Path, source: DataSource) -> LabeledTexts:
    if paths.is_folder(path):
        _check_folder(path, source)
        return folder.read_folder(path)
    if source.label_columns:
        return read_label_columns(path, source.text_column, source.label_columns)
    return read_table(path, source.text_column, source.label_column, source.multi_label)


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
    return merge_labels(own, source.labels)


def _label_identity(train: LabeledTexts) -> list[str]:
    """Return what identifies the format of several labels; nothing with one label a text."""
    return [] if train.label_sets is None else ["multi-label", train.multi_label]


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of a folder's files with their names."""
    if not path.is_file():
        return folder.digest(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _split(examples: LabeledTexts, classes: Sequence[str], path: Path) -> Split:
    """Map labels to class ids; raise an error for labels that the training examples do not have."""
    known = {label: i for i, label in enumerate(classes)}
    sets = examples.label_sets
    found = (
        set(examples.labels) if sets is None else {name for names in set(sets) for name in names}
    )
    unknown = sorted(found - set(known))
    if unknown:
        raise LstmError(
            f"{path} has labels that the training examples do not have: {join_names(unknown)}.",
            "Drop those rows, or add examples of them to the training file.",
        )
    lines = np.array(examples.lines) if examples.lines else None
    if sets is not None:
        labels = np.zeros((len(sets), len(classes)), np.int32)
        for row, names in zip(labels, sets, strict=True):
            row[[known[name] for name in names]] = 1
        return Split(examples.texts, labels, lines)
    ids = np.array([known[label] for label in examples.labels], np.int32)
    return Split(examples.texts, ids, lines)


def _notes(examples: LabeledTexts, source: DataSource) -> Iterator[str]:
    """Yield what a person should know about the training examples."""
    command = check_command(source)
    num = len(examples.texts)
    yield from _label_notes(examples, source)
    if len(examples.columns) == 2 and examples.columns != ("text", "label"):
        text, label = examples.columns
        yield f"Texts are read from column {text!r}, labels from column {label!r}."
    num_empty = sum(not text.strip() for text in examples.texts)
    if num_empty:
        yield f"{num_empty} of {num} texts are empty. See '{command}'."
    num_repeated = num - len(set(examples.texts))
    if num_repeated:
        yield (
            f"{num_repeated} of {num} texts repeat an earlier one. If copies of a text fall into "
            f"different splits, the results look better than they are. See '{command}'."
        )


def _label_notes(examples: LabeledTexts, source: DataSource) -> Iterator[str]:
    """Yield how several labels of a text were found, or that a text may have several."""
    sets = examples.label_sets
    if sets is None:
        separator = possible_separator(examples.labels)
        if source.multi_label == AUTO and separator is not None:
            yield (
                f"Some labels hold {separator!r}; each is read as one label. If they are several "
                f"labels, give --multi-label '{separator}'."
            )
        return
    num_labels = [len(labels) for labels in sets]
    empty = num_labels.count(0)
    none = f", {empty:,} have none" if empty else ""
    how = "in lists" if examples.multi_label == LIST else f"separated by {examples.multi_label!r}"
    if source.label_columns:
        how = f"in {len(source.label_columns)} columns"
    yield (
        f"Texts have several labels ({how}): {sum(num_labels) / len(sets):.2f} on average, at most "
        f"{max(num_labels)}{none}."
    )
