"""Batches: a function of (seed, epoch), with every example once and little padding."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.text import batching

LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=300).map(np.array)


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def realistic_lengths(num=20_000):
    """Lengths distributed like those of film reviews: median 200, long tail, at most 400."""
    drawn = np.random.default_rng(0).lognormal(np.log(200), 0.6, num)
    return np.clip(drawn.astype(np.int64), 1, 400)


@relaxed
@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**31 - 1), st.integers(0, 1000))
def test_an_epoch_has_every_example_exactly_once(lengths, size, seed, epoch):
    batches = batching.training_batches(lengths, size, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert max(map(len, batches)) <= size
    assert len(batches) == -(-len(lengths) // size)


@relaxed
@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**31 - 1), st.integers(0, 1000))
def test_batches_depend_on_seed_and_epoch_only(lengths, size, seed, epoch):
    first = batching.training_batches(lengths, size, seed, epoch)
    np.random.default_rng(0).random(9)
    assert same(first, batching.training_batches(lengths, size, seed, epoch))


def test_another_epoch_or_seed_gives_different_batches():
    lengths = realistic_lengths(2000)
    first = batching.training_batches(lengths, 32, 1, 0)
    assert not same(first, batching.training_batches(lengths, 32, 1, 1))
    assert not same(first, batching.training_batches(lengths, 32, 2, 0))


def test_examples_of_equal_length_are_mixed_again_in_each_epoch():
    lengths = np.full(512, 28)
    batches = [
        {frozenset(map(int, b)) for b in batching.training_batches(lengths, 32, 0, e)}
        for e in range(3)
    ]
    assert not batches[0] & batches[1]
    assert not batches[1] & batches[2]


def test_batches_are_not_sorted_by_length():
    lengths = realistic_lengths()
    longest = [lengths[b].max() for b in batching.training_batches(lengths, 64, 0, 0)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.2
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.2


@pytest.mark.parametrize("size", [16, 64, 128])
def test_a_training_epoch_has_little_padding(size):
    lengths = realistic_lengths()
    fraction = batching.padding_fraction(lengths, batching.training_batches(lengths, size, 0, 0))
    assert fraction <= 0.05


def test_padding_fraction_counts_positions_after_the_last_token():
    lengths = np.array([1, 4, 2])
    assert batching.padding_fraction(lengths, [np.array([0, 1]), np.array([2])]) == pytest.approx(
        0.3
    )
    assert batching.padding_fraction(np.array([], np.int64), []) == 0.0


@relaxed
@given(LENGTHS, st.integers(1, 40), st.none() | st.integers(1, 2000))
def test_evaluation_has_every_example(lengths, size, tokens):
    cut = batching.evaluation_batches(lengths, size, tokens)
    assert sorted(np.concatenate(cut)) == list(range(len(lengths)))
    assert all(0 < len(batch) <= size for batch in cut)


@relaxed
@given(LENGTHS, st.integers(1, 40), st.integers(1, 2000))
def test_evaluation_batches_respect_the_token_limit(lengths, size, tokens):
    for batch in batching.evaluation_batches(lengths, size, tokens):
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= tokens


def test_no_examples_give_no_batches():
    assert batching.evaluation_batches(np.array([], np.int64), 16, 100) == []
    assert batching.training_batches(np.array([], np.int64), 16, 0, 0) == []


def test_padding_is_on_the_right_up_to_the_longest_example():
    rows = [np.array([8], np.int32), np.array([9, 9], np.int32)]
    padded = batching.pad_batch(rows)
    assert padded.tolist() == [[8, 0], [9, 9]]
    assert padded.dtype == np.int32
    assert batching.pad_batch(rows, 4).tolist() == [[8, 0, 0, 0], [9, 9, 0, 0]]


def test_the_largest_id_of_a_corpus_is_not_changed_by_padding():
    rows = [np.array([8], np.uint16), np.array([5, 65_535], np.uint16)]
    assert batching.pad_batch(rows).tolist() == [[8, 0], [5, 65_535]]


def test_rows_without_ids_are_padding():
    empty = np.zeros(0, np.int32)
    assert batching.pad_batch([empty, empty]).tolist() == [[0], [0]]
    assert batching.pad_batch([empty, np.array([7])]).tolist() == [[0], [7]]
