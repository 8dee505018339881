"""The data sets of a folder: `NAME/train.csv` and `NAME/test.csv`, and their folds."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lstm_cli.data.readers.table import LabeledTexts, read_table
from lstm_cli.errors import ExitCode, LstmError, suggest

_FOLD_SEED = 0
_SCRIPT_SAMPLE = 1000
# Scripts without spaces between words.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"


@dataclass(frozen=True)
class Part:
    """Two tables with the columns text and label: one to train on, one to measure on."""

    train: Path
    test: Path


@dataclass(frozen=True)
class TextSet:
    """A data set of the folder.

    Attributes:
        name: The name of its folder.
        folder: Its folder.
        rows: The texts and labels of `train.csv`.
        has_test: Whether there is a `test.csv`.
    """

    name: str
    folder: Path
    rows: LabeledTexts
    has_test: bool

    @property
    def num_classes(self) -> int:
        """Number of different labels in train."""
        return len(set(self.rows.labels))


def find_sets(
    folder: Path, names: Sequence[str], folds: int
) -> tuple[list[TextSet], dict[str, str]]:
    """Find the data sets of a folder.

    Args:
        folder: Contains one folder per data set.
        names: The names to take; empty for all.
        folds: Number of folds; 0 if `test.csv` is needed.

    Returns:
        The data sets sorted by name, and why others were skipped, by name.

    Raises:
        LstmError: The folder has no data set, or not this one.
    """
    known = sorted(path.parent.name for path in folder.glob("*/train.csv"))
    if not known:
        raise LstmError(
            f"There is no NAME/train.csv in {folder}.",
            "Expected: FOLDER/NAME/train.csv and FOLDER/NAME/test.csv, columns text and label.",
            ExitCode.DATA,
        )
    for name in names:
        if name not in known:
            message = f"There is no {folder / name / 'train.csv'}."
            raise LstmError(message, suggest(name, known), ExitCode.USAGE)
    sets, skipped = [], {}
    for name in names or known:
        rows = read_table(folder / name / "train.csv", ("text",), "label")
        found = TextSet(name, folder / name, rows, (folder / name / "test.csv").exists())
        if has_many_labels(rows.labels):
            skipped[name] = "a label cell holds several labels, joined by |"
        elif not folds and not found.has_test:
            skipped[name] = "there is no test.csv; --folds does without"
        else:
            sets.append(found)
    return sets, skipped


def has_many_labels(labels: Iterable[str]) -> bool:
    """Return whether a label such as `joy|love` is joined from others, as `joy` and `love`."""
    distinct = set(labels)
    return any(not distinct.isdisjoint(label.split("|")) for label in distinct if "|" in label)


def is_unspaced(texts: Sequence[str]) -> bool:
    """Return whether most letters belong to scripts without spaces between words."""
    import regex

    sample = "".join(texts[:: max(1, len(texts) // _SCRIPT_SAMPLE)])
    num_unspaced = len(regex.findall(_UNSPACED, sample))
    return 2 * num_unspaced > len(regex.findall(r"\p{L}", sample))


def fingerprint(text_set: TextSet, folds: int) -> str:
    """Return the SHA-256 of the tables that are read: train, and test if there are no folds."""
    digest = hashlib.sha256()
    for name in ("train.csv",) if folds else ("train.csv", "test.csv"):
        digest.update((text_set.folder / name).read_bytes())
    return digest.hexdigest()


def split_parts(text_set: TextSet, folds: int, temp_dir: Path) -> list[Part]:
    """Return what to train and to measure on: the two tables, or folds of the training table.

    Args:
        text_set: The data set.
        folds: Number of folds, stratified by class; 0 for the two tables.
        temp_dir: The folder for the tables of the folds.
    """
    if not folds:
        return [Part(*(text_set.folder.absolute() / name for name in ("train.csv", "test.csv")))]
    texts, labels = text_set.rows.texts, text_set.rows.labels
    parts = []
    for fold, (train, test) in enumerate(_fold_indices(labels, folds)):
        part = Part(temp_dir / f"train-{fold}.csv", temp_dir / f"test-{fold}.csv")
        for path, indices in ((part.train, train), (part.test, test)):
            write_table(path, [(texts[i], labels[i]) for i in indices])
        parts.append(part)
    return parts


def write_table(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write texts and labels as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(rows)


def _fold_indices(labels: Sequence[str], folds: int) -> list[tuple[list[int], list[int]]]:
    """Return the indices for training and for measuring, of each fold.

    Each class is shuffled and dealt to the folds in turn. So a class with few texts is in as many
    folds as it has texts.
    """
    import random

    by_class: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        by_class.setdefault(label, []).append(index)
    rng, dealt = random.Random(_FOLD_SEED), 0
    fold_of = [0] * len(labels)
    for label in sorted(by_class):
        rng.shuffle(by_class[label])
        for index in by_class[label]:
            fold_of[index] = dealt % folds
            dealt += 1
    return [
        (
            [i for i, other in enumerate(fold_of) if other != fold],
            [i for i, other in enumerate(fold_of) if other == fold],
        )
        for fold in range(folds)
    ]
