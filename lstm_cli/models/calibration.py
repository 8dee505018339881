"""Calibration: factors on logits that make probabilities as high as predictions are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MIN_SCALE, _MAX_SCALE = 0.02, 50.0
# Below this, float32 cannot distinguish 1 - p from 1.
_MIN_PROBABILITY = 1e-8
# Two factors need no more logits than this, and no more examples.
_MAX_FITTED, _MIN_ROWS = 2_000_000, 1000


def fit_scale(
    logits: NDArray[np.floating],
    labels: NDArray[np.int32],
    biases: NDArray[np.floating] | float = 0.0,
) -> float:
    """Find the factor on logits that maximizes the likelihood of the labels.

    It is the inverse of the temperature in temperature scaling. Without biases it does not change
    which class is predicted.

    Args:
        logits: `<float>[num, outputs]`; with two classes there is one output, for class 1.
        labels: True class ids, `<int32>[num]`.
        biases: Added after scaling, `<float>[outputs]`.

    Returns:
        A factor between 0.02 and 50.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; Platt 1999,
        "Probabilistic Outputs for Support Vector Machines", section 2.2, for the smoothed targets:
        without them, the factor for predictions that are all right would be unlimited.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_scale: float) -> float:
        return _loss(np.exp(log_scale) * logits + biases, labels)

    bounds = (np.log(_MIN_SCALE), np.log(_MAX_SCALE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def fit_two_scales(
    lstm: NDArray[np.floating], linear: NDArray[np.floating], labels: NDArray[np.int32]
) -> tuple[float, float]:
    """Find the factors on two logits whose sum maximizes the likelihood of the labels.

    Args:
        lstm: Logits of the LSTM, `<float>[num, outputs]`.
        linear: Logits of the linear model, of the same shape.
        labels: True class ids, `<int32>[num]`.

    Returns:
        The factors on `lstm` and on `linear`, each between 0.02 and 50.

    Source: Platt 1999, section 2.2, with two scores instead of one.
    """
    from scipy.optimize import minimize

    def loss(log_scales: NDArray[np.float64]) -> float:
        lstm_scale, linear_scale = np.exp(log_scales)
        return _loss(lstm_scale * lstm + linear_scale * linear, labels)

    bounds = [(np.log(_MIN_SCALE), np.log(_MAX_SCALE))] * 2
    result = minimize(loss, np.zeros(2), bounds=bounds, method="L-BFGS-B")
    lstm_scale, linear_scale = np.exp(result.x)
    return float(lstm_scale), float(linear_scale)


@dataclass(frozen=True)
class SplitLogits:
    """The logits of a classifier, split into the parts of the LSTM and of the linear model.

    Attributes:
        lstm: Logits of the LSTM, `<float64>[num, outputs]`.
        linear: Logits of the linear model, `<float32>[num, outputs]`; None without one.
    """

    lstm: NDArray[np.float64]
    linear: NDArray[np.float32] | None

    @classmethod
    def from_probabilities(
        cls,
        probabilities: NDArray[np.float32],
        linear: NDArray[np.float32] | None,
        linear_scale: NDArray[np.float32] | float,
    ) -> SplitLogits:
        """Split the predictions of a classifier.

        Args:
            probabilities: Its predictions, `<float32>[num, classes]`.
            linear: Logits of the linear model, as the attribute.
            linear_scale: The classifier's factor on these logits.
        """
        logits = logits_from_probabilities(probabilities)
        return cls(logits if linear is None else logits - linear_scale * linear, linear)

    def fit_scales(self, labels: NDArray[np.int32]) -> tuple[float, float]:
        """Find the factors on both parts that maximize the likelihood of the labels.

        Args:
            labels: True class ids, `<int32>[num]`.

        Returns:
            The factors on `lstm` and on `linear`; 0 without a linear model. With very many logits
            they are fitted to a part of the examples.
        """
        num_rows = min(len(labels), max(_MIN_ROWS, _MAX_FITTED // self.lstm.shape[1]))
        rows = np.arange(num_rows) * len(labels) // num_rows
        if self.linear is None:
            return fit_scale(self.lstm[rows], labels[rows]), 0.0
        return fit_two_scales(self.lstm[rows], self.linear[rows], labels[rows])

    def scaled(self, lstm_scale: float, linear_scale: float) -> NDArray[np.float64]:
        """Return the sum of the scaled parts, `<float64>[num, outputs]`."""
        if self.linear is None:
            return lstm_scale * self.lstm
        return lstm_scale * self.lstm + linear_scale * self.linear


def _loss(logits: NDArray[np.floating], labels: NDArray[np.int32]) -> float:
    """Return the mean negative log likelihood of smoothed targets: as if one more were wrong."""
    rows, smoothing = np.arange(len(labels)), 1 / (len(labels) + 2)
    logs = log_probabilities(logits)
    right = logs[rows, labels]
    wrong = (logs.sum(axis=1) - right) / (logs.shape[1] - 1)
    return float(-np.mean((1 - smoothing) * right + smoothing * wrong))


def log_probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn logits `[num, outputs]` into log probabilities, `<float64>[num, classes]`."""
    scores = np.asarray(logits, np.float64)
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    scores = scores - scores.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return logs


def logits_from_probabilities(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return logits that have these probabilities, `<float64>[num, outputs]`.

    Args:
        probabilities: `<float32>[num, classes]`; values below 1e-8 count as 1e-8.
    """
    logs: NDArray[np.float64] = np.log(
        np.maximum(probabilities.astype(np.float64), _MIN_PROBABILITY)
    )
    if logs.shape[1] > 2:
        return logs
    log_odds: NDArray[np.float64] = logs[:, 1:] - logs[:, :1]
    return log_odds


def soft_targets(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Turn logits `[num, outputs]` into probabilities in the shape of training targets.

    Returns:
        The probability of class 1 with two classes, `<float32>[num, 1]`; else the probabilities of
        all classes, `<float32>[num, classes]`.
    """
    probabilities = np.exp(log_probabilities(logits)).astype(np.float32)
    return probabilities[:, 1:] if logits.shape[1] == 1 else probabilities


def scale_logits(
    weights: dict[str, NDArray[np.float32]], scale: float, linear_scale: float
) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a classifier with scaled logits.

    Args:
        weights: As `classifier.get_weights` returns them.
        scale: Factor on the last layer of the LSTM part.
        linear_scale: New scale of the linear logits; not used without a linear model.
    """
    last = [name for name in weights if name.startswith("head/")]
    scaled = weights | {name: weights[name] * np.float32(scale) for name in last}
    if "linear/scale" in weights:
        scaled["linear/scale"] = np.array([linear_scale], np.float32)
    return scaled
