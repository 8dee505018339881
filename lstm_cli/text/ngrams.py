"""Hashed n-grams: the bucket of each token, and of each pair of neighbouring tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_cli.text.corpus import Corpus

# The factor is prime, and the sum in `bigram_ids` stays below 2**31 for token ids below 65536.
# So int32 is wide enough in Keras and in ONNX.
BIGRAM_FACTOR = 32_749


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


def ngram_ids(corpus: Corpus, buckets: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Hash every unigram and every bigram of a corpus.

    A unigram has the bucket of the bigram (0, token). So the first token of a text has the same
    bucket twice: as a unigram and as a bigram.

    Returns:
        Buckets of the unigrams and of the bigrams, `<int32>[tokens]` each.
    """
    ids = np.asarray(corpus.ids).astype(np.int32)
    previous = np.zeros_like(ids)
    previous[1:] = ids[:-1]
    previous[corpus.starts[:-1]] = 0
    return bigram_ids(np.zeros_like(ids), ids, buckets), bigram_ids(previous, ids, buckets)
