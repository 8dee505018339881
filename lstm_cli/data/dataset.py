"""A data set in memory: labeled splits, class names and a fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.readers.labels import find_labels

Kind = Literal["text", "image"]


@dataclass(frozen=True)
class Split:
    """Inputs and their labels, in a fixed order.

    Attributes:
        inputs: Texts, or images as `<uint8>[num, rows, columns]`.
        labels: Class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`, with 1 where an
            example has a label.
        rows: Where each example is in the source, `<int64>[num]`: the line of a table at which it
            starts, else its number, both from 1. None if the split is the whole source, in order.
        ids: The id of each example in the source, empty where it has none; None without ids.
        weights: How much each example counts in training, above 0, `<float64>[num]`; None if all
            count the same. Metrics do not use them.
        notes: Remarks from reading the file of this split, if it has one of its own.
    """

    inputs: Sequence[str] | NDArray[np.uint8]
    labels: NDArray[np.int32]
    rows: NDArray[np.int64] | None = None
    ids: Sequence[str] | None = None
    weights: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def row_numbers(self) -> NDArray[np.int64]:
        """Where each example is in the source, `<int64>[num]`."""
        return np.arange(1, len(self) + 1) if self.rows is None else self.rows

    @property
    def example_weights(self) -> NDArray[np.float64]:
        """How much each example counts in training, `<float64>[num]`."""
        return np.ones(len(self)) if self.weights is None else self.weights

    def name_of(self, index: int) -> str:
        """Return the id of an example, or without one its row."""
        name = self.ids[index] if self.ids is not None else ""
        return name or f"{self.row_numbers[index]}"


def class_counts(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.int64]:
    """Count the examples of each class, `<int64>[classes]`.

    Args:
        labels: Class ids or label sets, as in `Split`.
        num_classes: Number of classes, or of labels.
    """
    if labels.ndim == 2:
        return np.asarray(labels.sum(axis=0), np.int64)
    return np.bincount(labels, minlength=num_classes).astype(np.int64)


def map_labels(split: Split, own: Sequence[str], labels: Sequence[str]) -> Split:
    """Return a split whose class ids are those of other class names, in another order or more.

    Args:
        split: The examples.
        own: Class names of its ids.
        labels: The new class names, with those of all examples.
    """
    known = find_labels(own, labels)
    if split.labels.ndim == 2:
        sets = np.zeros((len(split), len(labels)), np.int32)
        for column, label in zip(split.labels.T, own, strict=True):
            if label in known:
                sets[:, known[label]] |= column
        return replace(split, labels=sets)
    ids = np.array([known.get(label, -1) for label in own], np.int32)
    return replace(split, labels=ids[split.labels])


def label_names(labels: NDArray[np.int32], names: Sequence[str]) -> list[str]:
    """Return the name of the class of each example; several labels are joined by a comma.

    Args:
        labels: Class ids or label sets, as in `Split`.
        names: Class names.
    """
    if labels.ndim == 1:
        return [names[label] for label in labels.tolist()]
    return [", ".join(names[i] for i in np.flatnonzero(row).tolist()) for row in labels]


@dataclass(frozen=True)
class SourceFile:
    """A file or folder that a split was read from.

    Attributes:
        path: Its absolute path.
        sha256: SHA-256 (hex) of its content, of a folder's files with their names.
    """

    path: str
    sha256: str


@dataclass(frozen=True)
class UnlabeledTexts:
    """Texts without labels, from files beside a data set.

    Attributes:
        texts: In the order of the files; none is a copy of a labeled text or of another.
        files: SHA-256 (hex) of each file or folder, by absolute path.
        sha256: SHA-256 (hex) of the texts.
    """

    texts: Sequence[str]
    files: Mapping[str, str]
    sha256: str

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class ReplayedRows:
    """Rows of other files in the training split.

    Attributes:
        num: Their number; they are the last rows of `train`.
        files: SHA-256 (hex) of each file or folder, by absolute path.
        sha256: SHA-256 (hex) of these rows with their labels.
    """

    num: int
    files: Mapping[str, str]
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """A named data set.

    Attributes:
        name: The folder name of its runs: `imdb`, `reviews`, `tfds-ag_news_subset`.
        source: Where it comes from, as shown to people: a path, or
            `TFDS imdb_reviews/plain_text 1.0.0`.
        kind: The kind of input.
        labels: Class names; the index is the class id.
        splits: The requested ones of `train`, `validation` and `test`.
        fingerprint: SHA-256 (hex) of what training reads: the content, and the settings that split
            it. Equal fingerprints mean equal training and validation splits. A file of test rows is
            not part of it: training does not learn from them.
        files: What each split was read from, by its name, if they come from paths. A split that is
            a part of another one has no entry.
        notes: Remarks from reading that a person should see (rows skipped, bytes replaced).
        text_columns: The columns of the texts, if they come from a table.
        label_column: The column of the labels, if they come from one column of a table.
        unlabeled: The texts of `data.unlabeled`, if requested. They are not in the fingerprint.
        multi_label: How several labels of an example are written: `list` or a separator; `none` if
            each example has one label.
        replayed: The rows of `data.replay_files`, if there are any. They are not in the
            fingerprint.
    """

    name: str
    source: str
    kind: Kind
    labels: tuple[str, ...]
    splits: Mapping[str, Split]
    fingerprint: str
    notes: tuple[str, ...] = field(default=())
    text_columns: tuple[str, ...] = ()
    label_column: str | None = None
    unlabeled: UnlabeledTexts | None = None
    multi_label: str = "none"
    files: Mapping[str, SourceFile] = field(default_factory=dict)
    replayed: ReplayedRows | None = None

    @property
    def num_replayed(self) -> int:
        """Number of rows in `train` that are of `data.replay_files`."""
        return 0 if self.replayed is None else self.replayed.num

    @property
    def is_multi_label(self) -> bool:
        """Whether an example has any number of labels, not exactly one."""
        return self.multi_label != "none"
