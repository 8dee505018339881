"""Word vectors from co-occurrence counts: PPMI, then a truncated SVD."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.text.corpus import Corpus
from lstm_cli.text.token_ids import own_ids

_WINDOW = 5
_CONTEXTS = 2000
_SMOOTHING = 0.75
_STD = 0.3
_CHUNK = 4_000_000
# [PAD] and [UNK] are not words and get no vector.
_FIRST_WORD = 2


def learn_word_vectors(
    corpora: Sequence[Corpus], vocab_size: int, dim: int, seed: int
) -> NDArray[np.float32]:
    """Learn a vector for every word of a vocabulary.

    Counts how often each word occurs within five words of each of the 2,000 most frequent words,
    with weight 1/d at distance d; turns the counts into positive pointwise mutual information; and
    takes the leading singular vectors, scaled by the square roots of their singular values.

    Args:
        corpora: Encoded texts, labelled or not. The vocabulary is sorted by frequency, so the
            lowest ids are the most frequent words.
        vocab_size: Vocabulary size of the tokenizer.
        dim: Dimensions of a vector. Dimensions beyond the number of contexts are 0.
        seed: Seed of the factorization.

    Returns:
        `<float32>[vocab_size, dim]` with a standard deviation of 0.3, as in a trained embedding;
        zero for `[PAD]` and `[UNK]`.

    Source: Levy, Goldberg & Dagan 2015, "Improving Distributional Similarity with Lessons Learned
        from Word Embeddings", sections 2 and 3: PPMI with context distribution smoothing and
        eigenvalue weighting 0.5. Halko et al. 2011 for the randomized factorisation.
    """
    from sklearn.utils.extmath import randomized_svd

    num_contexts = min(_CONTEXTS, vocab_size - _FIRST_WORD)
    counts = np.zeros((vocab_size, num_contexts), np.float32)
    for corpus in corpora:
        _count(counts, corpus)
    rank = min(dim, num_contexts)
    left, values, _ = randomized_svd(_ppmi(counts), rank, n_iter=3, random_state=seed)
    vectors = np.zeros((vocab_size, dim), np.float32)
    vectors[:, :rank] = left * np.sqrt(values)
    vectors[:_FIRST_WORD] = 0
    std = float(vectors[_FIRST_WORD:].std())
    return vectors * np.float32(_STD / std if std else 0.0)


def _count(counts: NDArray[np.float32], corpus: Corpus) -> None:
    """Add the weighted co-occurrences within each text to `[vocab, contexts]`, in place."""
    flat = counts.reshape(-1)
    num_contexts = counts.shape[1]
    for start in range(0, len(corpus.ids), _CHUNK):
        # Chunks overlap by a window, so that no pair of words is lost between them.
        ids = own_ids(corpus.ids[start : start + _CHUNK + _WINDOW]).astype(np.int64)
        texts = _texts_of(corpus, start, start + len(ids))
        for distance in range(1, _WINDOW + 1):
            left, right = ids[:-distance][:_CHUNK], ids[distance:][:_CHUNK]
            same_text = (texts[:-distance] == texts[distance:])[:_CHUNK]
            for words, contexts in ((left, right), (right, left)):
                known = same_text & (words >= _FIRST_WORD) & (contexts >= _FIRST_WORD)
                known &= contexts < _FIRST_WORD + num_contexts
                cells = words[known] * num_contexts + (contexts[known] - _FIRST_WORD)
                np.add.at(flat, cells, np.float32(1 / distance))
        corpus.drop_pages()


def _texts_of(corpus: Corpus, start: int, stop: int) -> NDArray[np.int32]:
    """Number the texts of the tokens in a range, from 0, `<int32>[stop - start]`."""
    first = int(np.searchsorted(corpus.starts, start, side="right")) - 1
    end = int(np.searchsorted(corpus.starts, stop))
    bounds: NDArray[np.int64] = np.clip(corpus.starts[first : end + 1], start, stop)
    return np.repeat(np.arange(end - first, dtype=np.int32), np.diff(bounds))


def _ppmi(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn counts into positive pointwise mutual information, in place."""
    words = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    contexts = counts.sum(axis=0, keepdims=True, dtype=np.float64) ** _SMOOTHING
    contexts /= max(contexts.sum(), 1e-12)
    counts /= np.maximum(words, 1e-12).astype(np.float32)
    counts /= np.maximum(contexts, 1e-12).astype(np.float32)
    # Ratios below 1, which are rarer than chance, become 1, and their logarithm is 0.
    np.maximum(counts, 1.0, out=counts)
    return np.log(counts, out=counts)


def fit_width(
    vectors: NDArray[np.float32], is_found: NDArray[np.bool_], dim: int
) -> NDArray[np.float32]:
    """Project vectors to fewer dimensions, or pad them with zeros, and scale them.

    The projection keeps as much of all dot products as so many dimensions can: it is onto the
    leading right singular vectors of the vectors that were found.

    Args:
        vectors: `<float32>[vocabulary, width]`.
        is_found: The words that have a vector, `<bool>[vocabulary]`.
        dim: Wanted width.

    Returns:
        `<float32>[vocabulary, dim]`: 0 for words without a vector; those of the others have the
        standard deviation of `learn_word_vectors`. Of equal width, only the scale changes.

    Source: Eckart & Young 1936, "The approximation of one matrix by another of lower rank".
    """
    found = vectors[is_found].astype(np.float64)
    if dim < vectors.shape[1]:
        # Of the small matrix: exact, and the same on every run.
        _, axes = np.linalg.eigh(found.T @ found)
        axes = axes[:, ::-1][:, :dim]
        # The sign of a singular vector is arbitrary: its largest component becomes positive.
        largest = np.abs(axes).argmax(axis=0)
        found = found @ (axes * np.sign(axes[largest, np.arange(dim)]))
    table = np.zeros((len(vectors), dim))
    table[is_found, : found.shape[1]] = found
    std = float(found.std()) if found.size else 0.0
    return (table * (_STD / std if std else 0.0)).astype(np.float32)
