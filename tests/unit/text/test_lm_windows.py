"""Texts as windows: nothing is lost, nothing is padded, each batch follows from (seed, epoch)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.errors import LstmError
from lstm_cli.text import lm_windows
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import PAD_ID


def corpus(*lengths, first=2):
    """Texts of these lengths; every token is another one."""
    total = sum(lengths)
    return Corpus(
        np.arange(first, first + total, dtype=np.uint16),
        np.cumsum([0, *lengths], dtype=np.int64),
        np.array(lengths, np.int32),
        np.zeros(len(lengths), np.int32),
    )


def whole(*corpora):
    return lm_windows.Texts(corpora, np.arange(sum(len(c) for c in corpora)))


TWO = (corpus(3, 1, 4), corpus(2, 5, first=100))
LENGTHS = st.lists(st.integers(1, 9), min_size=2, max_size=12)


def test_texts_of_all_corpora_follow_each_other_with_a_mark_between():
    joined = whole(*TWO).joined(np.array([4, 1, 3]))
    assert joined.tolist() == [0, 102, 103, 104, 105, 106, 0, 5, 0, 100, 101, 0]


@given(LENGTHS, st.integers(0, 5))
def test_an_epoch_holds_every_token_once_in_an_order_of_its_own(lengths, epoch):
    texts = whole(corpus(*lengths))
    cut = lm_windows.epoch_windows(texts, 4, 7, epoch)
    tokens = cut.ids[cut.ids != PAD_ID]
    assert sorted(tokens) == list(range(2, 2 + sum(lengths)))
    again = lm_windows.epoch_windows(texts, 4, 7, epoch)
    assert np.array_equal(cut.ids, again.ids)


def test_other_seeds_and_epochs_give_other_orders():
    texts = whole(corpus(*[2] * 30))
    orders = [
        lm_windows.epoch_windows(texts, 4, seed, epoch).ids.tolist()
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len({tuple(order) for order in orders}) == 4


@given(LENGTHS, st.integers(1, 12), st.integers(1, 5))
def test_the_batches_of_an_epoch_predict_no_word_twice_and_few_not_at_all(lengths, length, size):
    texts = whole(corpus(*lengths))
    cut = lm_windows.epoch_windows(texts, length, 0, 0)
    steps = lm_windows.num_batches(texts, length, size)
    taken = [lm_windows.batch(len(cut), steps, size, step) for step in range(steps)]
    flat = np.concatenate(taken)
    assert len(set(flat.tolist())) == len(flat)
    assert flat.max() < len(cut)
    # What makes no full batch is left out, once an epoch.
    assert len(cut) - len(flat) < size
    for indices in taken:
        assert cut.gather(indices).shape == (len(indices), cut.length + 1)


def test_windows_overlap_by_the_one_token_that_is_read_and_predicted():
    cut = lm_windows.windows(whole(corpus(6)), 3)
    assert cut.gather(np.arange(2)).tolist() == [[0, 2, 3, 4], [4, 5, 6, 7]]


def test_texts_shorter_than_a_window_make_a_shorter_one():
    cut = lm_windows.windows(whole(corpus(2, 1)), 100)
    assert cut.gather(np.arange(len(cut))).tolist() == [[0, 2, 3, 0, 4, 0]]


@given(LENGTHS, st.floats(0.001, 0.49), st.integers(0, 3))
def test_no_text_is_both_learned_from_and_held_out(lengths, share, seed):
    train, held = lm_windows.hold_out([corpus(*lengths)], share, seed)
    assert len(held) >= 1
    assert len(train) >= 1
    assert sorted([*train.chosen, *held.chosen]) == list(range(len(lengths)))


def test_one_text_is_too_few():
    with pytest.raises(LstmError, match="two texts or more, found 1"):
        lm_windows.hold_out([corpus(5)], 0.1, 0)


def test_frequencies_count_what_is_predicted():
    texts = lm_windows.Texts((Corpus(
        np.array([2, 2, 3], np.uint16), np.array([0, 2, 3]), np.array([2, 1]), np.zeros(2)
    ),), np.arange(2))  # fmt: skip
    # [PAD] twice as the end of a text, [UNK] never, and one more of each.
    assert (lm_windows.unigram(texts, 4) * 9).round(9).tolist() == [3, 1, 3, 2]


def test_words_are_drawn_as_often_as_expected():
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])
    drawn, expected = lm_windows.negatives(probabilities, 200_000, 0, 0, 0)
    found = np.bincount(drawn) / len(drawn)
    assert np.abs(found - probabilities).max() < 0.01
    assert np.allclose(np.exp(expected), probabilities[drawn] * 200_000)


def test_each_step_draws_anew_and_again_the_same():
    probabilities = np.full(1000, 1e-3)
    draws = {
        tuple(lm_windows.negatives(probabilities, 8, *where)[0])
        for where in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0))
    }
    assert len(draws) == 4
