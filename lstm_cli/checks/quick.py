"""The cheap checks, which training runs: a line for each finding, with the command for the rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from lstm_cli.checks.copies import Copies, number_classes
from lstm_cli.checks.keys import text_keys
from lstm_cli.checks.labels import difference, look_alikes
from lstm_cli.data import Dataset
from lstm_cli.data.registry import names
from lstm_cli.data.source import DataSource, check_command
from lstm_cli.io.text_format import pluralize, visible


def quick_warnings(dataset: Dataset, source: DataSource) -> list[str]:
    """Return what is wrong with the splits that training starts with.

    Args:
        dataset: With `train` and `validation`.
        source: What was read. Data sets known by name are not checked.
    """
    if not _is_checked(dataset, source):
        return []
    found = [*_label_warnings(dataset), *_copy_warnings(dataset)]
    return [f"{warning} See '{check_command(source)}'." for warning in found]


def leak_warning(dataset: Dataset, test: Dataset, source: DataSource) -> str:
    """Say how many test texts training has learned from; empty if there are none.

    Args:
        dataset: As for `quick_warnings`.
        test: With `test`.
        source: What was read.
    """
    if not _is_checked(dataset, source):
        return ""
    learned, split = dataset.splits.values(), test.splits["test"]
    known = {key for part in learned for key in text_keys(map(str, part.inputs)).tolist() if key}
    num = sum(key in known for key in text_keys(map(str, split.inputs)).tolist())
    return f"{_leak('test', num, len(split))} See '{check_command(source)}'." if num else ""


def _is_checked(dataset: Dataset, source: DataSource) -> bool:
    return dataset.kind == "text" and source.name not in {entry.name for entry in names()}


def _label_warnings(dataset: Dataset) -> Iterator[str]:
    groups = look_alikes(dataset.labels)
    if groups:
        first = groups[0]
        others = f" So do {len(groups) - 1:,} more groups of labels." if len(groups) > 1 else ""
        yield (
            f"The labels {visible(first[0])} and {visible(first[1])} look alike and are two "
            f"classes (they differ in {difference(first)}).{others}"
        )


def _copy_warnings(dataset: Dataset) -> Iterator[str]:
    copies = _copies(dataset)
    if num := len(copies.groups(copies.is_conflict)):
        verb = "is" if num == 1 else "are"
        yield f"{pluralize(num, 'text')} {verb} labelled in more than one way."
    if num := int(np.count_nonzero(copies.is_leak)):
        yield _leak("validation", num, len(dataset.splits["validation"]))


def _leak(split: str, num: int, size: int) -> str:
    return (
        f"{num:,} of {size:,} {split} texts are in train too: the {split} results look better than "
        "they are."
    )


def _copies(dataset: Dataset) -> Copies:
    splits = dataset.splits
    texts = chain.from_iterable(split.inputs for split in splits.values())
    ids = np.concatenate([split.labels for split in splits.values()])
    files = np.repeat(np.arange(len(splits)), [len(split) for split in splits.values()])
    if ids.ndim == 2:
        classes = np.unique(ids, axis=0, return_inverse=True)[1].ravel()
    else:
        classes = number_classes(((label,) for label in dataset.labels), is_multi_label=False)[ids]
    return Copies(text_keys(map(str, texts)), files, classes)
