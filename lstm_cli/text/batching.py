"""Length-bucketed batches as a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.text.corpus import Corpus

# Batches are cut from pools of this many: large enough that neighbours have nearly equal
# lengths, small enough that every epoch mixes examples anew.
_POOL_BATCHES = 50


def plan(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Decide which examples form each training batch of an epoch.

    Examples are shuffled, sorted by length within pools, cut into batches, and the batches
    shuffled. Batch k of epoch e depends on (lengths, batch_size, seed, e, k) and nothing else,
    so that training can go on from any step.

    Args:
        lengths: Tokens of each example, `<int64>[num]`.
        batch_size: Examples in a batch; the last may have fewer.
        seed: Of the run.
        epoch: Counted from 0.

    Returns:
        For each batch the indices of its examples; every example stands in exactly one.
    """
    rng = np.random.default_rng([seed, epoch])
    # Ties in length fall in the shuffled order: the sort is stable.
    order = rng.permutation(len(lengths))
    pool_size = batch_size * _POOL_BATCHES
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), pool_size):
        pool = order[start : start + pool_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def evaluation_batches(
    lengths: NDArray[np.int64], batch_size: int, batch_tokens: int | None = None
) -> list[NDArray[np.int64]]:
    """Cut examples into batches for evaluation: sorted by length, none dropped.

    Args:
        lengths: Tokens of each example, `<int64>[num]`.
        batch_size: Most examples in a batch.
        batch_tokens: Most tokens in a batch, padding included; one example may exceed it alone.
    """
    order = np.argsort(lengths, kind="stable")
    if batch_tokens is None:
        return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    batches, start = [], 0
    while start < len(order):
        end = start + 1
        while (
            end < len(order)
            and end - start < batch_size
            and (end - start + 1) * lengths[order[end]] <= batch_tokens
        ):
            end += 1
        batches.append(order[start:end])
        start = end
    return batches


def pad(
    corpus: Corpus | Sequence[NDArray[np.int32]], indices: NDArray[np.int64], multiple: int = 1
) -> NDArray[np.int32]:
    """Gather examples into one right-padded array.

    Args:
        corpus: Token ids by example.
        indices: Which examples, `<int64>[batch]`.
        multiple: The width is rounded up to a multiple of this.

    Returns:
        `<int32>[batch, longest of these]`, 0 where an example has ended.
    """
    rows = [corpus[int(i)] for i in indices]
    width = -(-max(len(row) for row in rows) // multiple) * multiple
    tokens = np.zeros((len(rows), width), np.int32)
    for padded, row in zip(tokens, rows, strict=True):
        padded[: len(row)] = row
    return tokens


def shifted(images: NDArray[np.uint8], reach: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Move each image by a random number of pixels, blank where it moved away.

    Args:
        images: `<uint8>[batch, rows, columns]`.
        reach: Most pixels in each direction.
        rng: Where the moves come from.
    """
    num, rows, columns = images.shape
    canvas = np.zeros((num, rows + 2 * reach, columns + 2 * reach), np.uint8)
    canvas[:, reach : reach + rows, reach : reach + columns] = images
    down, right = rng.integers(0, 2 * reach + 1, (2, num))
    moved = np.empty_like(images)
    for i in range(num):
        moved[i] = canvas[i, down[i] : down[i] + rows, right[i] : right[i] + columns]
    return moved


def padding_share(lengths: NDArray[np.int64], batches: Sequence[NDArray[np.int64]]) -> float:
    """Return which share of the positions in these batches is padding."""
    positions = sum(len(b) * int(lengths[b].max()) for b in batches)
    return 1.0 - int(lengths.sum()) / positions if positions else 0.0
