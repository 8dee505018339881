"""Data sets at a path: a table, or a folder with a subfolder per class."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np

from lstm_cli.data.dataset import Split
from lstm_cli.data.readers.columns import find_column, label_of, listed, text_of
from lstm_cli.data.readers.decode import decode_lines
from lstm_cli.data.readers.table import format_of, iter_records
from lstm_cli.data.registry import names
from lstm_cli.data.source import DataSource, RawDataset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths

UNLABELLED = "unsup"  # aclImdb's third subfolder of train


@dataclass(frozen=True)
class Labelled:
    """Texts as read, with the names of their labels.

    Attributes:
        texts: In the order of the file, or of the names of class folders and files.
        labels: Label of each text.
        columns: Columns the two were read from; empty for a folder.
    """

    texts: list[str]
    labels: list[str]
    columns: tuple[str, ...] = ()


def open_path(source: DataSource) -> RawDataset:
    """Read a table or a folder; a test file or folder is read when asked for.

    The classes are those of the training examples, in order: integers by value, else by spelling.
    A folder that has its classes in a subfolder `train`, like aclImdb, is tested on `test`.

    Raises:
        LstmError: A file is malformed, with its line; or holds nothing.
    """
    path = paths.expand(source.name)
    train_path, test_path = _parts(path, source.test)
    train = _read(train_path, source)
    classes = sort_labels(train.labels)
    digests = [_digest(part) for part in (train_path, test_path) if part]
    read: dict[str, Callable[[], Split]] = {"train": partial(_split, train, classes, train_path)}
    if test_path:
        read["test"] = lambda: _split(_read(test_path, source), classes, test_path)
    return RawDataset(
        name=run_name(path),
        source=source.name,
        kind="text",
        labels=classes,
        read=read,
        identity=" ".join(["path", *digests, *train.columns]),
        whole=True,
        notes=tuple(_notes(train)),
    )


def run_name(path: Path) -> str:
    """What runs are filed under: a path's name, without signs that mean something to a shell."""
    path = path.resolve()
    stem = path.name if paths.is_folder(path) else path.stem
    name = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "data"
    if name in {entry.name for entry in names()} or name.startswith("tfds-"):
        name = f"{name}-{path.suffix[1:].lower() or 'folder'}"  # imdb.csv is not imdb
    return name


def sort_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels in the order of their class ids: integers by value, else by spelling."""
    distinct = sorted(set(labels))
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", label) for label in distinct):
        distinct.sort(key=int)
    return tuple(distinct)


def _parts(path: Path, test: Path | None) -> tuple[Path, Path | None]:
    """Where the training and, if any, the test examples lie."""
    if test is not None:
        test = paths.expand(test)
        if not paths.exists(test):
            raise LstmError(
                f"There is no file or folder {str(test)!r} to test on.",
                "Check data.test, or leave it out to set a share of the examples aside.",
                ExitCode.DATA,
            )
    inner = path / "train"
    if not (paths.is_folder(inner) and _subfolders(inner)):
        return path, test
    own = path / "test"
    return inner, test or (own if paths.is_folder(own) else None)


def _read(path: Path, source: DataSource) -> Labelled:
    if paths.is_folder(path):
        return _read_folder(path)
    return _read_table(path, source.text_column, source.label_column)


def _read_table(path: Path, text_column: str | None, label_column: str | None) -> Labelled:
    texts: list[str] = []
    labels: list[str] = []
    columns: tuple[str, str] | None = None
    spellings: dict[str, str] = {}
    for line, record in iter_records(path, format_of(path)):
        if columns is None:
            listed = list(record)
            columns = (
                find_column(listed, "text", text_column, str(path)),
                find_column(listed, "label", label_column, str(path)),
            )
            if columns[0] == columns[1]:
                raise LstmError(f"{path}: column {columns[0]!r} cannot be both text and label.")
        place = f"{path}, line {line}"
        texts.append(text_of(record, columns[0], place))
        label = label_of(record, columns[1], place)
        labels.append(spellings.setdefault(label, label))  # one string per class, not per row
    if columns is None:
        raise LstmError(f"{path} holds no rows.", "It needs a text and a label in each.")
    return Labelled(texts, labels, columns)


def _read_folder(path: Path) -> Labelled:
    texts: list[str] = []
    labels: list[str] = []
    for label, file in _class_files(path):
        lines = decode_lines(BytesIO(_bytes(file)), str(file))
        texts.append("".join(lines).rstrip("\r\n"))
        labels.append(label)
    return Labelled(texts, labels)


def _class_files(path: Path) -> Iterator[tuple[str, Path]]:
    """The .txt files of each class, by name of class and file; hidden ones are none of them."""
    folders = [folder for folder in _subfolders(path) if folder.name != UNLABELLED]
    if not folders:
        raise LstmError(
            f"The folder {path} has no subfolders: expected one per class, with .txt files in it.",
            "Lay it out like folder/positive/1.txt, folder/negative/2.txt, or give a .csv file.",
        )
    for folder in folders:
        if _has_raw_bytes(folder.name):
            raise LstmError(
                f"The class folder {str(folder)!r} has a name that is no UTF-8.",
                "Rename it: a class is called as its folder is.",
            )
        files = [
            file
            for file in sorted(folder.iterdir())
            if file.suffix.lower() == ".txt" and not file.name.startswith(".") and file.is_file()
        ]
        if not files:
            raise LstmError(
                f"The class folder {folder} holds no .txt files.",
                "Move it out of the way if it is no class.",
            )
        yield from ((folder.name, file) for file in files)


def _has_raw_bytes(name: str) -> bool:
    """Tell whether a file name holds bytes that are no text, which Python shows as surrogates."""
    return any("\udc80" <= char <= "\udcff" for char in name)


def _subfolders(path: Path) -> list[Path]:
    return [
        folder
        for folder in sorted(path.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    ]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LstmError(f"Cannot read {file}: {error.strerror}.", "", ExitCode.DATA) from error


def _digest(path: Path) -> str:
    """SHA-256 of a file's bytes, or of a folder's files with their names."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    digest = hashlib.sha256()
    for label, file in _class_files(path):
        content = hashlib.sha256(_bytes(file)).hexdigest()
        # The name of a file may be no text: its bytes are taken as they are.
        digest.update(f"{label}/{file.name} {content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _split(examples: Labelled, classes: Sequence[str], path: Path) -> Split:
    """Number the labels; those that training has none of are refused."""
    known = {label: i for i, label in enumerate(classes)}
    strange = sorted(set(examples.labels) - set(known))
    if strange:
        raise LstmError(
            f"{path} has labels that the training examples have not: {listed(strange)}.",
            "Drop those rows, or add examples of them to the training file.",
        )
    return Split(examples.texts, np.array([known[label] for label in examples.labels], np.int32))


def _notes(examples: Labelled) -> Iterator[str]:
    """What a person should know of the training examples."""
    if examples.columns and examples.columns != ("text", "label"):
        text, label = examples.columns
        yield f"Texts are read from column {text!r}, labels from column {label!r}."
    empty = sum(not text.strip() for text in examples.texts)
    if empty:
        yield f"{empty} of {len(examples.texts)} texts are empty."
    repeats = len(examples.texts) - len(set(examples.texts))
    if repeats:
        yield (
            f"{repeats} of {len(examples.texts)} texts repeat an earlier one; copies can fall on "
            "both sides of a split and flatter its results."
        )
