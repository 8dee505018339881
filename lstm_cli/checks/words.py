"""How many words texts have, and which words the first file does not have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from lstm_cli.checks.result import UnseenWords
from lstm_cli.data.rows import LabeledRows
from lstm_cli.text.tokenizer import encode_tokens

PERCENTILES = (50, 90, 99, 100)
_CHUNK = 2048
_NUM_EXAMPLES = 8


@dataclass(frozen=True)
class WordCounts:
    """The words of a file. A word is a token with a letter or a digit.

    Attributes:
        tokens: Tokens in each text, `<int64>[rows]`.
        words: Words in each text, `<int64>[rows]`.
        unseen: Words that the first file does not have; None for the first file.
    """

    tokens: NDArray[np.int64]
    words: NDArray[np.int64]
    unseen: UnseenWords | None

    @property
    def percentiles(self) -> tuple[int, ...]:
        """Words in a text, at `PERCENTILES`."""
        found = np.percentile(self.words, PERCENTILES, method="higher")
        return tuple(int(number) for number in found)


def count_words(parts: Sequence[LabeledRows]) -> Iterator[WordCounts]:
    """Count the words of each file, and those that the first file does not have."""
    vocabulary = _Vocabulary()
    known: NDArray[np.int64] | None = None
    for part in parts:
        tokens, words = vocabulary.read(part.texts)
        if known is None:
            known = vocabulary.counts.copy()
            yield WordCounts(tokens, words, None)
        else:
            yield WordCounts(tokens, words, vocabulary.unseen(known))


class _Vocabulary:
    """The tokens of all files, with their counts in the last one.

    Attributes:
        counts: How often each token is in the file that was read last, `<int64>[tokens]`.
    """

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict(count().__next__)
        self._tokens: list[str] = []
        self._is_word = np.zeros(0, np.int64)
        self.counts = np.zeros(0, np.int64)

    def read(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read a file; return the tokens and the words in each text, `<int64>[num]`."""
        self.counts = np.zeros(len(self._tokens), np.int64)
        tokens, words = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for start in range(0, len(texts), _CHUNK):
            ids, lengths = encode_tokens(texts[start : start + _CHUNK], self._numbers.__getitem__)
            self._grow()
            self.counts += np.bincount(ids, minlength=len(self.counts))
            sums = np.concatenate([[0], np.cumsum(self._is_word[ids])])
            ends = np.cumsum(lengths)
            tokens.append(lengths)
            words.append(sums[ends] - sums[ends - lengths])
        return np.concatenate(tokens), np.concatenate(words)

    def _grow(self) -> None:
        """Make room for the tokens that were new."""
        new = [*self._numbers][len(self._tokens) :]
        self._tokens += new
        is_word = [any(map(str.isalnum, token)) for token in new]
        self._is_word = np.concatenate([self._is_word, np.array(is_word, np.int64)])
        self.counts = np.concatenate([self.counts, np.zeros(len(new), np.int64)])

    def unseen(self, known: NDArray[np.int64]) -> UnseenWords:
        """Return the words of the last file whose count in another is 0 or not there."""
        counts = self.counts * self._is_word
        is_known = np.zeros(len(counts), np.bool_)
        is_known[: len(known)] = known > 0
        new = np.where(is_known, 0, counts)
        num_examples = min(_NUM_EXAMPLES, int(np.count_nonzero(new)))
        most = np.argsort(-new, kind="stable")[:num_examples].tolist()
        return UnseenWords(
            fraction=float(new.sum() / max(1, counts.sum())),
            num=int(np.count_nonzero(new)),
            num_words=int(np.count_nonzero(counts)),
            most_frequent=tuple((self._tokens[i], int(new[i])) for i in most),
        )
