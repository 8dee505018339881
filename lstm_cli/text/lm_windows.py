"""Encoded texts -> windows to predict words in, as a pure function of (seed, epoch)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import PAD_ID

# Of what a stream of random numbers is for; NumPy takes [seed, 0] for [seed].
_HELD_OUT, _ORDER, _NEGATIVES = 1, 2, 3


@dataclass(frozen=True)
class Texts:
    """Some texts of several corpora.

    Attributes:
        corpora: Where the texts are.
        chosen: Which, counted through all corpora, `<int64>[num]`.
    """

    corpora: tuple[Corpus, ...]
    chosen: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def num_tokens(self) -> int:
        """Tokens of all texts together."""
        return int(np.concatenate([c.lengths for c in self.corpora])[self.chosen].sum())

    def joined(self, order: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Return texts one after the other, `[PAD]` before each and behind the last.

        To the network `[PAD]` says that a text ends and another begins: the first word of a text
        makes a pair with it in a classifier too.

        Args:
            order: Indices into `chosen`, `<int64>[num]`.
        """
        ends = np.cumsum([len(corpus) for corpus in self.corpora])
        border = np.array([PAD_ID], np.uint16)
        pieces = [border]
        for text in self.chosen[order].tolist():
            part = int(np.searchsorted(ends, text, side="right"))
            corpus = self.corpora[part]
            pieces += [corpus[text - int(ends[part]) + len(corpus)], border]
        return np.concatenate(pieces)


def hold_out(corpora: Sequence[Corpus], share: float, seed: int) -> tuple[Texts, Texts]:
    """Part texts into those to learn from and those to measure on.

    Args:
        corpora: Encoded texts.
        share: Held out of all texts; one at least.
        seed: Of the draw.

    Raises:
        LstmError: There are fewer than two texts.
    """
    num = sum(len(corpus) for corpus in corpora)
    if num < 2:
        raise LstmError(
            f"A language model needs two texts or more, found {num}.",
            "One is held out to measure on.",
        )
    order = np.random.default_rng([seed, _HELD_OUT]).permutation(num)
    held = max(1, round(share * num))
    parts = tuple(corpora)
    return Texts(parts, np.sort(order[held:])), Texts(parts, np.sort(order[:held]))


@dataclass(frozen=True)
class Windows:
    """A stream of token ids, cut into windows that overlap by one token.

    Attributes:
        ids: `<uint16>[num]`.
        length: Words to predict in each direction in a window, which has one token more.
    """

    ids: NDArray[np.uint16]
    length: int

    def __len__(self) -> int:
        return (len(self.ids) - 1) // self.length

    def gather(self, indices: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return windows, `<int32>[batch, length + 1]`."""
        positions = indices[:, None] * self.length + np.arange(self.length + 1)
        return np.asarray(self.ids[positions], np.int32)


def windows(texts: Texts, length: int, order: NDArray[np.int64] | None = None) -> Windows:
    """Cut texts into windows; where all are shorter than one, there is one as long as they are.

    Args:
        texts: What to cut.
        length: Words to predict in a window.
        order: Of the texts; as they come where not given.
    """
    ids = texts.joined(np.arange(len(texts)) if order is None else order)
    return Windows(ids, min(length, len(ids) - 1))


def epoch_windows(texts: Texts, length: int, seed: int, epoch: int) -> Windows:
    """Cut texts, shuffled, into the windows of an epoch; each epoch cuts elsewhere.

    Args:
        texts: What to learn from.
        length: Words to predict in a window.
        seed: Of the run.
        epoch: Counted from 0.
    """
    rng = np.random.default_rng([seed, epoch, _ORDER])
    return windows(texts, length, rng.permutation(len(texts)))


def num_batches(texts: Texts, length: int, batch_size: int) -> int:
    """Count the batches of an epoch: the same in every epoch, at least one."""
    num_ids = texts.num_tokens + len(texts) + 1
    num_windows = (num_ids - 1) // min(length, num_ids - 1)
    return max(1, num_windows // batch_size)


def batch(num_windows: int, num_steps: int, batch_size: int, step: int) -> NDArray[np.int64]:
    """Return which windows form a batch: far from each other, so that no text fills it.

    Args:
        num_windows: Of the epoch.
        num_steps: Batches of the epoch.
        batch_size: Windows in a batch; fewer where there are not so many.
        step: Counted from 0.
    """
    rows = min(batch_size, num_windows)
    return np.arange(rows, dtype=np.int64) * num_steps + step


def unigram(texts: Texts, vocab_size: int) -> NDArray[np.float64]:
    """Return how probable each token is where nothing is known of its neighbours, `[vocab]`.

    Every token counts once more than it occurs, so that none is impossible.
    """
    ids = texts.joined(np.arange(len(texts)))
    counts = np.bincount(ids[1:], minlength=vocab_size) + 1.0
    return np.asarray(counts / counts.sum())


def negatives(
    probabilities: NDArray[np.float64], num: int, seed: int, epoch: int, step: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Draw the words that a batch is told apart from, with replacement.

    Args:
        probabilities: By which they are drawn, `<float64>[vocab]`.
        num: How many.
        seed: Of the run.
        epoch: Counted from 0.
        step: Counted from 0.

    Returns:
        Their ids, `<int32>[num]`, and the logarithm of how often each is expected among them,
        `<float32>[num]`.
    """
    rng = np.random.default_rng([seed, epoch, step, _NEGATIVES])
    edges = np.cumsum(probabilities)
    drawn = np.searchsorted(edges, rng.random(num) * edges[-1], side="right")
    drawn = np.minimum(drawn, len(edges) - 1)
    expected = np.log(probabilities[drawn]) + math.log(num)
    return drawn.astype(np.int32), expected.astype(np.float32)
