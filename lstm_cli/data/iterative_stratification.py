"""Stratified splits of examples that have several labels each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def assign_parts(
    labels: NDArray[np.int32], sizes: Sequence[int], rng: np.random.Generator, min_count: int = 0
) -> NDArray[np.int64]:
    """Assign examples to parts of given sizes, each label in proportion.

    The label with the fewest examples left is distributed first: each of its examples goes to the
    part that lacks this label most. So rare labels are spread as evenly as frequent ones.

    Args:
        labels: 1 where an example has a label, `<int32>[num, labels]`.
        sizes: Number of examples of each part; their sum is `num`.
        rng: Decides the order of the examples.
        min_count: The least number of examples that every part after the first should get of a
            label that has more of them.

    Returns:
        The part of each example, `<int64>[num]`.

    Source: Sechidis, Tsoumakas & Vlahavas 2011, "On the Stratification of Multi-Label Data",
        figure 1. Here the sizes of the parts are exact.
    """
    order = rng.permutation(len(labels))
    shuffled = labels[order]
    counts = shuffled.sum(axis=0)
    lacking = _wanted(counts, sizes, min_count)
    free = list(sizes)
    part_of = np.full(len(labels), -1)
    labels_of = [np.flatnonzero(row).tolist() for row in shuffled]
    examples_of = [np.flatnonzero(column).tolist() for column in shuffled.T]
    remaining = counts.tolist()
    while any(remaining):
        label = min((num, label) for label, num in enumerate(remaining) if num)[1]
        for example in examples_of[label]:
            if part_of[example] >= 0:
                continue
            part = max(
                (p for p, room in enumerate(free) if room),
                key=lambda p: (lacking[p][label], free[p]),
            )
            part_of[example] = part
            free[part] -= 1
            for other in labels_of[example]:
                lacking[part][other] -= 1
                remaining[other] -= 1
    part_of[part_of < 0] = rng.permutation(np.repeat(np.arange(len(free)), free))
    result = np.empty(len(labels), np.int64)
    result[order] = part_of
    return result


def _wanted(counts: NDArray[np.int64], sizes: Sequence[int], min_count: int) -> list[list[float]]:
    """Return how many examples of each label each part should have, by part and label."""
    wanted = np.outer(sizes, counts) / max(sum(sizes), 1)
    is_frequent = counts > min_count * (len(sizes) - 1)
    wanted[1:, is_frequent] = np.maximum(wanted[1:, is_frequent], min_count)
    by_part: list[list[float]] = wanted.tolist()
    return by_part
