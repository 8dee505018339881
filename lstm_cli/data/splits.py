"""Seeded, stratified cuts: which examples go where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.dataset import Split

# What a draw is for. Part of its seed, so that no two cuts of one data set are related.
TEST_CUT, VALIDATION_CUT, TRAIN_LIMIT, VALIDATION_LIMIT, TEST_LIMIT = range(1, 6)


def cut(split: Split, share: float, seed: int, purpose: int) -> tuple[Split, Split]:
    """Set a share of the examples aside, the same share of each class.

    Both parts keep the order of the examples, and both hold one or more of each class that has two.

    Args:
        split: What to cut.
        share: Share of the examples to set aside, between 0 and 1.
        seed: Equal seeds cut equally.
        purpose: `TEST_CUT` or `VALIDATION_CUT`.

    Returns:
        What remains, and what is set aside.
    """
    counts = np.bincount(split.labels)
    aside = _draw(
        split.labels, _allot(counts, round(share * len(split)), counts - 1), seed, purpose
    )
    rest = np.setdiff1d(np.arange(len(split)), aside, assume_unique=True)
    return take(split, rest), take(split, aside)


def limit(split: Split, most: int | None, seed: int, purpose: int) -> Split:
    """Keep at most so many examples, each class in proportion; the order stays.

    Args:
        split: What to choose from.
        most: How many to keep, or None for all. No class that is there is lost, even if that
            takes more.
        seed: Equal seeds keep the same.
        purpose: `TRAIN_LIMIT`, `VALIDATION_LIMIT` or `TEST_LIMIT`.
    """
    if most is None or len(split) <= most:
        return split
    counts = np.bincount(split.labels)
    return take(split, _draw(split.labels, _allot(counts, most, counts), seed, purpose))


def take(split: Split, ids: NDArray[np.int64]) -> Split:
    """The examples with these positions, in their order."""
    if isinstance(split.inputs, np.ndarray):
        return Split(split.inputs[ids], split.labels[ids])
    return Split(pick(split.inputs, ids), split.labels[ids])


def pick(texts: Sequence[str], ids: NDArray[np.int64]) -> list[str]:
    """The texts with these positions, in their order."""
    return [texts[i] for i in ids.tolist()]


def _allot(counts: NDArray[np.int64], total: int, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """Share out `total` among classes in proportion to their counts, by largest remainder.

    Args:
        counts: Examples of each class, `<int64>[classes]`.
        total: How many to share out.
        most: At most so many of each class.

    Returns:
        How many of each class: at least one where `most` allows it, even if that takes more than
        `total`.
    """
    quotas = counts * (total / counts.sum())
    least = np.clip(most, 0, 1)
    shares: NDArray[np.int64] = np.clip(quotas.astype(np.int64), least, np.maximum(most, 0))
    while (missing := total - shares.sum()) != 0:
        movable = shares < most if missing > 0 else shares > least
        if not movable.any():
            break
        sign = 1 if missing > 0 else -1
        shares[np.argmax(np.where(movable, sign * (quotas - shares), -np.inf))] += sign
    return shares


def _draw(
    labels: NDArray[np.int32], shares: NDArray[np.int64], seed: int, purpose: int
) -> NDArray[np.int64]:
    """Draw so many positions of each class without replacement; returns them ascending."""
    rng = np.random.default_rng([seed, purpose])
    drawn = [rng.permutation(np.flatnonzero(labels == i))[:share] for i, share in enumerate(shares)]
    ids: NDArray[np.int64] = np.sort(np.concatenate(drawn))
    return ids
