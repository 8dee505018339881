"""Unknown words, read by the LSTM as the most similar words of the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.text.ngrams import char_ngram_ids
from lstm_cli.text.token_ids import READ_AS, UNKNOWN_ID

# Of the hashes of n-grams; so many that different n-grams hardly ever share one.
_BUCKETS = 2**31 - 1
# Words that are remembered, because unknown words recur as well.
_MAX_FOUND = 50_000
# Similarities are rounded, so that a tie is a tie on every machine.
_DECIMALS = 6


class SimilarWords:
    """The words of a vocabulary, found by the character n-grams that they share with a word.

    The similarity of two words is the cosine of their n-grams of 2 to 5 characters, each with its
    inverse document frequency among the words: 1 for equal words, 0 without a common n-gram.

    Args:
        words: The words that can be found, the most frequent first.
        ids: Their ids, `<int>[words]`.
        min_similarity: The least similarity, above 0 and at most 1.
    """

    def __init__(
        self, words: Sequence[str], ids: NDArray[np.integer], min_similarity: float
    ) -> None:
        self._ids = ids
        self._min_similarity = min_similarity
        ngrams, counts = char_ngram_ids(words, _BUCKETS)
        rows = np.repeat(np.arange(len(words)), counts)
        # Sorted by n-gram, then by word; an n-gram counts once in a word.
        pairs = np.unique(ngrams.astype(np.int64) * len(words) + rows)
        self._rows = pairs % len(words)
        self._ngrams, starts = np.unique(pairs // len(words), return_index=True)
        self._starts = np.append(starts, len(pairs))
        counts = np.diff(self._starts)
        self._idf = np.log((1 + len(words)) / (1 + counts)) + 1
        self._new_idf = float(np.log(1 + len(words)) + 1)
        squares = np.repeat(np.square(self._idf), counts)
        self._norms = np.sqrt(np.bincount(self._rows, squares, len(words)))
        self._found: dict[str, int] = {}

    def find(self, word: str) -> int:
        """Return `READ_AS` plus the id of the most similar word; `UNKNOWN_ID` if none is similar.

        Of equally similar words, the most frequent one is taken.
        """
        found = self._found.get(word)
        if found is None:
            if len(self._found) >= _MAX_FOUND:
                self._found.clear()
            found = self._found[word] = self._find(word)
        return found

    def _find(self, word: str) -> int:
        ngrams = np.unique(char_ngram_ids([word], _BUCKETS)[0])
        places = np.searchsorted(self._ngrams, ngrams)
        places = places[np.isin(ngrams, self._ngrams, assume_unique=True)]
        if not len(places):
            return UNKNOWN_ID
        squares = np.square(self._idf[places])
        rows = [self._rows[self._starts[i] : self._starts[i + 1]] for i in places.tolist()]
        weights = np.repeat(squares, [len(part) for part in rows])
        products = np.bincount(np.concatenate(rows), weights, len(self._norms))
        num_new = len(ngrams) - len(places)
        norm = np.sqrt(squares.sum() + num_new * self._new_idf**2)
        similarities = np.round(products / (norm * self._norms), _DECIMALS)
        best = int(similarities.argmax())
        if similarities[best] < self._min_similarity:
            return UNKNOWN_ID
        return READ_AS + int(self._ids[best])
