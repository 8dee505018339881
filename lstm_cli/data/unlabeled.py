"""Texts without labels beside a data set: the files of `data.unlabeled`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lstm_cli.data.dataset import Dataset, UnlabeledTexts
from lstm_cli.data.readers.read_options import DEFAULT, ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.data.readers.texts import read_texts
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_store import join_texts, take_texts
from lstm_cli.text.equality import text_keys

# Why a text is not used, in the order of the note.
_REASONS = {
    "test": "{:,} in test",
    "validation": "{:,} in validation",
    "train": "{:,} in train",
    "repeated": "{:,} repeated",
    "empty": "{:,} empty",
}


def with_unlabeled(
    dataset: Dataset,
    files: Sequence[str],
    limit: int | None = None,
    options: ReadOptions = DEFAULT,
) -> Dataset:
    """Return a data set with the unlabeled texts of files and folders.

    Copies of labeled texts are dropped, because a model must not learn from the texts that it is
    validated and tested on, and texts of train are learned from already. `text_key` says which
    texts are equal. Empty texts and repetitions are dropped, too.

    Args:
        dataset: The labeled texts, with all splits.
        files: Paths, as for `read_texts`.
        limit: The largest number of texts to keep.
        options: As for `read_texts`.

    Raises:
        LstmError: A file is missing or malformed, no text is left, or the data set has images.
    """
    if dataset.kind != "text":
        raise LstmError(
            f"{dataset.name} holds {dataset.kind}s: it has no use for unlabeled texts.",
            "Leave out --unlabeled.",
            ExitCode.USAGE,
        )
    parts: list[Sequence[str]] = []
    digests: dict[str, str] = {}
    notes = list(dataset.notes)
    for file in files:
        reading = Found()
        found = read_texts(Path(file), dataset.text_columns, options, reading)
        digests[file] = found.sha256
        parts.append(found.texts)
        notes += [found.unread] * bool(found.unread)
        notes += reading.notes(file)
    texts = join_texts(*parts)
    reasons = reasons_to_drop(texts, dataset)
    kept = take_texts(texts, np.flatnonzero([reason is None for reason in reasons]))
    dropped = Counter(reason for reason in reasons if reason is not None)
    if not len(kept):
        raise LstmError(
            f"No unlabeled text is left of {len(texts):,} in {', '.join(files)}"
            f"{': ' + format_dropped(dropped) if dropped else ''}.",
            "Give texts that are not in the labeled data, or leave out --unlabeled.",
        )
    if dropped:
        notes.append(
            f"{dropped.total():,} of {len(texts):,} unlabeled texts are not used: "
            f"{format_dropped(dropped)}."
        )
    unlabeled = UnlabeledTexts(kept[:limit], digests, digest_of(kept[:limit]))
    return replace(dataset, unlabeled=unlabeled, notes=tuple(notes))


def digest_of(texts: Iterable[str]) -> str:
    """Return the SHA-256 (hex) of texts."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d " % len(content) + content)
    return digest.hexdigest()


def reasons_to_drop(texts: Sequence[str], dataset: Dataset) -> list[str | None]:
    """Return for each text why it is dropped, or None.

    Args:
        texts: From files beside a data set.
        dataset: With all splits.
    """
    keys = text_keys(texts)
    _, first = np.unique(keys, return_index=True)
    # Later assignments win: a text that is empty or in a split has that reason.
    reasons = np.full(len(keys), "repeated", object)
    reasons[first] = None
    for name, split in reversed([*dataset.splits.items()]):
        assert not isinstance(split.inputs, np.ndarray)
        reasons[np.isin(keys, text_keys(split.inputs))] = name
    reasons[keys == 0] = "empty"
    return list(reasons)


def format_dropped(dropped: Counter[str]) -> str:
    """Format the numbers of dropped texts by reason."""
    return ", ".join(
        words.format(dropped[reason]) for reason, words in _REASONS.items() if dropped[reason]
    )
