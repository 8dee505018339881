"""Vectors of the words of a vocabulary, collected from a file that is read once, row by row.

A word of a file belongs to the token that the tokenizer makes of it: "The" and "the" are both
"the". The word that is spelled like the token has priority, then the first one in the file, which
lists frequent words first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.text.token_ids import SPECIAL_TOKENS
from lstm_cli.text.tokenizer import tokenize

# A row of the text format, for the hints of errors.
HINT = "Each line must be a word and its numbers, such as: film 0.13 -0.72 0.05"
# Fraction of the rows that may be damaged, and how many at least; a file with more is probably not
# one of vectors.
_MAX_DAMAGED, _MIN_DAMAGED = 0.01, 10
# Reading ends at once if so many are damaged, and they are not few of all so far.
_MOST_DAMAGED = 1000


@dataclass
class VectorsOfWords:
    """Vectors for a vocabulary, while they are collected.

    Attributes:
        name: Of the file, for errors.
        words: The token of each id.
        width: Numbers of a vector.
        vectors: `<float32>[vocabulary, width]`, 0 for words that were not found.
        is_found: Whether a word was found, `<bool>[vocabulary]`.
        num_rows: Rows of the file so far.
        num_repeated: Words of the vocabulary that came again in the same spelling.
        num_damaged: Damaged rows so far.
        first_damage: Place and reason of the first of them.
    """

    name: str
    words: Sequence[str]
    width: int
    num_rows: int = 0
    num_repeated: int = 0
    num_damaged: int = 0
    first_damage: str = ""
    vectors: NDArray[np.float32] = field(init=False)
    is_found: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.vectors = np.zeros((len(self.words), self.width), np.float32)
        self.is_found = np.zeros(len(self.words), np.bool_)
        num_special = len(SPECIAL_TOKENS)
        self._ids = {word: i for i, word in enumerate(self.words) if i >= num_special}
        # Whether the vector found is that of the same spelling.
        self._is_exact = np.zeros(len(self.words), np.bool_)

    def find(self, word: str) -> int | None:
        """Return the id for the vector of a word of the file, if it is wanted; count the row."""
        self.num_rows += 1
        place = self._ids.get(word)
        if place is not None:
            if self._is_exact[place]:
                self.num_repeated += 1
                return None
            self._is_exact[place] = True
            return place
        if word.isascii() and word.isalnum() and word.islower():
            return None  # a token that the vocabulary lacks
        tokens = tokenize(word)
        place = self._ids.get(tokens[0]) if len(tokens) == 1 else None
        return None if place is None or self.is_found[place] else place

    def put(self, place: int, vector: NDArray[np.floating], row: str) -> None:
        """Take a vector for a word, or count it as damaged.

        Args:
            place: As `find` returns it.
            vector: `<float>[width]`.
            row: Where it is in the file, for errors.
        """
        with np.errstate(over="ignore"):
            vector = vector.astype(np.float32)
        if not np.isfinite(vector).all():
            self.reject(place, row, "a number is infinite or not a number")
            return
        self.vectors[place] = vector
        self.is_found[place] = True

    def reject(self, place: int, row: str, reason: str) -> None:
        """Count the row of a word as damaged; the word may come again."""
        self._is_exact[place] = False
        self.add_damage(row, reason)

    def add_damage(self, row: str, reason: str, is_row: bool = False) -> None:
        """Count a damaged row.

        Args:
            row: Where it is in the file.
            reason: What is wrong.
            is_row: Whether the row is not counted yet, by `find`.

        Raises:
            LstmError: There are far too many; the rest of the file is not read.
        """
        self.num_rows += is_row
        self.num_damaged += 1
        self.first_damage = self.first_damage or f"{row}: {reason}"
        if self.num_damaged >= _MOST_DAMAGED:
            self.check()

    def check(self) -> None:
        """Check that few rows are damaged.

        Raises:
            LstmError: The file has no row, or many are damaged.
        """
        if not self.num_rows:
            raise LstmError(f"{self.name} holds no word vectors.", HINT)
        limit = min(max(_MIN_DAMAGED, _MAX_DAMAGED * self.num_rows), self.num_rows / 2)
        if self.num_damaged > limit:
            raise LstmError(
                f"{self.name}: {self.num_damaged:,} of {self.num_rows:,} rows are damaged; "
                f"{self.first_damage}.",
                HINT,
            )
