"""Pseudo-labels: which texts are chosen, and what they bring to the linear model."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from lstm_cli.config.schema import LinearSettings
from lstm_cli.models import linear
from lstm_cli.models.pseudo_labels import _select, confident_rows
from lstm_cli.text.corpus import encode
from lstm_cli.text.token_ids import SPECIAL_TOKENS
from lstm_cli.text.tokenizer import Tokenizer, tokenize

RNG = np.random.default_rng(0)
SETTINGS = LinearSettings(buckets=5003, folds=4, self_training=0.9)


def encoded(texts):
    """Return the corpus of texts, and the vocabulary: all their words."""
    words = (*SPECIAL_TOKENS, *sorted({token for text in texts for token in tokenize(text)}))
    return encode(texts, Tokenizer(words, 200, 0)), words


def test_each_class_gets_its_share_of_the_most_certain_texts():
    scores = np.array([[5, 0], [4, 0], [3, 0], [2, 0], [1, 0], [0, 0.5], [0, 1], [2, 1.9]])
    rows, labels = _select(scores, np.array([0.5, 0.5]), 0.5)
    assert rows.tolist() == [0, 1, 5, 6]
    assert labels.tolist() == [0, 0, 1, 1]
    rows, labels = _select(scores, np.array([0.25, 0.75]), 1.0)
    assert labels[rows <= 1].tolist() == [0, 0]
    assert np.bincount(labels).tolist() == [2, 6]


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_no_text_has_two_classes(num_classes):
    scores = RNG.normal(size=(50, num_classes))
    shares = np.full(num_classes, 1 / num_classes)
    rows, labels = _select(scores, shares, 1.0)
    assert np.all(np.diff(rows) > 0)
    assert len(rows) == len(labels)
    assert (np.bincount(labels, minlength=num_classes) <= round(50 / num_classes)).all()
    assert len(_select(scores, shares, 0.0)[0]) == 0


def test_naive_bayes_follows_features_that_occur_together():
    """Features 0 and 1 are labeled; only unlabeled texts say that 2 goes with 0, and 3 with 1."""
    counts = sparse.csr_matrix(np.eye(4, dtype=np.float32)[[0, 1]])
    linked = [[1, 0, 1, 0], [0, 1, 0, 1]]
    alone = [[0, 0, 1, 0], [0, 0, 0, 1]]
    others = sparse.csr_matrix(np.array(linked * 10 + alone, np.float32))
    # The linear model knows nothing.
    scores = np.zeros((22, 1))
    rows, labels = confident_rows(counts, np.array([0, 1], np.int32), others, scores, 2, 1.0)
    assert rows.tolist() == list(range(22))
    assert labels.tolist() == [0, 1] * 11


def synonyms(num, num_synonyms=40):
    """Texts of two classes, each with two of the words of its class and three of noise."""
    texts, labels = [], np.arange(num) % 2
    for label in labels:
        ids = RNG.choice(num_synonyms, 2, replace=False)
        noise = [f"w{i}" for i in RNG.integers(0, 50, 3)]
        texts.append(" ".join([*(f"{'ab'[label]}{i}x" for i in ids), *noise]))
    return texts, labels.astype(np.int32)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_words_that_only_unlabeled_texts_have_get_a_meaning(num_classes):
    train, labels = synonyms(24)
    others, _ = synonyms(2000)
    test, expected = synonyms(200)
    corpus, words = encoded(train + others + test)
    parts = np.split(np.arange(len(corpus)), [24, 2024])
    train_corpus, others_corpus, test_corpus = (corpus.take(part) for part in parts)
    accuracies = []
    for unlabeled in (None, others_corpus):
        model = linear.fit_linear_model(
            train_corpus, labels, num_classes, words, SETTINGS, 0, unlabeled=unlabeled
        )
        logits = linear.linear_logits(test_corpus, model.tables, SETTINGS)
        predicted = logits[:, 0] > 0 if num_classes == 2 else logits.argmax(axis=1)
        accuracies.append(np.mean(predicted == expected))
        assert (model.gain is not None) == (unlabeled is not None)
    assert accuracies[1] > accuracies[0] + 0.1
    assert model.gain.is_used


def test_the_labels_of_a_fold_do_not_reach_its_logits():
    train, _ = synonyms(200)
    others, _ = synonyms(200)
    corpus, words = encoded(train + others)
    labels = RNG.permutation(np.arange(200) % 2).astype(np.int32)
    parts = np.split(np.arange(len(corpus)), [200])
    own, unlabeled = (corpus.take(part) for part in parts)
    model = linear.fit_linear_model(own, labels, 2, words, SETTINGS, 0, unlabeled=unlabeled)
    assert abs(model.gain.together[1] - 0.5) < 0.12
    assert abs(np.mean((model.train_logits[:, 0] > 0) == labels) - 0.5) < 0.12


def test_unlabeled_texts_that_do_not_help_are_left_out():
    train, labels = synonyms(60, num_synonyms=2)
    corpus, words = encoded(train + [f"other w{i % 50} w{i % 7}" for i in range(300)])
    own, unlabeled = corpus.take(np.arange(60)), corpus.take(np.arange(60, 360))
    model, alone = (
        linear.fit_linear_model(own, labels, 2, words, SETTINGS, 0, unlabeled=texts)
        for texts in (unlabeled, None)
    )
    assert not model.gain.is_used
    assert "does not learn from them" in model.gain.describe()
    assert np.allclose(model.train_logits, alone.train_logits, atol=0.05)
    refits = [
        linear.refit_tables(model, own, labels, 2, words, SETTINGS, unlabeled=texts)
        for texts in (unlabeled, None)
    ]
    assert np.array_equal(refits[0].words, refits[1].words)
