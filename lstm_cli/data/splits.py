"""Seeded, stratified splits and samples: which examples go where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.dataset import Split
from lstm_cli.data.iterative_stratification import assign_parts
from lstm_cli.io.array_file import drop_pages, on_disk
from lstm_cli.io.text_store import index_type, join_texts, take_texts

# The purpose of a random draw is part of its seed, so that no two draws from one data set are
# related.
TEST_SPLIT, VALIDATION_SPLIT, TRAIN_SAMPLE, VALIDATION_SAMPLE, TEST_SAMPLE, FOLDS = range(1, 7)
REPLAY_SAMPLE, LINEAR_SAMPLE = 7, 8
# A part may exceed its fraction, in order to hold every class: up to this factor, or this number of
# examples. With more classes it would take too many of the few examples to learn from.
_MAX_EXCESS, _MIN_EXAMPLES = 1.5, 30


def stratified_split(split: Split, fraction: float, seed: int, purpose: int) -> tuple[Split, Split]:
    """Split off a fraction of the examples, the same fraction of each class.

    Both parts keep the order of the examples. The remaining part keeps at least one example of
    every class. The part that is split off gets at least one of every class that has two or more,
    unless these are more than 30 classes and more than 1.5 times the fraction: then it has exactly
    the fraction, and random classes among the small ones.

    Args:
        split: The examples to split.
        fraction: Fraction of the examples to split off, between 0 and 1.
        seed: Equal seeds give equal splits.
        purpose: `TEST_SPLIT` or `VALIDATION_SPLIT`.

    Returns:
        The remaining part, and the part that was split off.

    Examples with several labels are split by `assign_parts`; every label with two or more examples
    should be in both parts.
    """
    if split.labels.ndim == 2:
        sizes = _two_sizes(len(split), round(fraction * len(split)))
        part_of = assign_parts(split.labels, sizes, np.random.default_rng([seed, purpose]), 1)
        return take(split, np.flatnonzero(part_of == 0)), take(split, np.flatnonzero(part_of == 1))
    counts = np.bincount(split.labels)
    total, max_counts = round(fraction * len(split)), np.maximum(counts - 1, 0)
    if np.count_nonzero(max_counts) <= max(_MAX_EXCESS * total, _MIN_EXAMPLES):
        class_sizes = _allocate(counts, total, max_counts)
    else:
        class_sizes = _allocate_at_random(counts, total, max_counts, [seed, purpose])
    held_out = _draw(split.labels, class_sizes, seed, purpose)
    is_rest = np.ones(len(split), np.bool_)
    is_rest[held_out] = False
    return take(split, np.flatnonzero(is_rest)), take(split, held_out)


def stratified_sample(split: Split, max_examples: int | None, seed: int, purpose: int) -> Split:
    """Draw at most `max_examples`, each class in proportion, in their original order.

    Args:
        split: The examples to draw from.
        max_examples: How many to keep; None keeps all. Every class keeps at least one example,
            even if the sample becomes larger than that.
        seed: Equal seeds give equal samples.
        purpose: `TRAIN_SAMPLE`, `VALIDATION_SAMPLE` or `TEST_SAMPLE`.
    """
    if max_examples is None or len(split) <= max_examples:
        return split
    return take(split, sample_rows(split.labels, max_examples, seed, purpose))


def sample_rows(labels: NDArray[np.int32], num: int, seed: int, purpose: int) -> NDArray[np.int64]:
    """Draw rows, each class in proportion, at least one of each; return them in ascending order.

    Args:
        labels: Class ids, `<int32>[rows]`; or label sets, `<int32>[rows, labels]`.
        num: How many to draw, at most all.
        seed: Equal seeds give equal samples.
        purpose: As for `stratified_sample`, or `LINEAR_SAMPLE`.
    """
    if labels.ndim == 2:
        sizes = _two_sizes(len(labels), num)
        part_of = assign_parts(labels, sizes, np.random.default_rng([seed, purpose]), 1)
        return np.flatnonzero(part_of == 1)
    counts = np.bincount(labels)
    return _draw(labels, _allocate(counts, num, counts), seed, purpose)


def stratified_folds(labels: NDArray[np.int32], num_folds: int, seed: int) -> NDArray[np.int64]:
    """Assign examples to folds of equal size, each class in equal parts.

    The sizes of two folds differ by one example at most, in all and for each class.

    Args:
        labels: Class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`, which are spread
            as evenly as possible.
        num_folds: At least 2.
        seed: Equal seeds give equal folds.

    Returns:
        The fold of each example, `<int64>[num]`.
    """
    rng = np.random.default_rng([seed, FOLDS])
    if labels.ndim == 2:
        sizes = np.diff(np.arange(num_folds + 1) * len(labels) // num_folds).tolist()
        return assign_parts(labels, sizes, rng)
    # Sorted by class, and in random order within a class; then dealt out in turn.
    order = np.lexsort((rng.permutation(len(labels)), labels))
    fold_of = np.zeros(len(labels), np.int64)
    fold_of[order] = np.arange(len(labels)) % num_folds
    return fold_of


def take(split: Split, indices: NDArray[np.int64]) -> Split:
    """Return the examples at these indices, in this order."""
    inputs: Sequence[str] | NDArray[np.uint8]
    if isinstance(split.inputs, np.ndarray):
        inputs = split.inputs[indices]
    else:
        inputs = take_texts(split.inputs, indices)
    rows = split.row_numbers
    taken = on_disk(rows[indices])
    drop_pages(rows, taken)
    return Split(
        inputs,
        split.labels[indices],
        taken,
        None if split.ids is None else take_texts(split.ids, indices),
        None if split.weights is None else split.weights[indices],
    )


def concatenate(first: Split, second: Split) -> Split:
    """Return the examples of two splits, one after the other."""
    inputs: Sequence[str] | NDArray[np.uint8]
    if isinstance(first.inputs, np.ndarray):
        inputs = np.concatenate([first.inputs, np.asarray(second.inputs)])
    else:
        assert not isinstance(second.inputs, np.ndarray)
        inputs = join_texts(first.inputs, second.inputs)
    ids: Sequence[str] | None = None
    weights = None
    if first.ids is not None or second.ids is not None:
        ids = join_texts(*(part.ids or [""] * len(part) for part in (first, second)))
    if first.weights is not None or second.weights is not None:
        weights = np.concatenate([first.example_weights, second.example_weights])
    return Split(
        inputs,
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.row_numbers, second.row_numbers]),
        ids,
        weights,
    )


def _two_sizes(num: int, second: int) -> tuple[int, int]:
    """Return the sizes of two parts, of which neither is empty if there are two examples."""
    second = min(max(second, 1), max(num - 1, 1))
    return num - second, second


def _allocate(
    counts: NDArray[np.int64], total: int, max_counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Distribute `total` over the classes in proportion to their counts, by largest remainder.

    Args:
        counts: Examples of each class, `<int64>[classes]`.
        total: The number to distribute.
        max_counts: Upper bound for each class, `<int64>[classes]`.

    Returns:
        The number for each class, `<int64>[classes]`: at least one where `max_counts` allows it,
        even if the sum then exceeds `total`.
    """
    quotas = counts * (total / counts.sum())
    return _round_to_total(quotas, total, np.minimum(max_counts, 1), max_counts)


def _allocate_at_random(
    counts: NDArray[np.int64], total: int, max_counts: NDArray[np.int64], seed: list[int]
) -> NDArray[np.int64]:
    """Distribute `total` as `_allocate` does, but without a minimum.

    Of equal remainders random ones are rounded up: the order of the class names must not decide
    which classes are tested.
    """
    ties = 1e-6 * np.random.default_rng([*seed, len(counts)]).random(len(counts))
    quotas = counts * (total / counts.sum()) + ties
    return _round_to_total(quotas, total, np.zeros_like(counts), max_counts)


def _round_to_total(
    quotas: NDArray[np.float64],
    total: int,
    min_counts: NDArray[np.int64],
    max_counts: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Round quotas to whole numbers within bounds whose sum is `total`, if the bounds allow it."""
    sizes: NDArray[np.int64] = np.clip(quotas.astype(np.int64), min_counts, max_counts)
    while (missing := total - int(sizes.sum())) != 0:
        sign = 1 if missing > 0 else -1
        movable = sizes < max_counts if sign > 0 else sizes > min_counts
        if not movable.any():
            break
        # One for each class per round: a round costs a sort, whatever the number of classes.
        order = np.argsort(np.where(movable, sign * (sizes - quotas), np.inf), kind="stable")
        sizes[order[: min(abs(missing), np.count_nonzero(movable))]] += sign
    return sizes


def _draw(
    labels: NDArray[np.int32], class_sizes: NDArray[np.int64], seed: int, purpose: int
) -> NDArray[np.int64]:
    """Draw that many indices of each class without replacement; return them in ascending order."""
    rng = np.random.default_rng([seed, purpose])
    # The draw is the same with any type of integer.
    order = np.argsort(labels, kind="stable").astype(index_type(len(labels)), copy=False)
    by_class = np.split(order, np.cumsum(np.bincount(labels, minlength=len(class_sizes)))[:-1])
    drawn = [
        rng.permutation(indices)[:size].astype(np.int64)
        for indices, size in zip(by_class, class_sizes.tolist(), strict=True)
    ]
    return np.sort(np.concatenate(drawn))
