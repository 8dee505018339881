"""Word vectors in the text format of word2vec, GloVe and fastText: a word and numbers on a line.

word2vec and fastText write a first line with the number of words and of dimensions; GloVe does not.
A word may contain spaces: the numbers are counted from the end of the line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO

import numpy as np

from lstm_cli.errors import LstmError
from lstm_cli.text.vectors_of_words import HINT, VectorsOfWords

# Much longer than a line of 16,384 numbers.
_MAX_LINE_BYTES = 1 << 20
# The width is the most common one of the first lines: a word with a space looks like a number more.
_SAMPLED_LINES = 100
MIN_WIDTH, MAX_WIDTH = 2, 16_384
_BOM = b"\xef\xbb\xbf"


class VectorLines:
    """The lines of a file of vectors.

    Args:
        stream: The file, decompressed.
        name: Of the file, for errors.

    Attributes:
        name: As the argument.
        width: Numbers of a vector.
        num_words: Number of words by the first line; None if it does not say so.

    Raises:
        LstmError: The first lines are not words with numbers.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        numbered = enumerate(_lines(stream, name), 1)
        first = list(islice(numbered, 1 + _SAMPLED_LINES))
        if first and first[0][1].startswith(_BOM):
            first[0] = (1, first[0][1].removeprefix(_BOM))
        self.num_words, declared = _header(first, name)
        first = first[declared is not None :]
        self.width = _width([line for _, line in first], name)
        if declared is not None and first and declared != self.width:
            raise LstmError(
                f"{name}: the first line says {declared:,} numbers in a line, the next lines have "
                f"{self.width:,}.",
                "Get the file again, or remove its first line if it is wrong.",
            )
        self._lines = chain(first, numbered)

    def read_into(self, found: VectorsOfWords) -> None:
        """Read all lines, and take the vectors of the words that are wanted.

        Raises:
            LstmError: Many lines are damaged, or the file cannot be read.
        """
        for number, line in self._lines:
            self._read_line(line, number, found)

    def _read_line(self, line: bytes, number: int, found: VectorsOfWords) -> None:
        line = line.strip()
        # Most words are not wanted, so their numbers are counted and not split.
        is_plain = line.count(b" ") == self.width
        parts = line.split(b" ", 1) if is_plain else line.rsplit(None, self.width)
        place = f"line {number:,}"
        if not line:
            return
        if not is_plain and len(parts) <= self.width:
            values = f"{len(parts) - 1:,} numbers" if len(parts) > 1 else "no numbers"
            expected = f"expected a word and {self.width:,} numbers, found {values}"
            found.add_damage(place, expected, is_row=True)
            return
        try:
            word = parts[0].decode().strip()
        except UnicodeDecodeError:
            found.add_damage(place, "the word is not UTF-8", is_row=True)
            return
        token_id = found.find(word)
        if token_id is None:
            return
        try:
            numbers = parts[1].split(b" ") if is_plain else parts[1:]
            vector = np.array([float(each) for each in numbers])
        except ValueError as error:
            found.reject(token_id, place, str(error)[:100])
            return
        found.put(token_id, vector, place)


def _lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield lines of bounded length.

    Raises:
        LstmError: The file is not one of lines.
    """
    while line := stream.readline(_MAX_LINE_BYTES):
        if len(line) == _MAX_LINE_BYTES or b"\0" in line:
            reason = "it has NUL bytes" if b"\0" in line else "a line is too long"
            raise LstmError(
                f"{name} is not a text file of word vectors: {reason}.",
                "Save word2vec's or fastText's binary format as text (.vec, .txt) first.",
            )
        yield line


def _header(lines: list[tuple[int, bytes]], name: str) -> tuple[int | None, int | None]:
    """Return the numbers of words and of dimensions if the first line consists of them."""
    fields = lines[0][1].split() if lines else []
    is_header = len(fields) == 2 and all(len(f) < 12 and f.isdigit() for f in fields)
    if not is_header:
        return None, None
    if len(lines) < 2:
        raise LstmError(f"{name} has a first line, and no word vectors below it.", HINT)
    return int(fields[0]), int(fields[1])


def _width(lines: list[bytes], name: str) -> int:
    """Return the most common number of numbers in a line; of equally common ones the least."""
    counts = Counter(len(line.split()) - 1 for line in lines if line.strip())
    width = min(counts, key=lambda width: (-counts[width], width), default=0)
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise LstmError(
            f"{name} is not a file of word vectors: expected lines of a word and {MIN_WIDTH:,} to "
            f"{MAX_WIDTH:,} numbers; found {max(0, width):,}.",
            HINT,
        )
    return width
