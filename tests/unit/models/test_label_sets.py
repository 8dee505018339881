"""Several labels a text: calibration and linear model."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lstm_cli.config.schema import LinearSettings
from lstm_cli.models import calibration, linear, linear_svm
from lstm_cli.text.corpus import encode
from lstm_cli.text.tokenizer import SPECIAL_TOKENS, Tokenizer, tokenize

SETTINGS = LinearSettings(buckets=4096, folds=3)


def drawn(logits, seed=1):
    """Label sets with these log-odds."""
    rng = np.random.default_rng(seed)
    return (rng.random(logits.shape) < calibration.sigmoid(logits)).astype(np.int32)


def test_each_label_gets_the_factor_and_offset_of_a_logistic_regression():
    margins = np.random.default_rng(0).normal(-1, 0.5, (20_000, 3))
    labels = drawn(margins * [2.0, 6.0, 0.5] + [-1.0, 1.5, -3.0])
    scales, offsets = calibration.fit_label_scales(margins, labels)
    for i in range(3):
        fitted = LogisticRegression(C=1e6).fit(margins[:, [i]], labels[:, i])
        assert scales[i] == pytest.approx(fitted.coef_[0, 0], rel=0.02)
        assert offsets[i] == pytest.approx(fitted.intercept_[0], rel=0.05)


@pytest.mark.parametrize("num_positive", [0, 1, 12])
def test_factors_of_labels_that_few_texts_have_are_finite(num_positive):
    margins = np.where(np.arange(12)[:, None] < num_positive, 5.0, -5.0)
    labels = (np.arange(12)[:, None] < num_positive).astype(np.int32)
    scales, offsets = calibration.fit_label_scales(margins, labels)
    probabilities = calibration.sigmoid(scales * margins + offsets)
    assert np.isfinite([scales, offsets]).all()
    # Platt's target for the only text of a label is 2/3.
    assert np.abs(probabilities - labels).max() < 0.35


def test_two_shared_factors_are_recovered_from_probabilities():
    lstm, linear_logits = np.random.default_rng(0).normal(size=(2, 8000, 2))
    labels = drawn(2.5 * lstm + 0.4 * linear_logits)
    predicted = calibration.sigmoid(lstm + 0.7 * linear_logits)
    split = calibration.SplitLogits.from_probabilities(
        predicted, linear_logits.astype(np.float32), 0.7, multi_label=True
    )
    assert np.allclose(split.lstm, lstm, atol=1e-4)
    assert split.fit_scales(labels) == pytest.approx((2.5, 0.4), rel=0.15)
    expected = calibration.sigmoid(2.5 * lstm + 0.4 * linear_logits)
    assert np.allclose(split.probabilities(split.scaled(2.5, 0.4)), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("num_classes", "multi_label", "outputs"), [(2, False, 1), (2, True, 2), (5, False, 5)]
)
def test_number_of_outputs(num_classes, multi_label, outputs):
    assert calibration.num_outputs(num_classes, multi_label) == outputs


@pytest.fixture(scope="module")
def fitted():
    """Texts with a word for each of two labels, and for neither, and their linear model."""
    rng = np.random.default_rng(0)
    labels = (rng.random((240, 2)) < [0.5, 0.1]).astype(np.int32)
    texts = [
        " ".join([f"w{i}" for i in rng.integers(0, 99, 6)] + ["fine"] * a + ["warm"] * b)
        for a, b in labels.tolist()
    ]
    words = (*SPECIAL_TOKENS, *sorted({token for text in texts for token in tokenize(text)}))
    corpus = encode(texts, Tokenizer(words, 200, 0))
    return linear.fit_linear_model(corpus, labels, 2, words, SETTINGS, 0), corpus, labels, words


def test_linear_model_has_an_output_for_each_label(fitted):
    model, corpus, labels, _ = fitted
    logits = linear.linear_logits(corpus, model.tables, SETTINGS)
    assert logits.shape == model.train_logits.shape == labels.shape
    assert ((logits > 0) == labels).mean() > 0.95
    assert ((model.train_logits > 0) == labels).mean() > 0.9


def test_out_of_fold_logits_are_calibrated(fitted):
    model, _, labels, _ = fitted
    probabilities = calibration.sigmoid(model.train_logits)
    assert probabilities.mean(axis=0) == pytest.approx(labels.mean(axis=0), abs=0.02)


def test_refit_keeps_factors_and_offsets(fitted):
    model, corpus, labels, words = fitted
    tables = linear.refit_tables(model, corpus, labels, 2, words, SETTINGS)
    assert np.array_equal(tables.words, model.tables.words)
    assert np.array_equal(tables.biases, model.tables.biases)


def test_one_label_against_the_rest_ignores_the_others(fitted):
    _, _, labels, _ = fitted
    targets = linear_svm.Targets.weighted(labels, 2, "none")
    assert targets.one_against_rest(1).labels.tolist() == labels[:, 1].tolist()
    assert targets.num_outputs == 2
