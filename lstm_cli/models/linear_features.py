"""The features of the linear model, and the tables that hold their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import LinearSettings
from lstm_cli.io.array_file import on_disk
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.ngrams import char_ngram_ids, word_ngram_ids
from lstm_cli.text.token_ids import SPECIAL_TOKENS

# A word has about twenty character n-grams, which say much the same: they count less.
_CHAR_WEIGHT = 0.5


@dataclass(frozen=True)
class LinearTables:
    """The weights of a linear model, with one output for two classes.

    Attributes:
        words: Weight of each word of the vocabulary, together with those of its character n-grams,
            `<float32>[vocab_size, outputs]`; 0 for padding.
        word_ngrams: Weights of bigrams and trigrams by bucket, `<float32>[buckets, outputs]`.
        char_ngrams: Weights of character n-grams by bucket, for unknown words,
            `<float32>[char_buckets, outputs]`; None without them. Bucket 0 is padding: its weights
            are 0.
        biases: Added to the sum of the weights of a text, `<float32>[outputs]`.
    """

    words: NDArray[np.float32]
    word_ngrams: NDArray[np.float32]
    char_ngrams: NDArray[np.float32] | None
    biases: NDArray[np.float32]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]]) -> LinearTables:
        """Return the tables among the arrays of `weights.safetensors`.

        Raises:
            KeyError: These are not the arrays of a classifier with a linear model.
        """
        return cls(
            arrays["linear/words"],
            arrays["linear/word_ngrams"],
            arrays.get("linear/char_ngrams"),
            arrays["linear/biases"],
        )

    @property
    def size(self) -> int:
        """Number of weights."""
        return sum(array.size for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the tables by their names in `weights.safetensors`."""
        arrays = {
            "linear/words": self.words,
            "linear/word_ngrams": self.word_ngrams,
            "linear/biases": self.biases,
        }
        if self.char_ngrams is not None:
            arrays["linear/char_ngrams"] = self.char_ngrams
        return arrays


@dataclass(frozen=True)
class Features:
    """The features of texts: words, buckets of word n-grams, buckets of character n-grams.

    Attributes:
        counts: Count of each feature in each text over the square root of its length, a sparse
            `<float32>[num, features]`, with a column for each feature that occurs.
        factors: Weight of the kind of each feature, `<float32>[features]`.
        columns: Number of the word or bucket of each column, by kind.
        word_chars: Count of each character n-gram in each word, a sparse
            `<float32>[vocab_size, character n-grams that occur]`; None without them.
        unlabeled: As `counts`, of unlabeled texts; None if there are none.
    """

    counts: Any
    factors: NDArray[np.float32]
    columns: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    word_chars: Any
    unlabeled: Any = None

    def tables(
        self,
        weights: NDArray[np.float64],
        biases: NDArray[np.float64],
        vocab_size: int,
        settings: LinearSettings,
    ) -> LinearTables:
        """Distribute the weights of the columns, `<float64>[features, outputs]`, to the tables."""
        ends = np.cumsum([len(columns) for columns in self.columns])
        words, word_ngrams, chars = np.split(weights, ends[:-1])
        sizes = (vocab_size, settings.buckets, settings.num_char_buckets)
        tables = [np.zeros((size, weights.shape[1]), np.float32) for size in sizes]
        for table, columns, part in zip(
            tables, self.columns, (words, word_ngrams, chars), strict=True
        ):
            table[columns] = part
        if self.word_chars is not None:
            tables[0] += (self.word_chars @ chars).astype(np.float32)
        char_table = None if self.word_chars is None else tables[2]
        return LinearTables(tables[0], tables[1], char_table, biases.astype(np.float32))


def extract(
    corpus: Corpus,
    words: Sequence[str],
    settings: LinearSettings,
    unlabeled: Corpus | None = None,
) -> Features:
    """Count the features of each text."""
    from scipy import sparse

    num_labeled = len(corpus)
    if unlabeled is not None:
        corpus = corpus.concatenated_with(unlabeled)
    num = len(corpus)
    texts = np.repeat(np.arange(num, dtype=np.int32), corpus.lengths)
    word_counts = _count(texts, np.asarray(corpus.own_ids).astype(np.int32), num, len(words))
    buckets = word_ngrams(corpus, settings)
    ngram_counts = _count(
        np.tile(texts, len(buckets)), np.concatenate(buckets), num, settings.buckets
    )
    char_counts, word_chars = _char_counts(corpus, word_counts, words, settings)
    blocks, columns, factors = [], [], []
    for counts, factor in ((word_counts, 1.0), (ngram_counts, 1.0), (char_counts, _CHAR_WEIGHT)):
        used = np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]))
        blocks.append(counts[:, used])
        columns.append(used)
        factors.append(np.full(len(used), factor, np.float32))
    if word_chars is not None:
        word_chars = word_chars[:, columns[2]]
    del word_counts, ngram_counts, char_counts, buckets, texts
    all_counts = sparse.hstack(blocks, format="csr")
    del blocks
    all_counts.data /= np.repeat(
        np.sqrt(corpus.lengths).astype(np.float32), np.diff(all_counts.indptr)
    )
    all_counts.data = on_disk(all_counts.data)
    return Features(
        all_counts if unlabeled is None else all_counts[:num_labeled],
        np.concatenate(factors),
        (columns[0], columns[1], columns[2]),
        word_chars,
        None if unlabeled is None else all_counts[num_labeled:],
    )


def word_ngrams(corpus: Corpus, settings: LinearSettings) -> list[NDArray[np.int32]]:
    """Return the buckets of the bigram and the trigram at each token, `<int32>[tokens]` each."""
    is_first = np.zeros(len(corpus.ids), np.bool_)
    is_first[corpus.starts[:-1]] = True
    ids = np.asarray(corpus.own_ids).astype(np.int32)
    return word_ngram_ids(ids, is_first, settings.word_ngrams, settings.buckets)


def _char_counts(
    corpus: Corpus, word_counts: Any, words: Sequence[str], settings: LinearSettings
) -> tuple[Any, Any]:
    """Count the character n-grams of each text, and of each word of the vocabulary.

    Returns:
        A sparse `<float32>[num, char_buckets]`, and a sparse `<float32>[vocab_size, char_buckets]`;
        None for the second if only unknown words have n-grams, or none.
    """
    num_ngrams = np.diff(corpus.ngram_starts)
    texts = np.repeat(np.arange(len(corpus), dtype=np.int32), num_ngrams)
    size = max(1, settings.num_char_buckets)
    counts = _count(texts, np.asarray(corpus.ngrams), len(corpus), size)
    if not settings.num_char_buckets:
        return counts, None
    known = words[len(SPECIAL_TOKENS) :] if settings.char_ngrams == "all" else []
    buckets, per_word = char_ngram_ids(known, settings.num_char_buckets)
    rows = np.repeat(np.arange(len(known), dtype=np.int32) + len(SPECIAL_TOKENS), per_word)
    word_chars = _count(rows, buckets, len(words), size)
    return counts + word_counts @ word_chars, word_chars


def _count(
    rows: NDArray[np.int32], columns: NDArray[np.int32], num_rows: int, num_columns: int
) -> Any:
    """Count pairs of row and column, a sparse `<float32>[num_rows, num_columns]`."""
    from scipy import sparse

    ones = np.ones(len(rows), np.float32)
    counts = sparse.csr_matrix((ones, (rows, columns)), shape=(num_rows, num_columns))
    counts.sum_duplicates()
    return counts
