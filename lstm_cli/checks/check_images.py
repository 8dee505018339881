"""All checks of labeled images, as `lstm data check` runs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lstm_cli.checks.copies import Copies, conflicts, duplicates, leaks, number_classes
from lstm_cli.checks.labels import check_labels
from lstm_cli.checks.result import BETWEEN_FILES, KINDS, DataCheck, FileSummary, Finding
from lstm_cli.checks.table import Table
from lstm_cli.data.balance import imbalance
from lstm_cli.data.rows import LabeledRows
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.text.equality import text_keys

_ONE_FILE = "there is one file only"
_OF_TEXTS = {
    "near-leak": "only equal images are found",
    "near-duplicate": "only equal images are found",
    "no-label": "the folder or the file of an image is its label",
    "one-word": "images have no words",
    "mojibake": "images have no words",
}
_MANY_WORDS = 1 << 20


def check_images(
    parts: Sequence[LabeledRows], limit: int = 10, required: Iterable[str] = ()
) -> DataCheck:
    """Check labeled images: repeated, leaked and empty ones, conflicts and class names.

    Args:
        parts: From `read_image_rows`, those to train on first.
        limit: How many groups of images each finding has at most.
        required: Kinds that must not be skipped.

    Raises:
        LstmError: A required check cannot be run.
    """
    skipped = _skipped(len(parts), required)
    table = Table(parts)
    keys = text_keys(table.texts())
    copies = Copies(keys, table.files, number_classes(table.label_sets(), is_multi_label=False))
    # A leak of a text of few words gets a note; images have none.
    num_words = np.full(len(table), _MANY_WORDS, np.int64)
    findings: list[Finding] = [
        leaks(table, copies, num_words, limit),
        conflicts(table, copies, limit),
        duplicates(table, copies, limit),
        *check_labels(table, limit),
        table.single_rows("empty", np.flatnonzero(keys == 0).tolist(), limit),
    ]
    order = list(KINDS)
    findings.sort(key=lambda finding: order.index(finding.kind))
    return DataCheck(
        files=tuple(map(_summarize, parts)),
        findings=tuple(map(_without_hashes, (f for f in findings if f.kind not in skipped))),
        skipped=tuple(skipped.items()),
        noun="image",
    )


def _skipped(num_parts: int, required: Iterable[str]) -> dict[str, str]:
    """Return the kinds that cannot be checked, and why.

    Raises:
        LstmError: One of them is required.
    """
    skipped = dict.fromkeys(BETWEEN_FILES, _ONE_FILE) if num_parts == 1 else {}
    skipped |= _OF_TEXTS
    for kind in required:
        if kind in skipped:
            needs_files = skipped[kind] == _ONE_FILE
            raise LstmError(
                f"{kind} cannot be checked: {skipped[kind]}.",
                "Give train and test." if needs_files else f"Leave out --fail-on {kind}.",
                ExitCode.USAGE,
            )
    return skipped


def _without_hashes(finding: Finding) -> Finding:
    """Return a finding whose rows do not show the hash that stands for an image."""
    groups = (
        replace(group, rows=tuple(replace(row, text="") for row in group.rows))
        for group in finding.groups
    )
    return replace(finding, groups=tuple(groups))


def _summarize(part: LabeledRows) -> FileSummary:
    classes = Counter(part.labels).most_common()
    uneven = imbalance([num for _, num in classes])
    return FileSummary(
        name=part.name,
        num_rows=len(part.texts),
        num_classes=len(classes),
        largest=classes[0],
        smallest=classes[-1],
        word_percentiles=(),
        unseen=None,
        imbalance=uneven.describe([label for label, _ in classes]) if uneven else "",
    )
