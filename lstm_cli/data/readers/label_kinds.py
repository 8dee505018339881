"""What labels look like that are not names of classes: scores, several labels, fastText's lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from lstm_cli.data.readers.columns import abbreviate, quote_name
from lstm_cli.data.readers.label_sets import find_separator, split_labels
from lstm_cli.io.text_format import pluralize, visible

PREFIX = "__label__"  # of fastText
_FASTTEXT_LINE = re.compile(rf"\s*{PREFIX}\S+\s+\S")
_NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_LIST = re.compile(r"\[.*\]|\{.*\}", re.DOTALL)
# So many different fractions are rather measured than chosen.
_MIN_SCORES = 10
# Characters that stand between labels, and are too usual in names to separate without being asked.
_SEPARATORS = (",", "/", "+", "&", "\n")
_MISSING = ("nan", "none", "null", "n/a", "na", "#n/a", "<na>", "nil", "-", "?")


class Suspicion(NamedTuple):
    """What labels look like.

    Attributes:
        finding: A sentence that says so.
        remedy: A sentence that says what to do.
    """

    finding: str
    remedy: str


def label_remarks(
    labels: Sequence[str], texts: Sequence[str], may_be_several: bool
) -> Iterator[str]:
    """Yield what is odd about the labels of texts that have one label each.

    Args:
        labels: The label of each text.
        texts: The texts.
        may_be_several: Whether a text may have several labels; False if the user ruled it out.
    """
    counts = Counter(labels)
    suspicion = find_suspicion(list(counts)) if may_be_several else None
    if suspicion is not None:
        yield f"{suspicion.finding} {suspicion.remedy}"
    if missing := describe_missing(counts):
        yield missing
    if num := sum(text.startswith(PREFIX) for text in texts):
        yield (
            f"{num:,} of {len(texts):,} texts begin with '{PREFIX}', a label in fastText's format. "
            "The model reads it: remove it from the texts."
        )


def find_suspicion(labels: Sequence[str], has_too_few: bool = False) -> Suspicion | None:
    """Return what labels look like if they are not names of classes; else None.

    Args:
        labels: The different labels of texts that have one label each.
        has_too_few: Whether most labels have too few rows to learn from: then whole numbers are
            scores, too.
    """
    if any(label.startswith(PREFIX) for label in labels):
        return _fasttext(labels)
    if labels and all(_LIST.fullmatch(label) for label in labels):
        return Suspicion(
            f"The labels look like lists that were written as text: {quote_name(labels[0])}.",
            "If they are, write several labels as in 'joy|love', or as lists in JSONL.",
        )
    if _are_scores(labels, has_too_few):
        return Suspicion(
            f"The labels look like scores: {len(labels):,} different numbers, such as "
            f"{abbreviate(labels[:3])}.",
            "lstm learns classes. Replace the numbers by classes such as low, middle and high, or "
            "name another column with --label-column NAME.",
        )
    separator = find_separator(labels, _SEPARATORS, certain=False)
    if separator is not None:
        joined = next(label for label in labels if len(split_labels(label, separator)) > 1)
        return Suspicion(
            f"Labels such as {quote_name(joined)} look like several labels; each is read as one.",
            f"If they are several, give --multi-label {visible(separator)}.",
        )
    return None


def _fasttext(labels: Sequence[str]) -> Suspicion | None:
    """Return what labels with the prefix of fastText look like; None for one label in each."""
    joined = next((label for label in labels if _FASTTEXT_LINE.match(label)), None)
    if joined is None:
        return None
    if all(word.startswith(PREFIX) for word in joined.split()):
        return Suspicion(
            f"{quote_name(joined)} looks like several labels in fastText's format.",
            "Write them as in 'joy|love'.",
        )
    return Suspicion(
        f"{quote_name(joined)} looks like a line of fastText's format: label and text are in one "
        "field.",
        "Write the label into a column of its own, or save these lines alone as a .txt file.",
    )


def _are_scores(labels: Sequence[str], has_too_few: bool) -> bool:
    if len(labels) < _MIN_SCORES or not all(map(_NUMBER.fullmatch, labels)):
        return False
    return has_too_few or not all(map(_WHOLE.fullmatch, labels))


def describe_missing(counts: Mapping[str, int]) -> str:
    """Return a sentence on labels that often stand for a missing one; empty if there are none.

    Args:
        counts: How many rows each label has.
    """
    found = [label for label in counts if label.lower() in _MISSING]
    if not found or len(found) == len(counts):
        return ""
    num = sum(counts[label] for label in found)
    names = abbreviate([quote_name(label) for label in found])
    return f"{pluralize(num, 'row')} with the label {names}: is it missing? It is read as a class."
