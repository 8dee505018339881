"""Learn a region embedding: the words of a region predict the words beside it.

The region of position t holds w neighbouring words. Its vector is

    u_t = relu(b + sum_{word in region t} E[word])

with E[word] = 0 for `[PAD]` and `[UNK]`. From u_t, a linear model for each side predicts which
words are among the w words to the left and to the right of the region:

    L = sum_side ( mean_{(t, j): j is beside region t} (1 - u_t . w_j - c_j)^2
                   + 5 sum_j q_j mean_t (u_t . w_j + c_j)^2 ),    q_j ~ sqrt(count of word j)

The 100 most frequent words are not predicted: they say little about what a text is about. Of L,
only E and b are kept. A classifier reads u_t beside the vector of word t.

The second sum is over all words and all positions. It needs no sample of words, as it equals
mean_t u_t' M u_t with M = sum_j q_j w_j w_j' (the bias as one more component). So a step costs a
few products of the size of the embedding.

Source: Johnson & Zhang 2015, "Semi-supervised Convolutional Neural Networks for Text
    Categorization via Region Embedding", sections 3.1 and 3.2 (two-view embedding, square loss);
    2016, "Supervised and Semi-Supervised Text Categorization using LSTM for Region Embeddings",
    section 3. Hu, Koren & Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets",
    section 4, for the sum over all words.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.models.adam_table import AdamTable, sum_by_row
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.token_ids import PAD_ID, UNKNOWN_ID, own_ids

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]

_NUM_NOT_PREDICTED = 100
_ZEROS_WEIGHT = 5.0
# Root mean square of the vectors: that of word vectors, which have a standard deviation of 0.3.
_RMS = 0.265
_INITIAL_STD = 0.01
_LEARNING_RATE = 4e-3
# Neighbouring positions whose products are one matrix product.
_BLOCK = 32
_MAX_BLOCKS = 512
_MIN_BLOCKS = 8
_MIN_STEPS = 200
# Parts of a batch. Threads share them; their number is fixed, so that it does not change a bit.
_PARTS = 4


class RegionArrays(NamedTuple):
    """A region embedding: E `<float32>[vocab_size, dim]` and b `<float32>[dim]`."""

    embeddings: Floats
    bias: Floats


class LearningStep(NamedTuple):
    """Progress: epoch and step, from 1, steps of an epoch, and the loss of the batch."""

    epoch: int
    step: int
    steps: int
    loss: float


def learn_region_embedding(
    corpora: Sequence[Corpus],
    vocab_size: int,
    dim: int,
    width: int,
    epochs: int,
    seed: int,
    on_step: Callable[[LearningStep], None] = lambda _: None,
) -> RegionArrays:
    """Learn a region embedding from texts.

    The result is the same on any number of cores.

    Args:
        corpora: Encoded texts, labelled or not.
        vocab_size: Vocabulary size of the tokenizer.
        dim: Dimensions of a region vector.
        width: Words in a region; with an even number, there is one more before the middle.
        epochs: Passes over the texts.
        seed: Seed of the initial values and of the order.
        on_step: Called after each step.

    Returns:
        The embedding, multiplied by a constant so that its vectors have a root mean square of
        0.265 in these texts. Its rows for `[PAD]` and `[UNK]` are 0.
    """
    from threadpoolctl import threadpool_limits

    ids = _with_gaps(corpora, width)
    counts = np.bincount(ids, minlength=vocab_size)
    rng = np.random.default_rng(seed)
    learner = _Learner(counts, dim, width, rng)
    num_blocks = -(-len(ids) // _BLOCK)
    size = int(np.clip(num_blocks * epochs // _MIN_STEPS, _MIN_BLOCKS, _MAX_BLOCKS))
    steps = -(-num_blocks // size)
    padded = np.pad(ids, (2 * width, 2 * width + 2 * _BLOCK))
    columns = np.arange(_BLOCK + 3 * width - 1)
    # Products of matrices are small here: one thread each, several at a time.
    with ThreadPoolExecutor(_num_threads()) as pool, threadpool_limits(1, user_api="blas"):
        for epoch in range(epochs):
            # Blocks begin elsewhere in each pass.
            shift = int(rng.integers(_BLOCK))
            order = rng.permutation(num_blocks) * _BLOCK + shift
            for step in range(steps):
                starts = order[step * size : (step + 1) * size]
                rate = _LEARNING_RATE * (1 - (epoch * steps + step) / (epochs * steps))
                loss = learner.fit(padded[starts[:, None] + columns], rate, pool)
                on_step(LearningStep(epoch + 1, step + 1, steps, loss))
        starts = np.sort(order[:_MAX_BLOCKS])
        rms = learner.root_mean_square(padded[starts[:, None] + columns])
    scale = np.float32(_RMS / rms if rms else 1.0)
    return RegionArrays(learner.embeddings.values * scale, learner.bias.values[0] * scale)


def _with_gaps(corpora: Sequence[Corpus], width: int) -> Ids:
    """Return all texts in one array, with padding between them, so that no region crosses it."""
    gap = 2 * width
    parts = []
    for corpus in corpora:
        places = np.arange(len(corpus.ids)) + gap * np.repeat(
            np.arange(len(corpus)), corpus.lengths
        )
        part = np.full(len(corpus.ids) + gap * len(corpus), PAD_ID, np.int32)
        part[places] = own_ids(corpus.ids)
        parts.append(part)
    return np.concatenate(parts)


def _num_threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(_PARTS, cores or 1)


@dataclass
class _Side:
    """The words beside the regions of a part of a batch, on one side.

    Attributes:
        words: `<int32>[blocks, time]`.
        vectors: Their w_j with c_j as the last component, `<float32>[blocks, time, dim + 1]`.
        errors: u_t . w_j + c_j - 1 of each pair, 0 where j is not beside region t,
            `<float32>[blocks, positions, time]`.
        num_pairs: Number of pairs.
        loss: Sum of the squared errors.
    """

    words: Ids
    vectors: Floats
    errors: Floats
    num_pairs: float
    loss: float


@dataclass
class _Part:
    """What the forward pass of a part of a batch has computed.

    Attributes:
        words: The words of all regions, `<int32>[blocks, time]`.
        regions: u_t with a last component of 1, 0 at padding, `<float32>[blocks, _BLOCK, dim + 1]`.
        sides: Left and right.
    """

    words: Ids
    regions: Floats
    sides: tuple[_Side, _Side]


@dataclass
class _Gradients:
    """Gradients of a part of a batch by place in the part; see `_Part` and `_Side`.

    Attributes:
        words: Of E, `<float32>[places, dim]`.
        bias: Of b, `<float32>[dim]`.
        beside: Of w_j and c_j on each side, `<float32>[places, dim + 1]`.
        moment: Sum of u_t u_t', `<float32>[dim + 1, dim + 1]`.
    """

    words: Floats
    bias: Floats
    beside: list[Floats]
    moment: Floats


class _Learner:
    """The arrays of the model, and a step of Adam.

    Args:
        counts: How often each word occurs, `<int64>[vocab_size]`.
        dim: Dimensions of a region vector.
        width: Words in a region.
        rng: Draws the initial values.
    """

    def __init__(
        self, counts: NDArray[np.int64], dim: int, width: int, rng: np.random.Generator
    ) -> None:
        size = len(counts)
        initial = rng.normal(0, _INITIAL_STD, (size, dim)).astype(np.float32)
        initial[: UNKNOWN_ID + 1] = 0
        self.embeddings = AdamTable(initial)
        self.bias = AdamTable(np.zeros((1, dim), np.float32))
        self._beside = [AdamTable(np.zeros((size, dim + 1), np.float32)) for _ in range(2)]
        self._moments = [np.zeros((dim + 1, dim + 1), np.float32) for _ in range(2)]
        self._shares = _shares(counts)
        self._width, self._dim = width, dim
        # Which words belong to which region of a block, `<float32>[_BLOCK, _BLOCK + width - 1]`.
        distances = np.arange(_BLOCK + width - 1) - np.arange(_BLOCK)[:, None]
        self._band = ((distances >= 0) & (distances < width)).astype(np.float32)

    def fit(self, tokens: Ids, rate: float, pool: ThreadPoolExecutor) -> float:
        """Take a step, and return the loss before it.

        Args:
            tokens: Blocks of neighbouring words, `<int32>[blocks, _BLOCK + 3 * width - 1]`: the
                words beside the first region, the region, ..., the words beside the last region.
            rate: Learning rate.
            pool: Threads.
        """
        parts = list(pool.map(self._forward, np.array_split(tokens, _PARTS)))
        num = max(1.0, float(sum(part.regions[:, :, -1].sum() for part in parts)))
        pairs = [max(1.0, sum(part.sides[side].num_pairs for part in parts)) for side in (0, 1)]
        zeros = _total(self._moments) * np.float32(_ZEROS_WEIGHT / num)
        found = list(pool.map(lambda part: self._backward(part, pairs, zeros), parts))
        moment = _total(one.moment for one in found)
        loss = float(np.vdot(zeros, moment))
        loss += sum(part.sides[i].loss / pairs[i] for part in parts for i in (0, 1))
        moment *= np.float32(2 * _ZEROS_WEIGHT / num)

        def update(table: int) -> None:
            if table < 2:
                self._update_beside(table, parts, found, moment, rate)
            else:
                self._update_embeddings(parts, found, rate)

        list(pool.map(update, range(3)))
        return loss

    def root_mean_square(self, tokens: Ids) -> float:
        """Return that of the vectors of the regions around words."""
        regions = self._regions(tokens)
        num = float(regions[:, :, -1].sum()) * self._dim
        return float(np.sqrt(np.square(regions[:, :, :-1]).sum() / num)) if num else 0.0

    def _regions(self, tokens: Ids) -> Floats:
        """Return u_t of all positions, with a last component: `_Part.regions`."""
        width = self._width
        # u_t belongs to the word in the middle of its region.
        middle = width + width // 2
        words = tokens[:, width : 2 * width + _BLOCK - 1]
        regions = np.empty((len(tokens), _BLOCK, self._dim + 1), np.float32)
        vectors = regions[:, :, :-1]
        np.matmul(self._band, self.embeddings.values[words], out=vectors)
        vectors += self.bias.values[0]
        np.maximum(vectors, 0, out=vectors)
        regions[:, :, -1] = tokens[:, middle : middle + _BLOCK] != PAD_ID
        vectors *= regions[:, :, -1:]
        return regions

    def _forward(self, tokens: Ids) -> _Part:
        width, time = self._width, _BLOCK + self._width - 1
        regions = self._regions(tokens)
        sides = []
        for table, start in zip(self._beside, (0, 2 * width), strict=True):
            words = tokens[:, start : start + time]
            vectors = table.values[words]
            pairs = self._band * (self._shares[words] > 0)[:, None, :] * regions[:, :, -1:]
            errors = regions @ vectors.transpose(0, 2, 1)
            errors -= 1
            errors *= pairs
            squares = float(np.vdot(errors, errors))
            sides.append(_Side(words, vectors, errors, float(pairs.sum()), squares))
        return _Part(tokens[:, width : width + time], regions, (sides[0], sides[1]))

    def _backward(self, part: _Part, pairs: Sequence[float], zeros: Floats) -> _Gradients:
        """Return the gradients; those of the second sum in the loss reach w_j by the moment.

        Args:
            part: What the forward pass has computed; its errors are overwritten.
            pairs: Number of pairs of the whole batch on each side.
            zeros: M of both sides, times its weight for one position.
        """
        size = self._dim + 1
        flat = part.regions.reshape(-1, size)
        gradient = (flat @ (2 * zeros)).reshape(part.regions.shape)
        beside = []
        for side, num in zip(part.sides, pairs, strict=True):
            side.errors *= np.float32(2 / num)
            gradient += side.errors @ side.vectors
            beside.append((side.errors.transpose(0, 2, 1) @ part.regions).reshape(-1, size))
        of_sums = gradient[:, :, :-1] * (part.regions[:, :, :-1] > 0)
        words = (self._band.T @ of_sums).reshape(-1, self._dim)
        return _Gradients(words, of_sums.sum(axis=(0, 1)), beside, flat.T @ flat)

    def _update_beside(
        self,
        side: int,
        parts: Sequence[_Part],
        found: Sequence[_Gradients],
        moment: Floats,
        rate: float,
    ) -> None:
        table = self._beside[side]
        words = np.concatenate([part.sides[side].words.reshape(-1) for part in parts])
        vectors = np.concatenate([one.beside[side] for one in found])
        gradient = sum_by_row(words, vectors, len(table.values))
        gradient += self._shares[:, None] * (table.values @ moment)
        table.update(gradient, rate)
        self._moments[side] = table.values.T @ (self._shares[:, None] * table.values)

    def _update_embeddings(
        self, parts: Sequence[_Part], found: Sequence[_Gradients], rate: float
    ) -> None:
        words = np.concatenate([part.words.reshape(-1) for part in parts])
        vectors = np.concatenate([one.words for one in found])
        gradient = sum_by_row(words, vectors, len(self.embeddings.values))
        gradient[: UNKNOWN_ID + 1] = 0
        self.embeddings.update(gradient, rate)
        self.bias.update(_total(one.bias for one in found)[None].copy(), rate)


def _shares(counts: NDArray[np.int64]) -> Floats:
    """Return q_j, `<float32>[vocab_size]`: 0 for words that are not predicted."""
    weights = counts.astype(np.float64)
    weights[: UNKNOWN_ID + 1] = 0
    # In a small vocabulary only a tenth of the words.
    num = min(_NUM_NOT_PREDICTED, len(counts) // 10)
    weights[np.argsort(-weights, kind="stable")[:num]] = 0
    weights = np.sqrt(weights)
    return np.asarray(weights / max(weights.sum(), 1e-12), np.float32)


def _total(arrays: Iterable[Floats]) -> Floats:
    first, *others = arrays
    return sum(others, first)
