"""Temperature scaling: found again where it is known, and never beyond bounds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lstm_cli.models import calibration
from lstm_cli.training import artifacts
from lstm_cli.training.loop import TrainingResult

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_scale_that_labels_were_drawn_with_is_found_again(num_classes, scale):
    logits = RNG.normal(size=(20_000, 1 if num_classes == 2 else num_classes))
    chances = np.exp(calibration.log_probabilities(scale * logits))
    labels = (RNG.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1)
    assert calibration.best_scale(logits, labels) == pytest.approx(scale, rel=0.05)


def test_biases_are_added_after_scaling():
    logits, bias = RNG.normal(size=(20_000, 1)), np.array([1.5])
    chances = np.exp(calibration.log_probabilities(2 * logits + bias))[:, 1]
    labels = (RNG.random(len(chances)) < chances).astype(np.int32)
    assert calibration.best_scale(logits, labels, bias) == pytest.approx(2, rel=0.05)
    assert calibration.best_scale(logits, labels) < 1.9


@pytest.mark.parametrize("num_classes", [2, 5])
def test_two_scales_that_labels_were_drawn_with_are_found_again(num_classes):
    own, said = RNG.normal(size=(2, 20_000, 1 if num_classes == 2 else num_classes))
    chances = np.exp(calibration.log_probabilities(2.5 * own + 0.4 * said))
    labels = (RNG.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1)
    assert calibration.best_scales(own, said, labels) == pytest.approx((2.5, 0.4), rel=0.08)


def test_logits_that_are_never_wrong_stay_finite():
    labels = np.array([0, 1] * 50)
    scale = calibration.best_scale(np.where(labels, 3.0, -3.0)[:, None], labels)
    # As sure as one mistake in 102 allows: log(101), by section 2.2 of Platt.
    assert 3 * scale == pytest.approx(np.log(101), rel=1e-3)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_logits_give_back_their_probabilities(num_classes):
    probabilities = RNG.dirichlet(np.ones(num_classes), 50).astype(np.float32)
    probabilities[0] = np.eye(num_classes)[0]
    logits = calibration.logits(probabilities)
    assert np.isfinite(logits).all()
    assert np.abs(np.exp(calibration.log_probabilities(logits)) - probabilities).max() < 1e-6


def prepared_with(labels, linear=None):
    validation = SimpleNamespace(inputs=None, labels=labels, linear=linear)
    return SimpleNamespace(validation=validation)


def test_evidence_that_the_network_repeats_weighs_less_afterwards():
    own, said = RNG.normal(size=(2, 20_000, 1))
    chances = np.exp(calibration.log_probabilities(2 * own + 0.5 * said))
    labels = (RNG.random(len(own)) < chances[:, 1]).astype(np.int32)
    found = np.exp(calibration.log_probabilities(4 * own + 3 * said))
    predictor = SimpleNamespace(probabilities=lambda inputs: found)
    weights = {
        "head/kernel": np.ones((3, 1), np.float32),
        "linear/scale": np.array([3], np.float32),
    }
    fitted = TrainingResult((), weights, 1, "done")
    weighed = artifacts.calibrated(prepared_with(labels, said), predictor, fitted)
    assert weighed.temperature == pytest.approx(2, rel=0.08)
    assert weighed.weights["head/kernel"] == pytest.approx(0.5, rel=0.08)
    assert weighed.weights["linear/scale"] == pytest.approx(0.5, rel=0.08)


def test_weights_that_are_twice_as_sure_as_they_are_right_are_halved():
    truth = RNG.normal(size=(20_000, 1))
    labels = (RNG.random(len(truth)) < 1 / (1 + np.exp(-truth[:, 0]))).astype(np.int32)
    sure = np.exp(calibration.log_probabilities(2 * truth))
    prepared = prepared_with(labels)
    predictor = SimpleNamespace(probabilities=lambda inputs: sure)
    weights = {"head/kernel": np.ones((3, 1), np.float32), "lstm_0_forward/bias": np.ones(4)}
    found = artifacts.calibrated(prepared, predictor, TrainingResult((), weights, 1, "done"))
    assert found.temperature == pytest.approx(2, rel=0.05)
    assert found.weights["head/kernel"] == pytest.approx(0.5, rel=0.05)
    assert np.array_equal(found.weights["lstm_0_forward/bias"], np.ones(4))
