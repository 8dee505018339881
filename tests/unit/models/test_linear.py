"""The evidence of words and pairs: fitted right, and never to the text itself."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_runs import text_config
from scipy import sparse

from lstm_cli.config.schema import LinearSettings
from lstm_cli.errors import LstmError
from lstm_cli.models import linear
from lstm_cli.text import corpus as encoded
from lstm_cli.text.tokenizer import BIGRAM_FACTOR, Tokenizer

SETTINGS = LinearSettings(buckets=5000, folds=4)
RNG = np.random.default_rng(0)


def corpus_of(texts):
    config = text_config(text__max_tokens=200)
    return encoded.encode(texts, Tokenizer.fit(texts, config.text))


def noise(num, words=200, length=8):
    """Texts that say nothing of their labels."""
    return [" ".join(f"w{i}" for i in RNG.integers(0, words, length)) for _ in range(num)]


def test_weights_are_those_of_a_linear_classifier():
    """Two words alone: the penalised optimum has a closed equation for the one weight there is."""
    labels = np.array([0, 1] * 20, np.int32)
    corpus = corpus_of(["dull" if y == 0 else "fine" for y in labels])
    found = linear.learn(corpus, labels, 2, LinearSettings(buckets=5000, penalty=2.0), 0)
    of_word = {"dull": found.table[int(corpus[0][0]), 0], "fine": found.table[int(corpus[1][0]), 0]}
    assert of_word["fine"] == pytest.approx(-of_word["dull"], rel=1e-3)
    # The one feature of a text has norm 1; its weight w solves w = 20 sigma(-w) / penalty.
    w = 1.0
    for _ in range(200):
        w = 0.5 * w + 0.5 * 20 / (1 + np.exp(w)) / 2.0
    raw = linear._fit(linear._counts(corpus, 5000), labels, 2, 2.0)
    # A first word stands there twice, as a word and as the first of a text.
    assert 2 * raw[int(corpus[1][0]), 0] == pytest.approx(w, rel=0.02)
    ratio = linear.of(corpus, found.table)[1, 0] / (2 * of_word["fine"])
    assert ratio == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_word_tells_as_much_as_its_shares_in_the_classes_differ(num_classes):
    labels = np.repeat(np.arange(num_classes, dtype=np.int32), 10)
    texts = [f"film {'fine' if y == 1 else 'dull'}" for y in labels]
    corpus = corpus_of(texts)
    tells = linear._log_count_ratios(linear._counts(corpus, 5000), labels == 1)
    film, fine = int(corpus[10][0]), int(corpus[10][1])

    # Three are added to the count of each bucket. A text has three: two words and a pair, as the
    # pair of its first word is that word's own.
    def share(texts, of):
        return np.log((texts + 3) / (15_000 + 3 * of))

    others = 10 * (num_classes - 1)
    assert tells[fine] == pytest.approx(share(10, 10) - share(0, others), rel=1e-5)
    assert tells[film] == pytest.approx(abs(share(10, 10) - share(others, others)), abs=1e-5)
    assert tells[film] < tells[fine] / 2


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_text_is_the_sum_of_its_pairs(num_classes):
    texts = noise(40)
    labels = (np.arange(40) % num_classes).astype(np.int32)
    corpus = corpus_of(texts)
    found = linear.learn(corpus, labels, num_classes, SETTINGS, 0)
    sums = linear.of(corpus, found.table)
    assert sums.shape == (40, 1 if num_classes == 2 else 3)
    for i in (0, 7, 39):
        ids = corpus[i].astype(int)
        rows = [(a * BIGRAM_FACTOR + b) % 5000 for a, b in zip([0, *ids[:-1]], ids, strict=True)]
        rows += [b % 5000 for b in ids]
        expected = found.table[rows].sum(axis=0) / np.sqrt(len(ids))
        assert np.abs(sums[i] - expected).max() < 1e-5


def test_no_text_is_judged_by_weights_fitted_to_it():
    texts, labels = noise(600, words=60, length=20), RNG.integers(0, 2, 600).astype(np.int32)
    found = linear.learn(corpus_of(texts), labels, 2, SETTINGS, 0)
    own = np.mean((linear.of(corpus_of(texts), found.table)[:, 0] > 0) == labels)
    others = np.mean((found.train[:, 0] > 0) == labels)
    assert own > 0.9
    assert abs(others - 0.5) < 0.07


@pytest.mark.parametrize("share", [0.3, 0.45])
def test_the_fit_goes_to_its_end(monkeypatch, share):
    """Many words and few texts of each: no slope is steep, and a fit may take that for its end."""
    num, length = 4000, 200
    rng = np.random.default_rng(5)
    labels = (rng.random(num) < share).astype(np.int32)
    words = rng.geometric(0.0003, (num, length)) + 10 * labels[:, None]
    texts = np.repeat(np.arange(num), length)
    values = np.full(num * length, length**-0.5, np.float32)
    counts = sparse.csr_matrix((values, (texts, words.ravel() % 100_000)), shape=(num, 100_000))
    counts.sum_duplicates()
    found = linear._fit(counts, labels, 2, 0.1)
    monkeypatch.setattr(linear, "_TOLERANCE", 1e-8)
    monkeypatch.setattr(linear, "_ITERATIONS", 1000)
    exact = linear._fit(counts, labels, 2, 0.1)
    said = [(counts @ weights)[:, 0] for weights in (found, exact)]
    assert np.corrcoef(said)[0, 1] > 0.9999
    assert said[0].std() == pytest.approx(said[1].std(), rel=0.01)


def test_evidence_that_says_nothing_gets_no_weight():
    labels = RNG.integers(0, 2, 2000).astype(np.int32)
    telling = [
        f"{text} {'fine' if y else 'dull'} film"
        for text, y in zip(noise(2000), labels, strict=True)
    ]
    silent = linear.learn(corpus_of(noise(2000)), labels, 2, SETTINGS, 0)
    heard = linear.learn(corpus_of(telling), labels, 2, SETTINGS, 0)
    assert silent.scale < 0.2
    assert heard.scale > 2


def test_each_of_three_classes_is_told_by_its_word():
    labels = np.arange(90, dtype=np.int32) % 3
    words = ("dull", "fine", "odd")
    texts = [f"{text} {words[y]}" for text, y in zip(noise(90), labels, strict=True)]
    corpus = corpus_of(texts)
    found = linear.learn(corpus, labels, 3, SETTINGS, 0)
    assert np.array_equal(linear.of(corpus, found.table).argmax(axis=1), labels)
    assert np.mean(found.train.argmax(axis=1) == labels) > 0.9


def test_biases_are_the_log_odds_of_the_classes():
    texts, labels = noise(98), np.array([1] * 74 + [0] * 24, np.int32)
    assert linear.learn(corpus_of(texts), labels, 2, SETTINGS, 0).biases == pytest.approx(np.log(3))


def test_the_same_seed_gives_the_same_bits():
    texts, labels = noise(100), RNG.integers(0, 2, 100).astype(np.int32)
    one, same, other = (linear.learn(corpus_of(texts), labels, 2, SETTINGS, s) for s in (0, 0, 1))
    assert one.train.tobytes() == same.train.tobytes()
    assert one.train.tobytes() != other.train.tobytes()
    assert one.scale == same.scale


def test_fewer_texts_than_folds_are_no_trouble():
    found = linear.learn(corpus_of(["good", "bad"]), np.array([1, 0], np.int32), 2, SETTINGS, 0)
    assert np.isfinite(found.train).all()
    assert np.isfinite(found.table).all()


def test_a_table_beyond_all_sense_is_refused():
    with pytest.raises(LstmError, match="at most 32,000 with 1,000 classes"):
        linear.learn(
            corpus_of(["good"]), np.zeros(1, np.int32), 1000, LinearSettings(buckets=10**6), 0
        )


def test_a_class_that_a_fold_lacks_is_no_trouble():
    texts, labels = noise(12), np.array([0, 1] * 5 + [0, 2], np.int32)
    found = linear.learn(corpus_of(texts), labels, 3, SETTINGS, 0)
    assert np.isfinite(found.train).all()
    alone = linear.learn(corpus_of(texts), 0 * labels, 2, SETTINGS, 0)
    assert not alone.table.any()
