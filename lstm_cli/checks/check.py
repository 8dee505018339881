"""All checks of labeled texts, as `lstm data check` runs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.util import find_spec

import numpy as np

from lstm_cli.checks.copies import Copies, conflicts, duplicates, leaks, number_classes
from lstm_cli.checks.labels import check_labels
from lstm_cli.checks.mojibake import mojibake
from lstm_cli.checks.near_copies import near_copies
from lstm_cli.checks.result import BETWEEN_FILES, KINDS, DataCheck, FileSummary
from lstm_cli.checks.table import Table, label_sets
from lstm_cli.checks.words import WordCounts, count_words
from lstm_cli.data.balance import imbalance
from lstm_cli.data.rows import LabeledRows
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.text.equality import text_keys


def check_data(
    parts: Sequence[LabeledRows], limit: int = 10, required: Iterable[str] = ()
) -> DataCheck:
    """Check labeled texts.

    Time and memory are linear in the number of rows; the result does not grow with them.

    Args:
        parts: The rows of each file, those to train on first.
        limit: How many groups of rows each finding has at most.
        required: Kinds that must not be skipped.

    Raises:
        LstmError: A required check cannot be run.
    """
    skipped = _skipped(len(parts), required)
    table = Table(parts)
    words = list(count_words(parts))
    tokens = np.concatenate([counts.tokens for counts in words])
    num_words = np.concatenate([counts.words for counts in words])
    keys = text_keys(table.texts())
    keys[tokens == 0] = 0
    copies = Copies(keys, table.files, number_classes(table.label_sets(), table.is_multi_label))
    findings = [
        leaks(table, copies, num_words, limit),
        conflicts(table, copies, limit),
        duplicates(table, copies, limit),
        *near_copies(table, copies, num_words > 0, limit),
        *check_labels(table, limit),
        table.single_rows("empty", np.flatnonzero(tokens == 0).tolist(), limit),
        table.single_rows(
            "one-word", np.flatnonzero((num_words <= 1) & (tokens > 0)).tolist(), limit
        ),
    ]
    if "mojibake" not in skipped:
        findings.append(mojibake(table, limit))
    order = list(KINDS)
    findings.sort(key=lambda finding: order.index(finding.kind))
    return DataCheck(
        files=tuple(map(_summarize, parts, words)),
        findings=tuple(finding for finding in findings if finding.kind not in skipped),
        skipped=tuple(skipped.items()),
    )


def _skipped(num_parts: int, required: Iterable[str]) -> dict[str, str]:
    """Return the kinds that cannot be checked, and why.

    Raises:
        LstmError: One of them is required.
    """
    skipped: dict[str, str] = {}
    if num_parts == 1:
        skipped |= dict.fromkeys(BETWEEN_FILES, "there is one file only")
    if find_spec("ftfy") is None:
        skipped["mojibake"] = "ftfy is not installed (pip install ftfy)"
    for kind in required:
        if kind in skipped:
            raise LstmError(
                f"{kind} cannot be checked: {skipped[kind]}.",
                "Give the files of train and test." if kind in BETWEEN_FILES else "",
                ExitCode.USAGE,
            )
    return skipped


def _summarize(part: LabeledRows, words: WordCounts) -> FileSummary:
    counts = Counter(label for labels in label_sets(part) for label in labels)
    classes = counts.most_common() or [("", 0)]
    # One label is rare among many of a text: nothing is wrong with that.
    uneven = imbalance([num for _, num in classes]) if part.label_sets is None else None
    return FileSummary(
        name=part.name,
        num_rows=len(part.texts),
        num_classes=len(counts),
        largest=classes[0],
        smallest=classes[-1],
        word_percentiles=words.percentiles,
        unseen=words.unseen,
        imbalance=uneven.describe([label for label, _ in classes]) if uneven else "",
    )
