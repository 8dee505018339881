"""Arrays of another run in a model with more words and classes."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_cli.training.grown_arrays import with_new_labels, with_new_words


def floats(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def test_old_words_keep_their_vectors_and_new_ones_start_as_unknown():
    old, own = floats(4, 3), floats(6, 3)
    grown = with_new_words("embedding/embeddings", old, own)
    assert np.array_equal(grown[:4], old)
    assert np.array_equal(grown[4], old[1])
    assert np.array_equal(grown[5], old[1])


def test_the_bias_of_a_new_word_follows_from_its_frequency():
    old, own = floats(3, 1), floats(5, 1)
    grown = with_new_words("next_bias/embeddings", old, own)
    assert np.array_equal(grown, np.concatenate([old, own[3:]]))


def head(outputs):
    return {"head/kernel": floats(4, outputs), "head/bias": floats(outputs)}


def logits(array, num_classes, inputs):
    scores = inputs @ array["head/kernel"] + array["head/bias"]
    return np.hstack([0 * scores, scores]) if num_classes == 2 else scores


def test_outputs_are_copied_by_the_names_of_their_classes():
    old, own = head(3), head(5)
    grown = with_new_labels(old, own, ("b", "d", "e"), ("a", "b", "c", "d", "e"), False)
    assert np.array_equal(grown["head/kernel"][:, [1, 3, 4]], old["head/kernel"])
    assert np.array_equal(grown["head/bias"][[1, 3, 4]], old["head/bias"])
    assert np.array_equal(grown["head/kernel"][:, [0, 2]], own["head/kernel"][:, [0, 2]])
    assert np.array_equal(grown["head/bias"][[0, 2]], own["head/bias"][[0, 2]])


def test_two_classes_keep_their_odds_among_three():
    old, inputs = head(1), floats(7, 4)
    grown = with_new_labels(old, head(3), ("bad", "good"), ("bad", "fair", "good"), False)
    before, after = logits(old, 2, inputs), logits(grown, 3, inputs)
    assert np.allclose(after[:, 2] - after[:, 0], before[:, 1] - before[:, 0], atol=1e-6)


@pytest.mark.parametrize(("labels", "sign"), [(("bad", "good"), 1), (("good", "bad"), -1)])
def test_two_classes_stay_two_bit_for_bit(labels, sign):
    old = head(1)
    grown = with_new_labels(old, head(1), ("bad", "good"), labels, False)
    for name, array in old.items():
        assert np.array_equal(grown[name], sign * array)


def test_with_several_labels_a_text_each_has_its_output():
    old, own = head(1), head(2)
    grown = with_new_labels(old, own, ("joy",), ("joy", "love"), True)
    assert np.array_equal(grown["head/kernel"][:, :1], old["head/kernel"])
    assert np.array_equal(grown["head/kernel"][:, 1:], own["head/kernel"][:, 1:])
