"""`lstm data show` and `lstm data prepare`: summarize a data set, or download it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.balance import Imbalance, imbalance
from lstm_cli.data.dataset import Dataset, Kind, Split, UnlabeledTexts, class_counts
from lstm_cli.data.loading import load
from lstm_cli.data.registry import resolve
from lstm_cli.data.source import SPLITS, DataSource
from lstm_cli.data.unlabeled import with_unlabeled
from lstm_cli.text.tokenizer import count_words

PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True)
class SplitSummary:
    """Statistics of one split.

    Attributes:
        name: `train`, `validation` or `test`.
        num_examples: Number of examples.
        class_counts: Number of examples of each class, by class id.
        word_percentiles: Words per text, as `count_words` counts them, at `PERCENTILES`. Empty for
            images.
        num_empty: Number of texts without a word; 0 for images.
    """

    name: str
    num_examples: int
    class_counts: tuple[int, ...]
    word_percentiles: tuple[int, ...]
    num_empty: int


@dataclass(frozen=True)
class Description:
    """Statistics of a data set, for `lstm data show`.

    Attributes:
        name: The folder name of its runs.
        source: Where it comes from, as shown to people.
        kind: The kind of input.
        labels: Class names, by class id.
        shape: Rows and columns of an image; None for texts.
        splits: One summary per split, train first.
        unlabeled: Summary of the unlabeled texts, without classes; None if there are none.
        examples: The first inputs of each class in train, by class name: whole texts, or images.
        fingerprint: See `Dataset`.
        notes: See `Dataset`.
        imbalance: Of the classes in train; None if they are not so uneven that it matters.
        multi_label: As in `Dataset`.
    """

    name: str
    source: str
    kind: Kind
    labels: tuple[str, ...]
    shape: tuple[int, int] | None
    splits: tuple[SplitSummary, ...]
    unlabeled: SplitSummary | None
    examples: Mapping[str, tuple[str | NDArray[np.uint8], ...]]
    fingerprint: str
    notes: tuple[str, ...]
    imbalance: Imbalance | None
    multi_label: str = "none"


def describe(
    source: DataSource, num_examples: int = 2, unlabeled: Sequence[str] = ()
) -> Description:
    """Read all splits of a data set and summarize them.

    Args:
        source: What to read, and how.
        num_examples: How many inputs of each class to include.
        unlabeled: Files and folders of unlabeled texts.

    Raises:
        LstmError: See `load` and `with_unlabeled`.
    """
    data = load(source)
    if unlabeled:
        data = with_unlabeled(data, unlabeled, options=source.read_options)
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
        splits=tuple(_summarize(data, name) for name in SPLITS),
        unlabeled=_summarize_unlabeled(data.unlabeled) if data.unlabeled else None,
        examples=_first_examples(train, data.labels, num_examples),
        fingerprint=data.fingerprint,
        notes=data.notes,
        imbalance=None
        if data.is_multi_label
        else imbalance(class_counts(train.labels, len(data.labels))),
        multi_label=data.multi_label,
    )


def _summarize(data: Dataset, name: str) -> SplitSummary:
    split = data.splits[name]
    counts = class_counts(split.labels, len(data.labels))
    percentiles: tuple[int, ...] = ()
    num_empty = 0
    if not isinstance(split.inputs, np.ndarray):
        percentiles, num_empty = _count_words(split.inputs)
    return SplitSummary(name, len(split), tuple(counts.tolist()), percentiles, num_empty)


def _summarize_unlabeled(unlabeled: UnlabeledTexts) -> SplitSummary:
    percentiles, num_empty = _count_words(unlabeled.texts)
    return SplitSummary("unlabeled", len(unlabeled), (), percentiles, num_empty)


def _count_words(texts: Sequence[str]) -> tuple[tuple[int, ...], int]:
    """Return `word_percentiles` and `num_empty` of a summary."""
    lengths = np.array([count_words(text) for text in texts], np.int64)
    percentiles = np.percentile(lengths, PERCENTILES, method="higher") if len(lengths) else ()
    return tuple(int(number) for number in percentiles), int((lengths == 0).sum())


def _first_examples(
    split: Split, labels: tuple[str, ...], num: int
) -> dict[str, tuple[str | NDArray[np.uint8], ...]]:
    """Return the first inputs of each class, by class name."""
    if split.labels.ndim == 2:
        return {
            label: tuple(split.inputs[i] for i in np.flatnonzero(column)[:num].tolist())
            for label, column in zip(labels, split.labels.T, strict=True)
        }
    order = np.argsort(split.labels, kind="stable")
    starts = np.searchsorted(split.labels[order], np.arange(len(labels) + 1))
    return {
        label: tuple(
            split.inputs[i] for i in order[starts[id_] : min(starts[id_] + num, starts[id_ + 1])]
        )
        for id_, label in enumerate(labels)
    }


def prepare(source: DataSource) -> str:
    """Download and prepare a TFDS data set ahead of time.

    Args:
        source: The data set.

    Returns:
        A sentence that says what was done.

    Raises:
        LstmError: The data cannot be downloaded (exit code 3).
    """
    origin = resolve(source.name)
    if origin == "embedded":
        return f"{source.name} comes with lstm; there is nothing to prepare."
    if origin != "tfds":
        return f"{source.name} is read in place; there is nothing to prepare."
    from lstm_cli.data.readers.tfds_download import ensure_prepared
    from lstm_cli.data.readers.tfds_prepared import find_prepared, parse_name, resolve_data_dir

    tfds_name, folder = parse_name(source.name), resolve_data_dir(source)
    state = "was already prepared" if find_prepared(tfds_name, folder) else "is now prepared"
    return f"{source.name} {state} in {ensure_prepared(tfds_name, folder)}."
