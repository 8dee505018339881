"""Language-model windows: batches of fixed-length windows of text, by seed and epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.token_ids import PAD_ID, own_ids

# Purposes of the random number generators. They begin at 1: NumPy treats [seed, 0] as [seed].
_VALIDATION_RNG, _ORDER_RNG, _NEGATIVES_RNG = 1, 2, 3


@dataclass(frozen=True)
class TextSubset:
    """A subset of the texts of several corpora.

    Attributes:
        corpora: The corpora.
        indices: Indices of the texts, counted through all corpora, `<int64>[num]`.
    """

    corpora: tuple[Corpus, ...]
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def num_tokens(self) -> int:
        """Tokens in all texts of the subset."""
        return int(np.concatenate([c.lengths for c in self.corpora])[self.indices].sum())

    def concatenate(self, order: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Return the ids of texts one after the other, with `[PAD]` before and after each.

        `[PAD]` marks the boundary between two texts. In a classifier, too, it is the first half of
        the bigram of a text's first token.

        Args:
            order: Positions in `indices`, `<int64>[num]`.
        """
        ends = np.cumsum([len(corpus) for corpus in self.corpora])
        boundary = np.array([PAD_ID], np.uint16)
        pieces = [boundary]
        for index in self.indices[order].tolist():
            part = int(np.searchsorted(ends, index, side="right"))
            corpus = self.corpora[part]
            ids = own_ids(corpus[index - int(ends[part]) + len(corpus)])
            pieces += [ids.astype(np.uint16), boundary]
        return np.concatenate(pieces)


def hold_out(
    corpora: Sequence[Corpus], fraction: float, seed: int
) -> tuple[TextSubset, TextSubset]:
    """Split texts at random into a training and a validation subset.

    Args:
        corpora: Encoded texts.
        fraction: Fraction of the texts for validation; at least one text.
        seed: Seed of the split.

    Raises:
        LstmError: There are fewer than two texts.
    """
    num = sum(len(corpus) for corpus in corpora)
    if num < 2:
        raise LstmError(
            f"A language model needs two texts or more, found {num}.",
            "One text is held out for validation.",
        )
    order = np.random.default_rng([seed, _VALIDATION_RNG]).permutation(num)
    num_validation = max(1, round(fraction * num))
    train, validation = np.sort(order[num_validation:]), np.sort(order[:num_validation])
    return TextSubset(tuple(corpora), train), TextSubset(tuple(corpora), validation)


@dataclass(frozen=True)
class Windows:
    """Token ids of concatenated texts, cut into windows that overlap by one token.

    Attributes:
        ids: `<uint16>[num]`.
        length: Tokens to predict in each direction in a window, which has one token more.
    """

    ids: NDArray[np.uint16]
    length: int

    def __len__(self) -> int:
        return (len(self.ids) - 1) // self.length

    def gather(self, indices: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return windows by index, `<int32>[batch, length + 1]`."""
        positions = indices[:, None] * self.length + np.arange(self.length + 1)
        return np.asarray(self.ids[positions], np.int32)


def make_windows(texts: TextSubset, length: int, order: NDArray[np.int64] | None = None) -> Windows:
    """Cut texts into windows; texts shorter than one window in total form one shorter window.

    Args:
        texts: Texts to cut.
        length: Tokens to predict in a window.
        order: Order of the texts; by default their order in the subset.
    """
    ids = texts.concatenate(np.arange(len(texts)) if order is None else order)
    return Windows(ids, min(length, len(ids) - 1))


def epoch_windows(texts: TextSubset, length: int, seed: int, epoch: int) -> Windows:
    """Shuffle texts and cut them into the windows of an epoch, at other places in each epoch.

    Args:
        texts: The training subset.
        length: Tokens to predict in a window.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
    """
    rng = np.random.default_rng([seed, epoch, _ORDER_RNG])
    return make_windows(texts, length, rng.permutation(len(texts)))


def num_batches(texts: TextSubset, length: int, batch_size: int) -> int:
    """Count the batches of an epoch: the same in every epoch, at least one."""
    num_ids = texts.num_tokens + len(texts) + 1
    num_windows = (num_ids - 1) // min(length, num_ids - 1)
    return max(1, num_windows // batch_size)


def batch_indices(
    num_windows: int, num_steps: int, batch_size: int, step: int
) -> NDArray[np.int64]:
    """Return the windows of a batch: far from each other, so that they are of different texts.

    Args:
        num_windows: Windows in the epoch.
        num_steps: Batches in the epoch.
        batch_size: Windows in a batch; fewer if the epoch has fewer.
        step: Number of the batch, from 0.
    """
    rows = min(batch_size, num_windows)
    return np.arange(rows, dtype=np.int64) * num_steps + step


def unigram_probabilities(texts: TextSubset, vocab_size: int) -> NDArray[np.float64]:
    """Return the relative frequency of each token with add-one smoothing, `<float64>[vocab]`."""
    ids = texts.concatenate(np.arange(len(texts)))
    counts = np.bincount(ids[1:], minlength=vocab_size) + 1.0
    return np.asarray(counts / counts.sum())


def sample_negatives(
    probabilities: NDArray[np.float64], num: int, seed: int, epoch: int, step: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Draw the negative samples of a batch, with replacement.

    Args:
        probabilities: Probability of each token, `<float64>[vocab]`.
        num: Number of samples.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
        step: Number of the batch, from 0.

    Returns:
        Their ids, `<int32>[num]`, and the logarithm of the expected count of each among the
        samples, `<float32>[num]`.
    """
    rng = np.random.default_rng([seed, epoch, step, _NEGATIVES_RNG])
    cumulative = np.cumsum(probabilities)
    negatives = np.searchsorted(cumulative, rng.random(num) * cumulative[-1], side="right")
    negatives = np.minimum(negatives, len(cumulative) - 1)
    log_expected_counts = np.log(probabilities[negatives]) + math.log(num)
    return negatives.astype(np.int32), log_expected_counts.astype(np.float32)
