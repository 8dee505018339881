"""Temperature scaling: it recovers known scales and stays within its bounds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lstm_cli.models import calibration
from lstm_cli.training import artifacts
from lstm_cli.training.loop import TrainingResult

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _same_numbers_in_each_test():
    """Draw the same numbers in each test, whichever tests run before it."""
    global RNG
    RNG = np.random.default_rng(0)


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_a_known_scale_is_recovered(num_classes, scale):
    logits = RNG.normal(size=(20_000, 1 if num_classes == 2 else num_classes))
    probabilities = np.exp(calibration.log_probabilities(scale * logits))
    labels = (RNG.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    assert calibration.fit_scale(logits, labels) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_two_known_scales_are_recovered(num_classes):
    lstm, linear = RNG.normal(size=(2, 20_000, 1 if num_classes == 2 else num_classes))
    probabilities = np.exp(calibration.log_probabilities(2.5 * lstm + 0.4 * linear))
    labels = (RNG.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    found = calibration.fit_scales([lstm, linear], [calibration.Prior(1, 0.5)] * 2, labels)
    assert found == pytest.approx((2.5, 0.4), rel=0.08)


def test_many_logits_are_scaled_by_a_part_of_the_examples(monkeypatch):
    lstm = RNG.normal(size=(4000, 5))
    probabilities = np.exp(calibration.log_probabilities(2.5 * lstm))
    labels = (RNG.random((4000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    whole = calibration.SplitLogits(lstm, None).fit_scales(labels)
    alone = [calibration.LSTM_ALONE]
    assert whole == (calibration.fit_scales([lstm], alone, labels)[0], 0.0)
    monkeypatch.setattr(calibration, "_MAX_FITTED", 10_000)
    assert calibration.SplitLogits(lstm, None).fit_scales(labels)[0] == pytest.approx(
        calibration.fit_scales([lstm[::2]], alone, labels[::2])[0]
    )


def test_the_scale_of_perfect_predictions_is_finite():
    labels = np.array([0, 1] * 50)
    scale = calibration.fit_scale(np.where(labels, 3.0, -3.0)[:, None], labels)
    # One error in 102 predictions: log(101), by section 2.2 of Platt.
    assert 3 * scale == pytest.approx(np.log(101), rel=1e-3)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_logits_and_probabilities_round_trip(num_classes):
    probabilities = RNG.dirichlet(np.ones(num_classes), 50).astype(np.float32)
    probabilities[0] = np.eye(num_classes)[0]
    logits = calibration.logits_from_probabilities(probabilities)
    assert np.isfinite(logits).all()
    assert np.abs(np.exp(calibration.log_probabilities(logits)) - probabilities).max() < 1e-6


def prepared_with(labels, linear=None):
    validation = SimpleNamespace(inputs=None, labels=labels, linear=linear)
    return SimpleNamespace(validation=validation, held_out=None)


def test_overconfident_parts_get_smaller_scales():
    lstm, linear = RNG.normal(size=(2, 20_000, 1))
    probabilities = np.exp(calibration.log_probabilities(2 * lstm + 0.5 * linear))
    labels = (RNG.random(len(lstm)) < probabilities[:, 1]).astype(np.int32)
    predictions = np.exp(calibration.log_probabilities(4 * lstm + 3 * linear))
    predictor = SimpleNamespace(probabilities=lambda inputs: predictions)
    weights = {
        "head/kernel": np.ones((3, 1), np.float32),
        "linear/scale": np.array([3], np.float32),
    }
    fitted = TrainingResult((), weights, 1, "done")
    result = artifacts.calibrated(prepared_with(labels, linear), predictor, fitted)
    assert result.temperature == pytest.approx(2, rel=0.08)
    assert result.weights["head/kernel"] == pytest.approx(0.5, rel=0.08)
    assert result.weights["linear/scale"] == pytest.approx(0.5, rel=0.08)


def test_twice_too_large_logits_are_halved():
    truth = RNG.normal(size=(20_000, 1))
    labels = (RNG.random(len(truth)) < 1 / (1 + np.exp(-truth[:, 0]))).astype(np.int32)
    predictions = np.exp(calibration.log_probabilities(2 * truth))
    prepared = prepared_with(labels)
    predictor = SimpleNamespace(probabilities=lambda inputs: predictions)
    weights = {"head/kernel": np.ones((3, 1), np.float32), "lstm_0_forward/bias": np.ones(4)}
    found = artifacts.calibrated(prepared, predictor, TrainingResult((), weights, 1, "done"))
    assert found.temperature == pytest.approx(2, rel=0.05)
    assert found.weights["head/kernel"] == pytest.approx(0.5, rel=0.05)
    assert np.array_equal(found.weights["lstm_0_forward/bias"], np.ones(4))


def confident(num, seed):
    """Logits of three classes that are right and as large as they should be, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, num).astype(np.int32)
    logits = 3 * rng.normal(size=(num, 3))
    logits[np.arange(num), labels] += 9
    return logits, labels


def mean_loss(logits, labels):
    return -calibration.log_probabilities(logits)[np.arange(len(labels)), labels].mean()


def test_a_scale_fitted_to_few_texts_does_no_harm():
    """Targets smoothed as by Platt make the loss on new texts several times as high."""
    harm = {"prior": [], "smoothed": []}
    for seed in range(20):
        few, many = confident(24, seed), confident(2000, 1000 + seed)
        (scale,) = calibration.fit_scales([few[0]], [calibration.LSTM_ALONE], few[1])
        harm["prior"].append(mean_loss(scale * many[0], many[1]) - mean_loss(*many))
        smoothed = calibration.fit_scale(*few)
        harm["smoothed"].append(mean_loss(smoothed * many[0], many[1]) - mean_loss(*many))
    assert np.mean(harm["prior"]) < 0.005
    assert np.mean(harm["smoothed"]) > 0.03


def test_few_texts_move_a_scale_less_than_many():
    logits, labels = confident(20_000, 0)
    scales = [
        calibration.fit_scales([2 * logits[:n]], [calibration.LSTM_ALONE], labels[:n])[0]
        for n in (10, 20_000)
    ]
    assert scales[1] == pytest.approx(0.5, rel=0.05)
    assert 0.55 < scales[0] < 1.1


def test_on_many_texts_the_prior_changes_nothing():
    logits, labels = confident(5000, 1)
    logits[:, 0] += RNG.normal(size=5000)
    (scale,) = calibration.fit_scales([logits], [calibration.LSTM_ALONE], labels)
    unpenalized = min(np.linspace(0.5, 2, 1501), key=lambda s: mean_loss(s * logits, labels))
    assert mean_loss(scale * logits, labels) - mean_loss(unpenalized * logits, labels) < 1e-4
    assert scale == pytest.approx(unpenalized, rel=0.03)


def test_without_evidence_each_scale_is_its_center():
    lstm, linear, labels = np.zeros((2, 1)), np.zeros((2, 1)), np.array([0, 1])
    assert calibration.fit_scales(
        [lstm, linear], [calibration.Prior(1, 0.5), calibration.Prior(2.5, 0.5)], labels
    ) == pytest.approx((1, 2.5))


def test_joined_logits_keep_the_scale_of_each_classifier():
    ones = np.ones((2, 1), np.float32)
    parts = [calibration.SplitLogits(n * np.ones((2, 1)), ones, n / 2) for n in (1, 2)]
    joined = calibration.SplitLogits.concatenate(parts)
    assert joined.uncalibrated.ravel().tolist() == [1.5, 1.5, 3.0, 3.0]
    assert joined.scaled(2, 1).ravel().tolist() == [3.0, 3.0, 5.0, 5.0]
