"""The rows of all files, one after the other, and rows as they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from lstm_cli.checks.result import Finding, Group, Row
from lstm_cli.data.rows import LabeledRows
from lstm_cli.io.text_format import shorten

MAX_GROUP_ROWS = 6
_MAX_CHARACTERS = 160
_CHARACTERS_BEFORE = 40


class Table:
    """The rows of all files.

    Args:
        parts: The rows of each file.

    Attributes:
        parts: As given.
        files: The file of each row, ascending, `<int64>[rows]`.
    """

    def __init__(self, parts: Sequence[LabeledRows]) -> None:
        self.parts = parts
        sizes = [len(part.texts) for part in parts]
        self.files: NDArray[np.int64] = np.repeat(np.arange(len(parts)), sizes)
        self._starts = np.cumsum([0, *sizes]).tolist()

    def __len__(self) -> int:
        return len(self.files)

    def texts(self) -> Iterable[str]:
        """Return all texts, in order."""
        return chain.from_iterable(part.texts for part in self.parts)

    def labels(self) -> Iterable[str]:
        """Return all labels, in order."""
        return chain.from_iterable(part.labels for part in self.parts)

    def text(self, index: int) -> str:
        """Return the text of a row."""
        part, row = self._find(index)
        return part.texts[row]

    def label(self, index: int) -> str:
        """Return the label of a row."""
        part, row = self._find(index)
        return part.labels[row]

    def row(self, index: int, start: int = 0) -> Row:
        """Return a row as it is shown.

        Args:
            index: Index of the row.
            start: The character of the text that matters; the excerpt has what is around it.
        """
        part, row = self._find(index)
        return Row(part.place(row), part.labels[row], _excerpt(part.texts[row], start))

    def pair(self, first: int, second: int) -> tuple[Row, Row]:
        """Return two rows as they are shown, with the first difference of their texts."""
        letters = zip(self.text(first), self.text(second), strict=False)
        start = next((i for i, (one, other) in enumerate(letters) if one != other), 0)
        return self.row(first, start), self.row(second, start)

    def group(self, indices: Sequence[int], detail: str = "", start: int = 0) -> Group:
        """Return a group of rows, of which the first are shown, with their text around `start`."""
        rows = tuple(self.row(index, start) for index in indices[:MAX_GROUP_ROWS])
        return Group(detail, rows, len(indices))

    def single_rows(self, kind: str, indices: Sequence[int], limit: int) -> Finding:
        """Return a finding of rows that have nothing to do with each other."""
        groups = tuple(self.group([index]) for index in islice(indices, limit))
        return Finding(kind, len(indices), "", groups, len(indices))

    def _find(self, index: int) -> tuple[LabeledRows, int]:
        file = int(self.files[index])
        return self.parts[file], index - self._starts[file]


def _excerpt(text: str, start: int) -> str:
    """Return what is around a character of a text, on one line."""
    first = start - _CHARACTERS_BEFORE
    if first <= 0 or len(text) <= _MAX_CHARACTERS:
        return shorten(text, _MAX_CHARACTERS)
    first = min(first, len(text) - _MAX_CHARACTERS)
    return "…" + shorten(text[first:], _MAX_CHARACTERS)
