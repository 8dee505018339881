"""Batches of similar length, as a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A pool has this many batches. That is large enough for batches of nearly equal lengths, and small
# enough to mix the examples again in every epoch.
_POOL_BATCHES = 50


def training_batches(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Choose the examples of each training batch of an epoch.

    Examples are shuffled, sorted by length within pools, and cut into batches; then the batches are
    shuffled. Batch k of epoch e depends on (lengths, batch_size, seed, e, k) only, so training can
    resume at any step.

    Args:
        lengths: Tokens in each example, `<int64>[num]`.
        batch_size: Examples in a batch; the last batch of a pool may have fewer.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.

    Returns:
        The indices of the examples of each batch. Every example is in exactly one batch.
    """
    rng = np.random.default_rng([seed, epoch])
    # The sort is stable: examples of equal length stay in shuffled order.
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
    """Cut examples into batches for evaluation: sorted by length, with every example.

    Args:
        lengths: Tokens in each example, `<int64>[num]`.
        batch_size: Maximum number of examples in a batch.
        batch_tokens: Maximum number of tokens in a batch, padding included. A longer example forms
            a batch by itself.
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


def pad_batch(rows: Sequence[NDArray[Any]], multiple: int = 1) -> NDArray[np.int32]:
    """Stack rows of ids into one array, padded on the right.

    Args:
        rows: Ids of each example, `<int>[length]`.
        multiple: The width is rounded up to a multiple of this.

    Returns:
        `<int32>[batch, width]`, as wide as the longest row and at least 1; 0 is padding.
    """
    width = -(-max(1, *map(len, rows)) // multiple) * multiple
    tokens = np.zeros((len(rows), width), np.int32)
    for padded, row in zip(tokens, rows, strict=True):
        padded[: len(row)] = row
    return tokens


def padding_fraction(lengths: NDArray[np.int64], batches: Sequence[NDArray[np.int64]]) -> float:
    """Return the fraction of positions in these batches that are padding."""
    positions = sum(len(b) * int(lengths[b].max()) for b in batches)
    return 1.0 - int(lengths.sum()) / positions if positions else 0.0
