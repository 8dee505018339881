"""The linear model of unigrams and bigrams: its fit, and its out-of-fold logits."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_runs import text_config
from scipy import sparse

from lstm_cli.config.schema import LinearSettings
from lstm_cli.errors import LstmError
from lstm_cli.models import linear
from lstm_cli.text.corpus import encode
from lstm_cli.text.ngrams import BIGRAM_FACTOR
from lstm_cli.text.tokenizer import Tokenizer

SETTINGS = LinearSettings(buckets=5000, folds=4)
RNG = np.random.default_rng(0)


def corpus_of(texts):
    config = text_config(text__max_tokens=200)
    return encode(texts, Tokenizer.fit(texts, config.text))


def noise(num, words=200, length=8):
    """Texts that are independent of their labels."""
    return [" ".join(f"w{i}" for i in RNG.integers(0, words, length)) for _ in range(num)]


def test_weights_are_those_of_penalized_logistic_regression():
    """With two words, the optimum has a closed equation for the single weight."""
    labels = np.array([0, 1] * 20, np.int32)
    corpus = corpus_of(["dull" if y == 0 else "fine" for y in labels])
    found = linear.fit_linear_model(corpus, labels, 2, LinearSettings(buckets=5000, penalty=2.0), 0)
    weight_of = {
        "dull": found.table[int(corpus[0][0]), 0],
        "fine": found.table[int(corpus[1][0]), 0],
    }
    assert weight_of["fine"] == pytest.approx(-weight_of["dull"], rel=1e-3)
    # The one feature of a text has norm 1; its weight w solves w = 20 sigma(-w) / penalty.
    w = 1.0
    for _ in range(200):
        w = 0.5 * w + 0.5 * 20 / (1 + np.exp(w)) / 2.0
    raw = linear._fit(linear._counts(corpus, 5000), labels, 2, 2.0)
    # The first word of a text is counted twice: as a unigram and as a bigram.
    assert 2 * raw[int(corpus[1][0]), 0] == pytest.approx(w, rel=0.02)
    ratio = linear.linear_logits(corpus, found.table)[1, 0] / (2 * weight_of["fine"])
    assert ratio == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_log_count_ratios_compare_relative_frequencies(num_classes):
    labels = np.repeat(np.arange(num_classes, dtype=np.int32), 10)
    texts = [f"film {'fine' if y == 1 else 'dull'}" for y in labels]
    corpus = corpus_of(texts)
    ratios = linear._log_count_ratios(linear._counts(corpus, 5000), labels == 1)
    film, fine = int(corpus[10][0]), int(corpus[10][1])

    # The smoothing adds 3 to each of 5,000 buckets. A text has three distinct n-grams: two unigrams
    # and one bigram, since the bigram of its first word has the bucket of the unigram.
    def log_frequency(texts, num_texts):
        return np.log((texts + 3) / (15_000 + 3 * num_texts))

    others = 10 * (num_classes - 1)
    assert ratios[fine] == pytest.approx(log_frequency(10, 10) - log_frequency(0, others), rel=1e-5)
    assert ratios[film] == pytest.approx(
        abs(log_frequency(10, 10) - log_frequency(others, others)), abs=1e-5
    )
    assert ratios[film] < ratios[fine] / 2


@pytest.mark.parametrize("num_classes", [2, 3])
def test_logits_are_the_sum_of_the_weights(num_classes):
    texts = noise(40)
    labels = (np.arange(40) % num_classes).astype(np.int32)
    corpus = corpus_of(texts)
    found = linear.fit_linear_model(corpus, labels, num_classes, SETTINGS, 0)
    sums = linear.linear_logits(corpus, found.table)
    assert sums.shape == (40, 1 if num_classes == 2 else 3)
    for i in (0, 7, 39):
        ids = corpus[i].astype(int)
        rows = [(a * BIGRAM_FACTOR + b) % 5000 for a, b in zip([0, *ids[:-1]], ids, strict=True)]
        rows += [b % 5000 for b in ids]
        expected = found.table[rows].sum(axis=0) / np.sqrt(len(ids))
        assert np.abs(sums[i] - expected).max() < 1e-5


def test_out_of_fold_logits_do_not_leak_labels():
    texts, labels = noise(600, words=60, length=20), RNG.integers(0, 2, 600).astype(np.int32)
    found = linear.fit_linear_model(corpus_of(texts), labels, 2, SETTINGS, 0)
    in_sample = np.mean((linear.linear_logits(corpus_of(texts), found.table)[:, 0] > 0) == labels)
    out_of_fold = np.mean((found.train_logits[:, 0] > 0) == labels)
    assert in_sample > 0.9
    assert abs(out_of_fold - 0.5) < 0.07


@pytest.mark.parametrize("share", [0.3, 0.45])
def test_the_fit_converges(monkeypatch, share):
    """Many rare words: gradients are small, and a loose tolerance could stop too early."""
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
    monkeypatch.setattr(linear, "_MAX_ITERATIONS", 1000)
    exact = linear._fit(counts, labels, 2, 0.1)
    logits = [(counts @ weights)[:, 0] for weights in (found, exact)]
    assert np.corrcoef(logits)[0, 1] > 0.9999
    assert logits[0].std() == pytest.approx(logits[1].std(), rel=0.01)


def test_uninformative_logits_get_a_small_scale():
    labels = RNG.integers(0, 2, 2000).astype(np.int32)
    informative = [
        f"{text} {'fine' if y else 'dull'} film"
        for text, y in zip(noise(2000), labels, strict=True)
    ]
    weak = linear.fit_linear_model(corpus_of(noise(2000)), labels, 2, SETTINGS, 0)
    strong = linear.fit_linear_model(corpus_of(informative), labels, 2, SETTINGS, 0)
    assert weak.scale < 0.2
    assert strong.scale > 2


def test_three_classes_are_separated_by_their_words():
    labels = np.arange(90, dtype=np.int32) % 3
    words = ("dull", "fine", "odd")
    texts = [f"{text} {words[y]}" for text, y in zip(noise(90), labels, strict=True)]
    corpus = corpus_of(texts)
    found = linear.fit_linear_model(corpus, labels, 3, SETTINGS, 0)
    assert np.array_equal(linear.linear_logits(corpus, found.table).argmax(axis=1), labels)
    assert np.mean(found.train_logits.argmax(axis=1) == labels) > 0.9


def test_biases_are_the_log_odds_of_the_classes():
    texts, labels = noise(98), np.array([1] * 74 + [0] * 24, np.int32)
    assert linear.fit_linear_model(
        corpus_of(texts), labels, 2, SETTINGS, 0
    ).biases == pytest.approx(np.log(3))


def test_the_same_seed_gives_the_same_bits():
    texts, labels = noise(100), RNG.integers(0, 2, 100).astype(np.int32)
    one, same, other = (
        linear.fit_linear_model(corpus_of(texts), labels, 2, SETTINGS, s) for s in (0, 0, 1)
    )
    assert one.train_logits.tobytes() == same.train_logits.tobytes()
    assert one.train_logits.tobytes() != other.train_logits.tobytes()
    assert one.scale == same.scale


def test_fewer_texts_than_folds_are_allowed():
    found = linear.fit_linear_model(
        corpus_of(["good", "bad"]), np.array([1, 0], np.int32), 2, SETTINGS, 0
    )
    assert np.isfinite(found.train_logits).all()
    assert np.isfinite(found.table).all()


def test_a_table_that_is_too_large_is_refused():
    with pytest.raises(LstmError, match="at most 32,000 with 1,000 classes"):
        linear.fit_linear_model(
            corpus_of(["good"]), np.zeros(1, np.int32), 1000, LinearSettings(buckets=10**6), 0
        )


def test_a_fold_can_lack_a_class():
    texts, labels = noise(12), np.array([0, 1] * 5 + [0, 2], np.int32)
    found = linear.fit_linear_model(corpus_of(texts), labels, 3, SETTINGS, 0)
    assert np.isfinite(found.train_logits).all()
    alone = linear.fit_linear_model(corpus_of(texts), 0 * labels, 2, SETTINGS, 0)
    assert not alone.table.any()
