"""The same text more than once: duplicates within a file, leaks between files, conflicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lstm_cli.checks.keys import label_key
from lstm_cli.checks.result import Finding, Group
from lstm_cli.checks.table import MAX_GROUP_ROWS, Table
from lstm_cli.data.readers.label_sets import LabelSet
from lstm_cli.io.text_format import visible

_MAX_LABELS = 4
# People write texts of so few words independently of each other.
_SHORT = 3


class Copies:
    """Rows with equal texts.

    Args:
        keys: The key of the text of each row, `<uint64>[rows]`; 0 for an empty text.
        files: The file of each row, ascending, `<int64>[rows]`.
        classes: The class of each row, `<int64>[rows]`; -1 without a label.
    """

    def __init__(
        self, keys: NDArray[np.uint64], files: NDArray[np.int64], classes: NDArray[np.int64]
    ) -> None:
        self.keys = keys
        self._files, self.classes = files, classes
        # Rows with a text, sorted by text; rows of one text keep their order.
        order = np.argsort(keys, kind="stable")
        self._order = order[np.count_nonzero(keys == 0) :]
        self._starts = np.diff(keys[self._order], prepend=np.uint64(0)) != 0
        self._group = np.cumsum(self._starts) - 1

    @cached_property
    def is_duplicate(self) -> NDArray[np.bool_]:
        """Whether an earlier row of the same file has the text, `<bool>[rows]`."""
        files = self._files[self._order]
        return self._by_row(~self._starts & (np.diff(files, prepend=-1) == 0))

    @cached_property
    def is_leak(self) -> NDArray[np.bool_]:
        """Whether an earlier file has the text, `<bool>[rows]`."""
        files = self._files[self._order]
        return self._by_row(files > files[self._starts][self._group])

    @cached_property
    def is_conflict(self) -> NDArray[np.bool_]:
        """Whether another row with the text has another label, `<bool>[rows]`."""
        if not len(self._order):
            return self._by_row(self._starts)
        classes = self.classes[self._order]
        starts = np.flatnonzero(self._starts)
        largest = np.maximum.reduceat(classes, starts)
        known = np.where(classes < 0, largest[self._group], classes)
        smallest = np.minimum.reduceat(known, starts)
        differ = (smallest != largest)[self._group]
        return self._by_row(differ & (classes >= 0))

    @cached_property
    def is_first(self) -> NDArray[np.bool_]:
        """Whether a row is the first of its file with its text, `<bool>[rows]`; not empty ones."""
        has_text: NDArray[np.bool_] = self.keys != 0
        return has_text & ~self.is_duplicate

    def groups(self, rows: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
        """Return all rows of the texts that some rows have, texts in the order of these rows."""
        picked = rows[self._order]
        ids, places = np.unique(self._group[picked], return_index=True)
        first = self._order[picked][places]
        bounds = np.append(np.flatnonzero(self._starts), len(self._order))
        ids = ids[np.argsort(first, kind="stable")]
        return [self._order[bounds[i] : bounds[i + 1]] for i in ids.tolist()]

    def _by_row(self, values: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return values in the order of rows; empty texts have none."""
        result: NDArray[np.bool_] = np.zeros(len(self.keys), np.bool_)
        result[self._order] = values
        return result


def number_classes(label_sets: Iterable[LabelSet], is_multi_label: bool) -> NDArray[np.int64]:
    """Number the labels of texts so that those that look alike are equal.

    Args:
        label_sets: The labels of each text; their order does not count.
        is_multi_label: Whether a text without labels is complete; if not, its number is -1.
    """
    keys: dict[frozenset[str], int] = {}
    numbers: dict[LabelSet, int] = {} if is_multi_label else {(): -1}
    result = []
    for labels in label_sets:
        if labels not in numbers:
            numbers[labels] = keys.setdefault(frozenset(map(label_key, labels)), len(keys))
        result.append(numbers[labels])
    return np.array(result, np.int64)


def leaks(table: Table, copies: Copies, num_words: NDArray[np.int64], limit: int) -> Finding:
    """Return the rows whose text is in an earlier file.

    Args:
        table: The rows.
        copies: Their copies.
        num_words: Words in the text of each row, `<int64>[rows]`.
        limit: How many groups to show.
    """
    groups = copies.groups(copies.is_leak)
    shown = []
    for rows in groups[:limit]:
        # A row of each file, the last file first: what leaked, then where it is from.
        firsts = [rows[table.files[rows] == file][0] for file in np.unique(table.files[rows])[::-1]]
        shown.append(table.group(_ahead(firsts, rows)))
    num_short = np.count_nonzero(copies.is_leak & (num_words <= _SHORT))
    note = ""
    if num_short:
        note = f"{num_short:,} of them have {_SHORT} words or less: people write such texts alike."
    return _finding("leak", copies.is_leak, shown, len(groups), note)


def duplicates(table: Table, copies: Copies, limit: int) -> Finding:
    """Return the rows whose text is further up in their file."""
    groups = copies.groups(copies.is_duplicate)
    shown = []
    for rows in groups[:limit]:
        files = table.files[rows]
        repeated = np.bincount(files, minlength=len(table.parts)) > 1
        shown.append(table.group(rows[repeated[files]].tolist()))
    return _finding("duplicate", copies.is_duplicate, shown, len(groups))


def conflicts(table: Table, copies: Copies, limit: int) -> Finding:
    """Return the texts that have several labels."""
    groups = copies.groups(copies.is_conflict)
    shown = []
    for rows in groups[:limit]:
        labels = [table.label(row) for row in rows.tolist()]
        counts = Counter(labels).most_common()
        # A row of each label first.
        firsts = [rows[labels.index(label)] for label, _ in counts[:_MAX_LABELS]]
        detail = ", ".join(f"{num:,} {visible(label)}" for label, num in counts[:_MAX_LABELS])
        if len(counts) > _MAX_LABELS:
            detail += f" and {len(counts) - _MAX_LABELS:,} more labels"
        is_whole = len(rows) <= MAX_GROUP_ROWS
        shown.append(table.group(_ahead(firsts, rows), "" if is_whole else detail))
    return _finding("conflict", copies.is_conflict, shown, len(groups))


def _ahead(firsts: Sequence[np.int64], rows: NDArray[np.int64]) -> list[int]:
    """Return rows with some of them first."""
    return [*map(int, firsts), *np.setdiff1d(rows, firsts).tolist()]


def _finding(
    kind: str, rows: NDArray[np.bool_], groups: list[Group], num_groups: int, note: str = ""
) -> Finding:
    return Finding(kind, int(np.count_nonzero(rows)), note, tuple(groups), num_groups)
