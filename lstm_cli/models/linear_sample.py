"""The linear model of more texts than it can be fitted to in memory: fitted to a sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import LinearSettings
from lstm_cli.data import splits
from lstm_cli.models.linear import LinearModel, linear_logits
from lstm_cli.text.corpus import Corpus

# Tokens that the model is fitted to. `docs/scale.md` has what a sample costs and what a fit needs.
MAX_TOKENS = 8_000_000
# With the character n-grams of all words, a token has about this many times the features.
_CHAR_FACTOR = 8


def choose_rows(
    num_tokens: int, labels: NDArray[np.int32], settings: LinearSettings, seed: int
) -> NDArray[np.int64] | None:
    """Return the rows to fit the model to, ascending, `<int64>[rows]`; None for all.

    A sample has the same fraction of each class, and `MAX_TOKENS` tokens or nearly so.

    Args:
        num_tokens: Tokens in all texts.
        labels: Class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.
        settings: Those of the model.
        seed: Equal seeds give equal samples.
    """
    num = num_rows(num_tokens, len(labels), settings)
    if num == len(labels):
        return None
    return splits.sample_rows(labels, num, seed, splits.LINEAR_SAMPLE)


def num_rows(num_tokens: int, num_texts: int, settings: LinearSettings) -> int:
    """Return to how many texts the model is fitted; a few more with very many classes.

    Args:
        num_tokens: Tokens in all texts.
        num_texts: Number of texts.
        settings: Those of the model.
    """
    limit = MAX_TOKENS // (_CHAR_FACTOR if settings.char_ngrams == "all" else 1)
    return num_texts if num_tokens <= limit else max(1, num_texts * limit // num_tokens)


def take_of_both(first: Corpus, second: Corpus, rows: NDArray[np.int64]) -> Corpus:
    """Return the texts of these rows, as if the second corpus followed the first.

    Args:
        first: A corpus.
        second: Another one.
        rows: Ascending, `<int64>[rows]`.
    """
    in_first = int(np.searchsorted(rows, len(first)))
    return first.take(rows[:in_first]).concatenated_with(second.take(rows[in_first:] - len(first)))


def with_logits_of_all(
    model: LinearModel, corpus: Corpus, rows: NDArray[np.int64], settings: LinearSettings
) -> LinearModel:
    """Return a model that was fitted to a sample, with the logits of all training texts.

    Those in the sample keep their out-of-fold logits. The model has not learned from the others.

    Args:
        model: Fitted to the sample.
        corpus: All texts.
        rows: The rows of the sample.
        settings: Those of the model.
    """
    logits = linear_logits(corpus, model.tables, settings)
    logits[rows] = model.train_logits
    return replace(model, train_logits=logits)
