"""Reviews of films that training does not know: what to choose settings by.

IMDB's train and test splits share no film, but reviews within train do, and about the same films
people think alike. A validation split cut at random therefore rewards a network for remembering
films. Reviews do not name theirs; two that share several rare words (names, mostly) are about the
same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import TextSettings
from lstm_cli.text.corpus import encode
from lstm_cli.text.tokenizer import Tokenizer

_WORDS = 30_000
_RAREST, _MOST = 2, 40
_SHARED = 3
_SEED = 123


@dataclass(frozen=True)
class Parting:
    """Texts parted by what they are about.

    Attributes:
        train: Indices of those that share no film with `validation`, `<int64>[num]`.
        validation: Indices of the others' judges, `<int64>[num]`, drawn at random.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]


def part(texts: Sequence[str], num_validation: int) -> Parting:
    """Draw a validation split, and leave out of train what may be about the same films.

    Args:
        texts: Reviews.
        num_validation: How many to draw.
    """
    from scipy import sparse

    tokenizer = Tokenizer.fit(
        texts, TextSettings(vocab_size=_WORDS, min_count=1, max_tokens=100_000)
    )
    corpus = encode(texts, tokenizer)
    rows = np.repeat(np.arange(len(corpus)), corpus.lengths)
    has = sparse.csr_matrix(
        (np.ones(len(rows), np.float32), (rows, corpus.ids)), shape=(len(corpus), _WORDS)
    )
    has.sum_duplicates()
    has.data[:] = 1
    texts_with = np.asarray(has.sum(axis=0)).ravel()
    # [PAD] and [UNK] are no words.
    rare = (texts_with >= _RAREST) & (texts_with <= _MOST) & (np.arange(_WORDS) > 1)
    has = has[:, np.flatnonzero(rare)]
    order = np.random.default_rng(_SEED).permutation(len(corpus))
    validation = order[:num_validation]
    shared = (has[validation] @ has.T).tocoo()
    linked = np.unique(shared.col[shared.data >= _SHARED])
    return Parting(np.setdiff1d(order[num_validation:], linked), validation)
