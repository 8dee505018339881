"""The linear model of many texts: fitted to a sample, with logits for all."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_cli.config.schema import LinearSettings, TextSettings
from lstm_cli.models import linear, linear_sample
from lstm_cli.models.linear_sample import (
    choose_rows,
    count_features,
    take_of_both,
    with_logits_of_all,
)
from lstm_cli.text.corpus import encode, fit_and_encode

SETTINGS = LinearSettings(buckets=64)


def make_texts(num):
    """Texts of three words, of which one tells the class."""
    rng = np.random.default_rng(0)
    labels = np.arange(num, dtype=np.int32) % 2
    words = rng.integers(9, size=(num, 2)).tolist()
    texts = [f"{('bad', 'good')[n % 2]} w{one} w{other}" for n, (one, other) in enumerate(words)]
    return texts, labels


def test_features_are_counted_as_the_model_extracts_them():
    tokenizer, corpus = fit_and_encode(["a b", "c", "d"], TextSettings(min_count=1), 9)
    unknown = encode(["a unseen", "b"], tokenizer)
    both = LinearSettings(buckets=64, word_ngrams=2, char_ngrams="unknown", char_buckets=9)
    assert count_features([corpus], both) == 2 * 4
    assert count_features([corpus, unknown], both) == 2 * 7 + len(unknown.ngrams) > 2 * 7
    chars = LinearSettings(buckets=64, word_ngrams=3, char_ngrams="all", char_buckets=9)
    assert count_features([corpus], chars) == (3 + 20) * 4


def test_few_features_are_all_used(monkeypatch):
    monkeypatch.setattr(linear_sample, "MAX_FEATURES", 800)
    labels = np.zeros(100, np.int32)
    assert choose_rows(800, labels, 0) is None
    rows = choose_rows(1600, labels, 0)
    assert rows is not None
    assert len(rows) == 50


def test_a_sample_has_every_class_in_proportion(monkeypatch):
    monkeypatch.setattr(linear_sample, "MAX_FEATURES", 1000)
    labels = np.repeat(np.array([0, 1, 2], np.int32), [600, 399, 1])
    rows = choose_rows(10_000, labels, 0)
    assert np.bincount(labels[rows]).tolist() == [60, 39, 1]
    assert np.all(np.diff(rows) > 0)
    assert rows.tolist() == choose_rows(10_000, labels, 0).tolist()
    assert rows.tolist() != choose_rows(10_000, labels, 1).tolist()


def test_both_corpora_are_taken_in_order():
    tokenizer, first = fit_and_encode(["a b", "c", "d"], TextSettings(min_count=1), 9)
    second = encode(["d d", "a x"], tokenizer)
    taken = take_of_both(first, second, np.array([1, 3, 4]))
    expected = encode(["c", "d d", "a x"], tokenizer)
    for name, values in vars(expected).items():
        assert np.array_equal(vars(taken)[name], values), name


def test_texts_outside_the_sample_have_the_logits_of_the_model():
    texts, labels = make_texts(200)
    tokenizer, corpus = fit_and_encode(texts, TextSettings(min_count=1))
    rows = np.arange(0, 200, 3)
    model = linear.fit_linear_model(
        corpus.take(rows), labels[rows], 2, tokenizer.words, SETTINGS, 0
    )
    complete = with_logits_of_all(model, corpus, rows, SETTINGS)
    assert complete.train_logits[rows] == pytest.approx(model.train_logits)
    rest = np.setdiff1d(np.arange(200), rows)
    logits = linear.linear_logits(corpus.take(rest), model.tables, SETTINGS)
    assert complete.train_logits[rest].tolist() == logits.tolist()
    assert np.mean((complete.train_logits[:, 0] > 0) == labels) == 1.0
