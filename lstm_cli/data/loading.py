"""A source -> the splits asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lstm_cli.data import splits as cuts
from lstm_cli.data.dataset import Dataset, Split
from lstm_cli.data.readers.columns import few, listed, quoted
from lstm_cli.data.registry import open_raw
from lstm_cli.data.source import SPLITS, DataSource, RawDataset
from lstm_cli.errors import ExitCode, LstmError

# Raise when the same material and settings come to give other splits.
CUTS_VERSION = 1


def load(source: DataSource, splits: Sequence[str] = SPLITS) -> Dataset:
    """Read a data set.

    Validation is a seeded cut of train with the same share of each class. A test split is only read
    when asked for; where a data set has none, it is cut from train first.

    Args:
        source: What to read, and how.
        splits: Which of `train`, `validation` and `test` to give.

    Returns:
        The splits, inputs in the order of the source. The fingerprint does not depend on `splits`.

    Raises:
        LstmError: The data is not there (exit code 3), malformed, or cannot be cut.
    """
    unknown = set(splits) - set(SPLITS)
    if unknown:
        raise LstmError(
            f"There is no split {min(unknown)!r}; there are {', '.join(SPLITS)}.",
            exit_code=ExitCode.USAGE,
        )
    material = open_raw(source)
    return _dataset(material, source, _make(material, source, splits))


def load_unlabeled(source: DataSource) -> Sequence[str]:
    """Read the texts without labels that come with a data set, `source.limit` of them at most.

    Args:
        source: What to read.

    Returns:
        Texts in the order of the source; none where the data set has no such split.

    Raises:
        LstmError: The data is not there.
    """
    material = open_raw(source)
    return material.unlabeled()[: source.limit] if material.unlabeled else []


def load_for_labels(source: DataSource, labels: Sequence[str], split: str = "test") -> Dataset:
    """Read one split to evaluate a run on whose training data was another.

    Of a path every row is used (of a folder with a `test` subfolder, that one): nothing in it was
    trained on. Other data sets give the split asked for.

    Args:
        source: What to read, and how.
        labels: The run's labels, in the order of its class ids.
        split: What the split is to be called, and which one to read of a data set that is no path.

    Returns:
        A data set with that split alone and the run's labels.

    Raises:
        LstmError: There are labels that the run does not know.
    """
    material = open_raw(source)
    if material.whole:
        whole = material.read["test" if "test" in material.read else "train"]()
        if not len(whole):
            raise LstmError(f"{material.source} holds no examples.")
        made = {split: cuts.limit(whole, source.limit, source.seed, cuts.TEST_LIMIT)}
    else:
        made = _make(material, source, (split,))
    made = {split: _relabel(made[split], material, labels)}
    return replace(_dataset(material, source, made), labels=tuple(labels))


def _relabel(split: Split, material: RawDataset, labels: Sequence[str]) -> Split:
    """Map class ids of the material onto those of a run."""
    counts = np.bincount(split.labels, minlength=len(material.labels))
    known = {label: i for i, label in enumerate(labels)}
    strange = [
        f"{quoted(label)} ({num} rows)"
        for label, num in zip(material.labels, counts.tolist(), strict=True)
        if num and label not in known
    ]
    if strange:
        raise LstmError(
            f"{material.source} has labels the run never saw: {few(strange)}.",
            f"The run knows {listed(labels)}. Rename or drop those rows, "
            "or name the right column with --label-column NAME.",
        )
    ids = np.array([known.get(label, -1) for label in material.labels], np.int32)
    return Split(split.inputs, ids[split.labels])


def _make(material: RawDataset, source: DataSource, wanted: Sequence[str]) -> dict[str, Split]:
    """Cut what is asked for from what there is."""
    made: dict[str, Split] = {}
    own_test = "test" in material.read
    if set(wanted) & {"train", "validation"} or not own_test:
        train = material.read["train"]()
        _require_classes(train, material, num_parts=2 if own_test else 3)
        if not own_test:
            train, test = cuts.cut(train, source.test_fraction, source.seed, cuts.TEST_CUT)
            made["test"] = test
        train, validation = cuts.cut(train, source.validation, source.seed, cuts.VALIDATION_CUT)
        made |= {"train": train, "validation": validation}
    if own_test and "test" in wanted:
        made["test"] = material.read["test"]()
    _require_limit(made, source.limit)
    purposes = zip(SPLITS, (cuts.TRAIN_LIMIT, cuts.VALIDATION_LIMIT, cuts.TEST_LIMIT), strict=True)
    return {
        name: cuts.limit(made[name], source.limit, source.seed, purpose)
        for name, purpose in purposes
        if name in wanted
    }


def _require_classes(train: Split, material: RawDataset, num_parts: int) -> None:
    """Refuse what no stratified cut can be made of."""
    counts = np.bincount(train.labels, minlength=len(material.labels)).tolist()
    present = [label for label, num in zip(material.labels, counts, strict=True) if num]
    if len(present) < 2:
        raise LstmError(
            f"{material.source} has {len(train)} examples of "
            + (f"one class only, {quoted(present[0])}." if present else "no class."),
            "Training needs at least two classes; check the label column.",
        )
    rare = [
        f"{quoted(label)} ({num})"
        for label, num in zip(material.labels, counts, strict=True)
        if 0 < num < num_parts
    ]
    if rare:
        parts = "train, validation and test" if num_parts == 3 else "train and validation"
        raise LstmError(
            f"{material.source} has too few examples of {few(rare)}: to be split into {parts}, "
            f"a class needs at least {num_parts}.",
            "Add examples of it, merge it with another class, or drop its rows"
            + (
                ", or give a test file of its own with --set data.test=FILE."
                if num_parts == 3
                else "."
            ),
        )


def _require_limit(made: dict[str, Split], limit: int | None) -> None:
    num_classes = max((len(np.unique(split.labels)) for split in made.values()), default=0)
    if limit is not None and limit < num_classes:
        raise LstmError(
            f"A limit of {limit} examples leaves some of the {num_classes} classes with none.",
            f"Give --limit {num_classes} or more.",
            ExitCode.USAGE,
        )


def _dataset(material: RawDataset, source: DataSource, made: dict[str, Split]) -> Dataset:
    return Dataset(
        name=material.name,
        source=material.source,
        kind=material.kind,
        labels=material.labels,
        splits=made,
        fingerprint=_fingerprint(material, source),
        notes=material.notes,
    )


def _fingerprint(material: RawDataset, source: DataSource) -> str:
    """SHA-256 of the content and of all that decides how it is cut."""
    made_from = {
        "identity": material.identity,
        "validation": source.validation,
        "test_fraction": None if "test" in material.read else source.test_fraction,
        "seed": source.seed,
        "limit": source.limit,
        "cuts": CUTS_VERSION,
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
