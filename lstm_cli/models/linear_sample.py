"""The linear model of more texts than it can be fitted to in memory: fitted to a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import LinearSettings
from lstm_cli.data import splits
from lstm_cli.io.array_file import on_disk
from lstm_cli.models.linear import LinearModel, linear_logits
from lstm_cli.text.corpus import Corpus

# Features of texts that the model is fitted to: a fit needs 40 to 50 bytes of memory for each.
# `docs/scale.md` has what a sample costs. All of IMDB with trigrams has 18 million.
MAX_FEATURES = 24_000_000
# With `linear.char_ngrams: all`, the character n-grams of a word in the vocabulary, on average.
_CHARS_OF_A_WORD = 20


def count_features(corpora: Sequence[Corpus], settings: LinearSettings) -> int:
    """Return about how many features these texts have, with repetitions in a text.

    Args:
        corpora: Encoded texts.
        settings: Those of the model.
    """
    of_token = settings.word_ngrams
    if settings.char_ngrams == "all":
        of_token += _CHARS_OF_A_WORD
    return sum(len(corpus.ids) * of_token + len(corpus.ngrams) for corpus in corpora)


def choose_rows(
    num_features: int, labels: NDArray[np.int32], seed: int
) -> NDArray[np.int64] | None:
    """Return the rows to fit the model to, ascending, `<int64>[rows]`; None for all.

    A sample has the same fraction of each class, and `MAX_FEATURES` features or nearly so.

    Args:
        num_features: Features of all texts, from `count_features`.
        labels: Class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.
        seed: Equal seeds give equal samples.
    """
    num = num_rows(num_features, len(labels))
    if num == len(labels):
        return None
    return splits.sample_rows(labels, num, seed, splits.LINEAR_SAMPLE)


def num_rows(num_features: int, num_texts: int) -> int:
    """Return to how many texts the model is fitted; a few more with very many classes.

    Args:
        num_features: Features of all texts, from `count_features`.
        num_texts: Number of texts.
    """
    if num_features <= MAX_FEATURES:
        return num_texts
    return max(1, num_texts * MAX_FEATURES // num_features)


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
    return replace(model, train_logits=on_disk(logits))
