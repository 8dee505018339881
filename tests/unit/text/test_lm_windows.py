"""Language-model windows: every token once, no padding, a function of (seed, epoch)."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_corpora import corpus_of_ids
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.errors import LstmError
from lstm_cli.text import lm_windows
from lstm_cli.text.token_ids import PAD_ID


def corpus(*lengths, first=2):
    """Texts of these lengths; all tokens are different."""
    ids = np.arange(first, first + sum(lengths))
    return corpus_of_ids(np.split(ids, np.cumsum(lengths)[:-1]))


def all_texts(*corpora):
    return lm_windows.TextSubset(corpora, np.arange(sum(len(c) for c in corpora)))


TWO = (corpus(3, 1, 4), corpus(2, 5, first=100))
LENGTHS = st.lists(st.integers(1, 9), min_size=2, max_size=12)


def test_texts_are_concatenated_with_padding_between():
    ids = all_texts(*TWO).concatenate(np.array([4, 1, 3]))
    assert ids.tolist() == [0, 102, 103, 104, 105, 106, 0, 5, 0, 100, 101, 0]


@given(LENGTHS, st.integers(0, 5))
def test_an_epoch_has_every_token_once(lengths, epoch):
    texts = all_texts(corpus(*lengths))
    windows = lm_windows.epoch_windows(texts, 4, 7, epoch)
    tokens = windows.ids[windows.ids != PAD_ID]
    assert sorted(tokens) == list(range(2, 2 + sum(lengths)))
    same = lm_windows.epoch_windows(texts, 4, 7, epoch)
    assert np.array_equal(windows.ids, same.ids)


def test_seed_and_epoch_determine_the_order():
    texts = all_texts(corpus(*[2] * 30))
    orders = [
        lm_windows.epoch_windows(texts, 4, seed, epoch).ids.tolist()
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len({tuple(order) for order in orders}) == 4


@given(LENGTHS, st.integers(1, 12), st.integers(1, 5))
def test_batches_predict_each_word_at_most_once_and_omit_few(lengths, length, size):
    texts = all_texts(corpus(*lengths))
    windows = lm_windows.epoch_windows(texts, length, 0, 0)
    steps = lm_windows.num_batches(texts, length, size)
    batches = [lm_windows.batch_indices(len(windows), steps, size, step) for step in range(steps)]
    flat = np.concatenate(batches)
    assert len(set(flat.tolist())) == len(flat)
    assert flat.max() < len(windows)
    # Windows that do not fill a batch are omitted.
    assert len(windows) - len(flat) < size
    for indices in batches:
        assert windows.gather(indices).shape == (len(indices), windows.length + 1)


def test_windows_overlap_by_one_token():
    windows = lm_windows.make_windows(all_texts(corpus(6)), 3)
    assert windows.gather(np.arange(2)).tolist() == [[0, 2, 3, 4], [4, 5, 6, 7]]


def test_short_texts_form_a_shorter_window():
    windows = lm_windows.make_windows(all_texts(corpus(2, 1)), 100)
    assert windows.gather(np.arange(len(windows))).tolist() == [[0, 2, 3, 0, 4, 0]]


@given(LENGTHS, st.floats(0.001, 0.49), st.integers(0, 3))
def test_training_and_validation_texts_are_disjoint(lengths, fraction, seed):
    train, validation = lm_windows.hold_out([corpus(*lengths)], fraction, seed)
    assert len(validation) >= 1
    assert len(train) >= 1
    assert sorted([*train.indices, *validation.indices]) == list(range(len(lengths)))


def test_one_text_is_refused():
    with pytest.raises(LstmError, match="two texts or more, found 1"):
        lm_windows.hold_out([corpus(5)], 0.1, 0)


def test_unigram_probabilities_count_predicted_tokens():
    texts = all_texts(corpus_of_ids([[2, 2], [3]]))
    # [PAD] occurs twice, as the end of a text; [UNK] never; each count is one higher.
    assert (lm_windows.unigram_probabilities(texts, 4) * 9).round(9).tolist() == [3, 1, 3, 2]


def test_negatives_are_drawn_with_their_probabilities():
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])
    negatives, log_expected = lm_windows.sample_negatives(probabilities, 200_000, 0, 0, 0)
    frequencies = np.bincount(negatives) / len(negatives)
    assert np.abs(frequencies - probabilities).max() < 0.01
    assert np.allclose(np.exp(log_expected), probabilities[negatives] * 200_000)


def test_each_step_draws_anew_and_same_the_same():
    probabilities = np.full(1000, 1e-3)
    draws = {
        tuple(lm_windows.sample_negatives(probabilities, 8, *key)[0])
        for key in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0))
    }
    assert len(draws) == 4
