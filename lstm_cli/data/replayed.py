"""Labeled rows of other files that join the training split: the files of `data.replay_files`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lstm_cli.data import splits as splitting
from lstm_cli.data.dataset import (
    Dataset,
    ReplayedRows,
    Split,
    class_counts,
    label_names,
    map_labels,
)
from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.readers.path import read_more, training_file
from lstm_cli.data.registry import resolve
from lstm_cli.data.source import DataSource, add_labels
from lstm_cli.data.unlabeled import digest_of, format_dropped, reasons_to_drop
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths

# Labels that a note lists.
_MAX_NAMED = 5


@dataclass(frozen=True)
class RowsToReplay:
    """Rows as their files have them.

    Attributes:
        rows: The rows of all files.
        labels: Their class names.
        files: SHA-256 (hex) of each file or folder, by absolute path.
        notes: Remarks from reading.
    """

    rows: Split
    labels: tuple[str, ...]
    files: dict[str, str]
    notes: tuple[str, ...] = ()


def check_replay_path(path: Path) -> None:
    """Check that a path is a table or a folder of labeled texts.

    Raises:
        LstmError: There is no such file or folder (exit code 3), or the type is another (2).
    """
    if not paths.exists(path):
        raise LstmError(
            f"There is no file or folder {str(path)!r} of rows to replay.",
            "Check the path after --replay-data (the setting data.replay_files).",
            ExitCode.DATA,
        )
    resolve(str(path))


def read_replay(dataset: Dataset, source: DataSource, files: Sequence[str]) -> RowsToReplay:
    """Read the rows of files, with the columns and the label format of a data set.

    A file that lacks these columns is read by the common names of columns. Of a folder with `train`
    and `test`, `train` is read.

    Args:
        dataset: The data whose training they join.
        source: How it is read.
        files: Tables, or folders with a subfolder per class.

    Raises:
        LstmError: A file is missing or malformed, or the data set has images.
    """
    if dataset.kind != "text":
        raise LstmError(
            f"{dataset.name} holds {dataset.kind}s: rows to replay are texts.",
            "Leave out --replay-data.",
            ExitCode.USAGE,
        )
    as_here = replace(
        source,
        multi_label=dataset.multi_label,
        text_columns=dataset.text_columns,
        label_column=dataset.label_column or source.label_column,
    )
    read = [read_more(Path(file), as_here) for file in files]
    labels: tuple[str, ...] = ()
    for _, names in read:
        labels = add_labels(labels, names)
    first, *others = (map_labels(split, names, labels) for split, names in read)
    for other in others:
        first = splitting.concatenate(first, other)
    digests = {file: training_file(Path(file)).sha256 for file in files}
    notes = (note for split, _ in read for note in split.notes)
    return RowsToReplay(first, labels, digests, tuple(notes))


def with_replayed(
    dataset: Dataset, found: RowsToReplay, limit: int | None = None, seed: int = 0
) -> Dataset:
    """Return a data set with rows of other files at the end of its training split.

    Copies of rows of the data set are dropped: those of validation and test, because a model must
    not learn from the texts that it is validated and tested on, and those of train, which are there
    already. Texts that differ in white space only are copies. Empty texts and repetitions are
    dropped, too. New labels become classes.

    Args:
        dataset: The data, with all splits.
        found: As `read_replay` returns it.
        limit: The largest number of rows to keep.
        seed: Seed of the sample for `limit`.

    Raises:
        LstmError: No row is left.
    """
    texts = found.rows.inputs
    assert not isinstance(texts, np.ndarray)
    reasons = reasons_to_drop(texts, dataset)
    dropped = Counter(reason for reason in reasons if reason is not None)
    rows = splitting.take(found.rows, np.flatnonzero([reason is None for reason in reasons]))
    names = ", ".join(found.files)
    if not len(rows):
        raise LstmError(
            f"No row to replay is left of {len(texts):,} in {names}: {format_dropped(dropped)}.",
            "Give rows that are not in the data to train on, or leave out --replay-data.",
        )
    rows = splitting.stratified_sample(rows, limit, seed, splitting.REPLAY_SAMPLE)
    labels = add_labels(dataset.labels, found.labels)
    parts = {
        name: map_labels(split, dataset.labels, labels) for name, split in dataset.splits.items()
    }
    replayed = map_labels(rows, found.labels, labels)
    note = f"{len(rows):,} of {len(texts):,} rows to replay join the training split"
    if dropped:
        note += f"; not used: {format_dropped(dropped)}"
    added = sorted(set(_present(replayed, labels)) - set(_present(parts["train"], labels)))
    if added:
        note += f"; labels that the other training rows lack: {join_names(added, _MAX_NAMED)}"
    digest_of_rows = digest_of(_texts_and_labels(replayed, labels))
    parts["train"] = splitting.concatenate(parts["train"], replayed)
    return replace(
        dataset,
        labels=labels,
        splits=parts,
        replayed=ReplayedRows(len(rows), found.files, digest_of_rows),
        notes=(*dataset.notes, *found.notes, f"{note}."),
    )


def _texts_and_labels(split: Split, labels: Sequence[str]) -> Iterator[str]:
    """Yield the text and the label of each row, in turn."""
    for text, label in zip(split.inputs, label_names(split.labels, labels), strict=True):
        yield str(text)
        yield label


def _present(split: Split, labels: Sequence[str]) -> list[str]:
    """Return the labels that examples of a split have."""
    counts = class_counts(split.labels, len(labels))
    return [labels[i] for i in np.flatnonzero(counts).tolist()]
