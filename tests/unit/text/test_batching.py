"""Batches: a pure function of (seed, epoch), every example once, little padding."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.text import batching
from lstm_cli.text.corpus import Corpus

LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=300).map(np.array)


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def realistic_lengths(num=20_000):
    """Lengths spread as those of film reviews are: median 200, a long tail, cut at 400."""
    drawn = np.random.default_rng(0).lognormal(np.log(200), 0.6, num)
    return np.clip(drawn.astype(np.int64), 1, 400)


@relaxed
@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**31 - 1), st.integers(0, 1000))
def test_a_training_epoch_holds_every_example_exactly_once(lengths, size, seed, epoch):
    planned = batching.plan(lengths, size, seed, epoch)
    assert sorted(np.concatenate(planned)) == list(range(len(lengths)))
    assert max(map(len, planned)) <= size
    assert len(planned) == -(-len(lengths) // size)


@relaxed
@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**31 - 1), st.integers(0, 1000))
def test_batches_depend_on_seed_and_epoch_alone(lengths, size, seed, epoch):
    first = batching.plan(lengths, size, seed, epoch)
    np.random.default_rng(0).random(9)
    assert same(first, batching.plan(lengths, size, seed, epoch))


def test_another_epoch_or_seed_gives_other_batches():
    lengths = realistic_lengths(2000)
    first = batching.plan(lengths, 32, 1, 0)
    assert not same(first, batching.plan(lengths, 32, 1, 1))
    assert not same(first, batching.plan(lengths, 32, 2, 0))


def test_examples_of_equal_length_meet_others_in_another_epoch():
    lengths = np.full(512, 28)
    met = [{frozenset(map(int, b)) for b in batching.plan(lengths, 32, 0, e)} for e in range(3)]
    assert not met[0] & met[1]
    assert not met[1] & met[2]


def test_batches_do_not_come_in_order_of_length():
    lengths = realistic_lengths()
    longest = [lengths[b].max() for b in batching.plan(lengths, 64, 0, 0)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.2
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.2


@pytest.mark.parametrize("size", [16, 64, 128])
def test_little_of_a_training_epoch_is_padding(size):
    lengths = realistic_lengths()
    share = batching.padding_share(lengths, batching.plan(lengths, size, 0, 0))
    assert share <= 0.05


def test_padding_share_counts_positions_behind_the_ends():
    lengths = np.array([1, 4, 2])
    assert batching.padding_share(lengths, [np.array([0, 1]), np.array([2])]) == pytest.approx(0.3)
    assert batching.padding_share(np.array([], np.int64), []) == 0.0


@relaxed
@given(LENGTHS, st.integers(1, 40), st.none() | st.integers(1, 2000))
def test_evaluation_drops_no_example(lengths, size, tokens):
    cut = batching.evaluation_batches(lengths, size, tokens)
    assert sorted(np.concatenate(cut)) == list(range(len(lengths)))
    assert all(0 < len(batch) <= size for batch in cut)


@relaxed
@given(LENGTHS, st.integers(1, 40), st.integers(1, 2000))
def test_evaluation_batches_stay_within_their_tokens(lengths, size, tokens):
    for batch in batching.evaluation_batches(lengths, size, tokens):
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= tokens


def test_evaluation_of_nothing_has_no_batches():
    assert batching.evaluation_batches(np.array([], np.int64), 16, 100) == []
    assert batching.plan(np.array([], np.int64), 16, 0, 0) == []


def test_padding_stands_on_the_right_and_is_no_wider_than_the_longest():
    rows = [np.array([5, 6, 7], np.int32), np.array([8], np.int32), np.array([9, 9], np.int32)]
    padded = batching.pad(rows, np.array([1, 2]))
    assert padded.tolist() == [[8, 0], [9, 9]]
    assert padded.dtype == np.int32


def test_a_stored_corpus_is_padded_as_a_list_is():
    corpus = Corpus(
        np.array([5, 65_535, 8], np.uint16),
        np.array([0, 2, 3]),
        np.array([2, 1], np.int32),
        np.array([0, 0], np.int32),
    )
    assert batching.pad(corpus, np.array([1, 0])).tolist() == [[8, 0], [5, 65_535]]


@relaxed
@given(st.integers(0, 4), st.integers(0, 2**31 - 1))
def test_a_shifted_image_is_the_image_moved_by_at_most_the_reach(reach, seed):
    rng = np.random.default_rng(seed)
    # A stroke far enough from the border is never cut off.
    images = np.zeros((6, 15, 17), np.uint8)
    images[:, 5:9, 6:10] = rng.integers(1, 256, (6, 4, 4))
    moved = batching.shifted(images, reach, rng)
    assert moved.shape == images.shape
    assert moved.dtype == np.uint8
    for before, after in zip(images, moved, strict=True):
        rows, columns = np.nonzero(after)
        down, right = rows.min() - 5, columns.min() - 6
        assert abs(down) <= reach
        assert abs(right) <= reach
        assert np.array_equal(np.roll(before, (down, right), (0, 1)), after)


def test_shifts_reach_every_direction_and_differ_between_images():
    images = np.zeros((400, 9, 9), np.uint8)
    images[:, 4, 4] = 255
    moved = batching.shifted(images, 1, np.random.default_rng(0))
    places = {tuple(np.argwhere(image)[0]) for image in moved}
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_what_a_shift_moves_out_does_not_come_back_on_the_other_side():
    images = np.full((50, 4, 4), 7, np.uint8)
    moved = batching.shifted(images, 2, np.random.default_rng(0))
    for image in moved:
        rows, columns = (image == 7).any(axis=1).sum(), (image == 7).any(axis=0).sum()
        assert (image == 7).sum() == rows * columns
    assert (moved == 7).all(axis=(1, 2)).mean() < 0.2


def test_the_shifted_originals_are_left_as_they_were():
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    before = images.copy()
    batching.shifted(images, 1, np.random.default_rng(0))
    assert np.array_equal(images, before)
