"""Split reviews so that train and validation share no film.

IMDB's train and test splits share no film, but reviews within train do, and reviews of one film
often agree. With a random validation split, a model gains by memorizing films. Reviews do not say
which film they are about; two reviews that share several rare words (mostly names) are taken to be
about the same film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import TextSettings
from lstm_cli.text.corpus import encode
from lstm_cli.text.tokenizer import Tokenizer

_VOCAB_SIZE = 30_000
# A word is rare if it occurs in so many reviews; so many shared rare words link two reviews.
_MIN_REVIEWS, _MAX_REVIEWS = 2, 40
_NUM_SHARED = 3
_SEED = 123


@dataclass(frozen=True)
class FilmSplit:
    """A split of reviews by film.

    Attributes:
        train: Indices of the reviews that share no film with `validation`, `<int64>[num]`.
        validation: Indices drawn at random, `<int64>[num]`.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]


def split_by_film(texts: Sequence[str], num_validation: int) -> FilmSplit:
    """Draw a validation split; the train split gets the reviews of other films only.

    Args:
        texts: Reviews.
        num_validation: Number of validation examples.
    """
    from scipy import sparse

    tokenizer = Tokenizer.fit(
        texts, TextSettings(vocab_size=_VOCAB_SIZE, min_count=1, max_tokens=100_000)
    )
    corpus = encode(texts, tokenizer)
    rows = np.repeat(np.arange(len(corpus)), corpus.lengths)
    contains = sparse.csr_matrix(
        (np.ones(len(rows), np.float32), (rows, corpus.ids)), shape=(len(corpus), _VOCAB_SIZE)
    )
    contains.sum_duplicates()
    contains.data[:] = 1
    num_reviews = np.asarray(contains.sum(axis=0)).ravel()
    # [PAD] and [UNK] are not words.
    is_word = np.arange(_VOCAB_SIZE) > 1
    rare = is_word & (num_reviews >= _MIN_REVIEWS) & (num_reviews <= _MAX_REVIEWS)
    contains = contains[:, np.flatnonzero(rare)]
    order = np.random.default_rng(_SEED).permutation(len(corpus))
    validation = order[:num_validation]
    shared = (contains[validation] @ contains.T).tocoo()
    linked = np.unique(shared.col[shared.data >= _NUM_SHARED])
    return FilmSplit(np.setdiff1d(order[num_validation:], linked), validation)
