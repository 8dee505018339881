"""Hashed n-grams: of neighbouring tokens, and of the characters of a word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# The factor is prime, and the sum in `bigram_ids` stays below 2**31 for token ids below 65536.
# So int32 is wide enough in Keras and in ONNX.
BIGRAM_FACTOR = 32_749
# The largest prime below 65536: a bigram becomes the first token of a trigram.
TRIGRAM_MODULUS = 65_521

MIN_CHARS, MAX_CHARS = 2, 5
# Only the beginning of a longer word is hashed. Without a limit, a text of one very long word would
# need gigabytes.
MAX_WORD_CHARS = 64
# Mark the start and the end of a word. No token contains control characters.
_START, _END = "\x02", "\x03"


def bigram_ids(
    previous: NDArray[np.int32], tokens: NDArray[np.int32], buckets: int
) -> NDArray[np.int32]:
    """Hash bigrams into buckets, with the same formula as the Keras model and the ONNX graph.

    Args:
        previous: Id of the token before each token; 0 for the first token of a text.
        tokens: Ids of the tokens, `<int32>` of the same shape.
        buckets: Number of buckets.

    Returns:
        `(previous * BIGRAM_FACTOR + token) mod buckets`, `<int32>` of the same shape.
    """
    return (previous * np.int32(BIGRAM_FACTOR) + tokens) % np.int32(buckets)


def word_ngram_ids(
    ids: NDArray[np.int32], is_first: NDArray[np.bool_], order: int, buckets: int
) -> list[NDArray[np.int32]]:
    """Hash the bigram, and the trigram if wanted, that ends at each token of one or more texts.

    Args:
        ids: Token ids, one text after the other, `<int32>[tokens]`.
        is_first: Whether a token is the first of its text, `<bool>[tokens]`.
        order: 2 for bigrams, 3 for bigrams and trigrams.
        buckets: Number of buckets.

    Returns:
        One `<int32>[tokens]` for each order from 2. Before the first token stands the id 0. A
        trigram is the bigram of a hash of its first two tokens, and its last token; for the first
        token of a text this hash is 0.
    """
    previous = _shift(ids, is_first)
    ngrams = [bigram_ids(previous, ids, buckets)]
    if order == 3:
        first_two = _shift(bigram_ids(previous, ids, TRIGRAM_MODULUS), is_first)
        ngrams.append(bigram_ids(first_two, ids, buckets))
    return ngrams


def char_ngram_ids(
    words: Sequence[str], buckets: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Hash the character n-grams of words, of 2 to 5 characters with the marks at both ends.

    Args:
        words: Tokens; of each, the first `MAX_WORD_CHARS` characters count.
        buckets: Number of buckets, at least 2.

    Returns:
        The buckets of all n-grams, one word after the other, `<int32>[n-grams]`, from 1 to
        `buckets - 1` (0 is padding), and the number of n-grams of each word, `<int64>[words]`.

    Source: Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information", section 3.2,
        for n-grams with marks. The hash is FNV-1a over code points, with the finalizer of
        MurmurHash3.
    """
    words = [word[:MAX_WORD_CHARS] for word in words]
    marked = "".join(f"{_START}{word}{_END}" for word in words)
    letters = np.frombuffer(marked.encode("utf-32-le", "replace"), np.uint32)
    lengths = np.fromiter(map(len, words), np.int64, len(words)) + 2
    # Number of characters from each position to the end of its word.
    remaining = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(letters))
    hashes = np.full(len(letters), 2_166_136_261, np.uint32)
    counts, columns = np.zeros(len(words), np.int64), []
    for size in range(1, MAX_CHARS + 1):
        # One short word alone has fewer characters than the longest n-gram.
        num = max(0, len(letters) - size + 1)
        hashes[:num] = (hashes[:num] ^ letters[size - 1 :]) * np.uint32(16_777_619)
        if size >= MIN_CHARS:
            fits = remaining >= size
            columns.append(np.where(fits, mix(hashes) % np.uint32(buckets - 1) + 1, 0))
            counts += np.maximum(lengths - size + 1, 0)
    table = np.stack(columns, axis=1).astype(np.int32)
    return table[table > 0], counts


def _shift(ids: NDArray[np.int32], is_first: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the value before each token, 0 for the first of a text."""
    previous = np.zeros_like(ids)
    previous[1:] = ids[:-1]
    previous[is_first] = 0
    return previous


def mix(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread the entropy of hashes over all their bits, with the finalizer of MurmurHash3."""
    mixed = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EB_CA6B)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2_AE35)
    return mixed ^ (mixed >> np.uint32(16))
