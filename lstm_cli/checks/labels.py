"""Labels that look alike, that the first file does not have, or that are missing."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from lstm_cli.checks.keys import LATIN_LOOK_ALIKES, label_key
from lstm_cli.checks.result import Finding, Group
from lstm_cli.checks.table import MAX_GROUP_ROWS, Table, label_sets
from lstm_cli.data.readers.labels import label_identity
from lstm_cli.io.text_format import visible


def _without_invisible(label: str) -> str:
    """Return a label without characters that change how others are shown, or nothing."""
    return "".join(
        char
        for char in label
        if unicodedata.category(char) not in ("Cf", "Cc") and not "\ufe00" <= char <= "\ufe0f"
    )


# How labels can differ that look alike.
_WAYS: dict[str, Callable[[str], str]] = {
    "invisible characters": _without_invisible,
    "composed letters": lambda label: unicodedata.normalize("NFKC", label),
    "case": str.lower,
    "quotes": lambda label: label.strip("\"'"),
    "alphabets": lambda label: label.translate(LATIN_LOOK_ALIKES),
    "spaces": lambda label: " ".join(label.replace("_", " ").split()),
}


def look_alikes(labels: Iterable[str]) -> list[list[str]]:
    """Return groups of different labels that look alike.

    Args:
        labels: Different labels.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups[label_key(label)].append(label)
    return [group for group in groups.values() if len(group) > 1]


def difference(labels: Sequence[str]) -> str:
    """Say how labels differ that look alike: `case, spaces`."""
    least = _num_different(labels, _WAYS.values())
    found = [
        name
        for name, way in _WAYS.items()
        if _num_different(labels, [other for other in _WAYS.values() if other is not way]) > least
    ]
    return ", ".join(found if least == 1 else [*found, "numbers or signs"])


def _num_different(labels: Sequence[str], ways: Iterable[Callable[[str], str]]) -> int:
    """Return how many of the labels are still different after some ways are evened out."""
    changed = set(labels)
    for way in ways:
        changed = {way(label) for label in changed}
    return len(changed)


def check_labels(table: Table, limit: int) -> list[Finding]:
    """Return the findings `labels`, `new-label` (of several files) and `no-label`."""
    first_row: dict[str, int] = {}
    counts: defaultdict[str, int] = defaultdict(int)
    missing = []
    for index, labels in enumerate(table.label_sets()):
        if not labels:
            missing.append(index)
        for label in labels:
            first_row.setdefault(label, index)
            counts[label] += 1
    groups = look_alikes(first_row)
    shown = [_group(table, labels, first_row, counts) for labels in groups[:limit]]
    findings = [Finding("labels", sum(map(len, groups)), "", tuple(shown), len(groups))]
    if len(table.parts) > 1:
        known = {label_identity(one) for labels in label_sets(table.parts[0]) for one in labels}
        new = [label for label in first_row if label_identity(label) not in known]
        alone = tuple(_group(table, [label], first_row, counts) for label in new[:limit])
        findings.append(Finding("new-label", len(new), "", alone, len(new)))
    missing = [] if table.is_multi_label else missing
    return [*findings, table.single_rows("no-label", missing, limit)]


def _group(
    table: Table, labels: Sequence[str], first_row: dict[str, int], counts: dict[str, int]
) -> Group:
    """Return the first row of each label, and how many rows each has."""
    shown = sorted(labels, key=lambda label: -counts[label])[:MAX_GROUP_ROWS]
    numbers = ", ".join(f"{counts[label]:,} {visible(label)}" for label in shown)
    detail = numbers
    if len(labels) > 1:
        is_one = len(set(map(label_identity, labels))) == 1
        relation = "count as one" if is_one else f"differ in {difference(labels)}"
        detail = f"{relation}: {numbers}"
    rows = tuple(table.row(first_row[label]) for label in shown)
    return Group(detail, rows, len(labels))
