"""What a data set looks like, and making it ready ahead of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.dataset import Dataset, Kind, Split
from lstm_cli.data.loading import load
from lstm_cli.data.registry import resolve
from lstm_cli.data.source import SPLITS, DataSource

PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True)
class SplitSummary:
    """One split in numbers.

    Attributes:
        name: `train`, `validation` or `test`.
        num: Number of examples.
        class_counts: Number of examples of each class, by class id.
        words: Words in a text, split at white space: `PERCENTILES` of the split. None of an image.
        num_empty: Texts without a word; 0 for images.
    """

    name: str
    num: int
    class_counts: tuple[int, ...]
    words: tuple[int, ...]
    num_empty: int


@dataclass(frozen=True)
class Description:
    """A data set for `lstm data show`.

    Attributes:
        name: What runs on it are filed under.
        source: Where it comes from, for people.
        kind: What an input is.
        labels: Class names, by class id.
        shape: Rows and columns of an image; None for texts.
        splits: One summary each, train first.
        examples: The first inputs of each class in train, by class name: texts whole, or images.
        fingerprint: As of the data set.
        notes: As of the data set.
    """

    name: str
    source: str
    kind: Kind
    labels: tuple[str, ...]
    shape: tuple[int, int] | None
    splits: tuple[SplitSummary, ...]
    examples: Mapping[str, tuple[str | NDArray[np.uint8], ...]]
    fingerprint: str
    notes: tuple[str, ...]


def describe(source: DataSource, num_examples: int = 2) -> Description:
    """Read all splits of a data set and sum them up.

    Args:
        source: What to read, and how.
        num_examples: How many inputs of each class to show.

    Raises:
        LstmError: As `load`.
    """
    data = load(source)
    train = data.splits["train"]
    shape = None
    if isinstance(train.inputs, np.ndarray):
        shape = (int(train.inputs.shape[1]), int(train.inputs.shape[2]))
    return Description(
        name=data.name,
        source=data.source,
        kind=data.kind,
        labels=data.labels,
        shape=shape,
        splits=tuple(_summary(data, name) for name in SPLITS),
        examples={label: _examples(train, i, num_examples) for i, label in enumerate(data.labels)},
        fingerprint=data.fingerprint,
        notes=data.notes,
    )


def _summary(data: Dataset, name: str) -> SplitSummary:
    split = data.splits[name]
    counts = np.bincount(split.labels, minlength=len(data.labels))
    lengths = np.zeros(0, np.int64)
    if data.kind == "text":
        lengths = np.array([len(text.split()) for text in split.inputs])
    words = np.percentile(lengths, PERCENTILES, method="higher") if len(lengths) else ()
    return SplitSummary(
        name=name,
        num=len(split),
        class_counts=tuple(counts.tolist()),
        words=tuple(int(number) for number in words),
        num_empty=int((lengths == 0).sum()),
    )


def _examples(split: Split, label: int, num: int) -> tuple[str | NDArray[np.uint8], ...]:
    ids = np.flatnonzero(split.labels == label)[:num]
    return tuple(split.inputs[i] for i in ids.tolist())


def prepare(source: DataSource) -> str:
    """Make a data set ready ahead of time: download and prepare what TFDS has.

    Args:
        source: What to make ready.

    Returns:
        What was done, as a sentence.

    Raises:
        LstmError: It cannot be had (exit code 3).
    """
    origin = resolve(source.name)
    if origin == "embedded":
        return f"{source.name} comes with lstm; there is nothing to prepare."
    if origin != "tfds":
        return f"{source.name} is read where it lies; there is nothing to prepare."
    from lstm_cli.data.readers.tfds_download import ensure
    from lstm_cli.data.readers.tfds_prepared import data_dir, find, parse_name

    wanted, folder = parse_name(source.name), data_dir(source)
    done = "was ready" if find(wanted, folder) else "is ready"
    return f"{source.name} {done} in {ensure(wanted, folder)}."
