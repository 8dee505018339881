"""Load a data set: read the source, split it, apply the limit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from lstm_cli.data import splits as splitting
from lstm_cli.data.dataset import Dataset, Split, class_counts, map_labels
from lstm_cli.data.readers.columns import abbreviate, join_names, quote_name
from lstm_cli.data.readers.label_kinds import find_suspicion
from lstm_cli.data.readers.labels import find_labels
from lstm_cli.data.registry import is_path, open_raw
from lstm_cli.data.source import SPLITS, DataSource, RawDataset, add_labels
from lstm_cli.errors import ExitCode, LstmError

# Increase when the same content and settings give other splits than before.
SPLITS_VERSION = 2


def load(source: DataSource, splits: Sequence[str] = SPLITS) -> Dataset:
    """Read a data set.

    The test split and the validation split are read on request where the data set has them. Where
    it does not, they are split off train, test first: seeded, stratified parts.

    Args:
        source: What to read, and how.
        splits: Which of `train`, `validation` and `test` to return.

    Returns:
        The splits, inputs in the order of the source. The fingerprint does not depend on `splits`.

    Raises:
        LstmError: The data is missing (exit code 3), malformed, or cannot be split.
    """
    unknown = set(splits) - set(SPLITS)
    if unknown:
        raise LstmError(
            f"There is no split {min(unknown)!r}; there are {', '.join(SPLITS)}.",
            exit_code=ExitCode.USAGE,
        )
    raw = _with_labels(open_raw(source), source.labels)
    parts = _split(raw, source, splits)
    dataset = _dataset(raw, source, parts)
    reading = (note for split in parts.values() for note in split.notes)
    return replace(dataset, notes=(*dataset.notes, *reading, *_lacking_classes(dataset)))


def load_labeled(source: DataSource) -> Dataset:
    """Read all labeled examples that are not in a test split of the data set's own.

    Args:
        source: What to read.

    Returns:
        A data set with the split `train`.

    Raises:
        LstmError: The data is missing (exit code 3), malformed, or has one class only.
    """
    raw = open_raw(source)
    train = raw.read["train"]()
    _require_classes(train, raw, ("train", "validation"))
    return _dataset(raw, source, {"train": train})


def load_unlabeled(source: DataSource) -> Sequence[str]:
    """Read the texts without labels that a data set itself has, at most `source.limit` of them.

    Args:
        source: What to read.

    Returns:
        Texts in the order of the source; empty if the data set has no such split.

    Raises:
        LstmError: The data is missing.
    """
    if is_path(source.name):
        return []  # without reading all labeled texts again
    raw = open_raw(source)
    return raw.unlabeled()[: source.limit] if raw.unlabeled else []


def load_for_labels(source: DataSource, labels: Sequence[str], split: str = "test") -> Dataset:
    """Read one split to evaluate a run that was trained on other data.

    If the source is a path, every row is used (of a folder with a `test` subfolder, those in it),
    as the run was not trained on any of them. Other data sets return the requested split.

    Args:
        source: What to read, and how.
        labels: The run's labels, in the order of its class ids.
        split: The name of the split. For a data set that is not a path, also the split to read.

    Returns:
        A data set with this one split and the run's labels.

    Raises:
        LstmError: The data has labels that the run does not know.
    """
    raw = open_raw(source)
    if raw.is_path:
        examples = raw.read["test" if "test" in raw.read else "train"]()
        if not len(examples):
            raise LstmError(f"{raw.source} holds no examples.")
        examples = splitting.stratified_sample(
            examples, source.limit, source.seed, splitting.TEST_SAMPLE
        )
    else:
        examples = _split(raw, source, (split,))[split]
    parts = {split: _relabel(examples, raw, labels)}
    dataset = _dataset(raw, source, parts)
    return replace(dataset, labels=tuple(labels), notes=(*dataset.notes, *parts[split].notes))


def _with_labels(raw: RawDataset, labels: Sequence[str]) -> RawDataset:
    """Return a data set that also has these classes, if it lacks any of them."""
    merged = add_labels(labels, raw.labels)
    if merged == raw.labels:
        return raw
    read = {
        name: partial(_read_mapped, part, raw.labels, merged) for name, part in raw.read.items()
    }
    return replace(raw, labels=merged, read=read)


def _read_mapped(read: Callable[[], Split], own: Sequence[str], labels: Sequence[str]) -> Split:
    return map_labels(read(), own, labels)


def _relabel(split: Split, raw: RawDataset, labels: Sequence[str]) -> Split:
    """Map the class ids of the data to those of a run."""
    counts = class_counts(split.labels, len(raw.labels))
    known = find_labels(raw.labels, labels)
    unknown = [
        f"{quote_name(label)} ({num} rows)"
        for label, num in zip(raw.labels, counts.tolist(), strict=True)
        if num and label not in known
    ]
    if unknown:
        raise LstmError(
            f"{raw.source} has labels that the run does not know: {abbreviate(unknown)}.",
            f"The run knows {join_names(labels)}. Rename or drop those rows, "
            "or name the right column with --label-column NAME.",
        )
    return map_labels(split, raw.labels, labels)


def _split(raw: RawDataset, source: DataSource, requested: Sequence[str]) -> dict[str, Split]:
    """Return the requested splits, split off train where the data set does not have them."""
    parts: dict[str, Split] = {}
    seed = source.seed
    own = [name for name in requested if name != "train" and name in raw.read]
    if set(requested) - set(own):
        train = raw.read["train"]()
        _require_classes(train, raw, [name for name in SPLITS if name not in list(raw.read)[1:]])
        if "test" not in raw.read:
            train, parts["test"] = splitting.stratified_split(
                train, source.test_fraction, seed, splitting.TEST_SPLIT
            )
        if "validation" not in raw.read:
            train, parts["validation"] = splitting.stratified_split(
                train, source.validation_fraction, seed, splitting.VALIDATION_SPLIT
            )
        parts["train"] = train
    parts |= {name: raw.read[name]() for name in own}
    _require_limit(parts, source.limit)
    purposes = {
        "train": splitting.TRAIN_SAMPLE,
        "validation": splitting.VALIDATION_SAMPLE,
        "test": splitting.TEST_SAMPLE,
    }
    samples = {
        name: splitting.stratified_sample(parts[name], source.limit, seed, purpose)
        for name, purpose in purposes.items()
        if name in requested
    }
    return {name: replace(split, notes=parts[name].notes) for name, split in samples.items()}


def _require_classes(train: Split, raw: RawDataset, parts: Sequence[str]) -> None:
    """Raise an error if too many classes have too few examples for a stratified split into parts.

    A few small classes are fine: they stay in train.
    """
    num_parts = len(parts)
    counts = class_counts(train.labels, len(raw.labels))
    if train.labels.ndim == 2:
        _require_labels(train, raw, counts.tolist(), num_parts)
        return
    present = [raw.labels[i] for i in np.flatnonzero(counts)]
    if len(present) < 2:
        classes = f"only one class, {quote_name(present[0])}" if present else "no class"
        raise LstmError(
            f"{raw.source} has {len(train)} examples of {classes}.",
            "Training needs at least two classes; check the label column.",
        )
    # With the wrong label column, most labels occur once.
    if np.count_nonzero(counts >= num_parts) >= 2 and 2 * np.count_nonzero(counts == 1) <= len(
        train
    ):
        return
    rare = [
        f"{quote_name(raw.labels[i])} ({counts[i]})"
        for i in np.flatnonzero((counts > 0) & (counts < num_parts))
    ]
    suspicion = find_suspicion(present, has_too_few=True) if raw.is_path else None
    if suspicion is not None:
        raise LstmError(
            f"{raw.source} has too few examples of {abbreviate(rare, 3)}. {suspicion.finding}",
            suspicion.remedy,
        )
    if not rare:
        raise LstmError(
            f"{raw.source} has {len(train):,} examples, of which most are the only one of their "
            "class.",
            "Check the label column.",
        )
    test_hint = ", or give 'lstm train' a test file (--test FILE)"
    raise LstmError(
        f"{raw.source} has too few examples of {abbreviate(rare)}. To split it into "
        f"{', '.join(parts[:-1])} and {parts[-1]}, two classes or more need at least {num_parts}, "
        "and most examples must not be the only one of their class.",
        "Check the label column. Add examples of these classes, merge them with others, or drop "
        f"their rows{test_hint if 'test' in parts else ''}.",
    )


def _require_labels(train: Split, raw: RawDataset, counts: Sequence[int], num_parts: int) -> None:
    """Raise an error if no label has enough examples with it and without it for all splits."""
    if any(num_parts <= num <= len(train) - num_parts for num in counts):
        return
    found = [f"{quote_name(name)} ({num})" for name, num in zip(raw.labels, counts, strict=True)]
    raise LstmError(
        f"{raw.source} has {len(train)} texts with the labels {abbreviate(found) or 'none'}: no "
        f"label has {num_parts} texts or more with it, and as many without it.",
        "Check the label column and --multi-label, or add texts.",
    )


def _lacking_classes(dataset: Dataset) -> Iterator[str]:
    """Yield a note for each split that has no example of some class of train."""
    if "train" not in dataset.splits:
        return
    counts = class_counts(dataset.splits["train"].labels, len(dataset.labels))
    for name in SPLITS[1:]:
        if name not in dataset.splits:
            continue
        present = class_counts(dataset.splits[name].labels, len(dataset.labels)) > 0
        lacking = [dataset.labels[i] for i in np.flatnonzero((counts > 0) & ~present)]
        if lacking:
            nouns = ("label", "labels") if dataset.is_multi_label else ("class", "classes")
            noun = nouns[len(lacking) != 1]
            yield (
                f"The {name} split has no example of {len(lacking):,} {noun} that train has "
                f"({join_names(lacking, 3)})."
            )


def _require_limit(parts: dict[str, Split], limit: int | None) -> None:
    """Raise an error if the limit is smaller than the number of classes."""
    single = [split.labels for split in parts.values() if split.labels.ndim == 1]
    num_classes = max((len(np.unique(labels)) for labels in single), default=2)
    if limit is not None and limit < num_classes:
        raise LstmError(
            f"A limit of {limit} examples is too small for {num_classes} classes.",
            f"Give --limit {num_classes} or more.",
            ExitCode.USAGE,
        )


def _dataset(raw: RawDataset, source: DataSource, parts: dict[str, Split]) -> Dataset:
    return Dataset(
        name=raw.name,
        source=raw.source,
        kind=raw.kind,
        labels=raw.labels,
        splits=parts,
        fingerprint=_fingerprint(raw, source),
        notes=raw.notes,
        text_columns=raw.text_columns,
        label_column=raw.label_column,
        multi_label=raw.multi_label,
        files=raw.files,
    )


def _fingerprint(raw: RawDataset, source: DataSource) -> str:
    """Return the SHA-256 of what training reads and of every setting that decides the splits."""
    # The keys are hashed too: a renamed key changes the fingerprint of every data set.
    content = {
        "identity": raw.identity,
        "validation_fraction": None if "validation" in raw.read else source.validation_fraction,
        "test_fraction": None if "test" in raw.read else source.test_fraction,
        "seed": source.seed,
        "limit": source.limit,
        "cuts": SPLITS_VERSION,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
