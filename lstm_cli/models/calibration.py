"""Calibration: factors on logits that make probabilities as high as predictions are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_MIN_SCALE, _MAX_SCALE = 0.02, 50.0
# Below this, float32 cannot distinguish 1 - p from 1.
_MIN_PROBABILITY = 1e-8
# Two factors need no more logits than this, and no more examples.
_MAX_FITTED, _MIN_ROWS = 2_000_000, 1000


class Prior(NamedTuple):
    """What is known of a factor before the labels are seen: its logarithm is normal.

    Attributes:
        center: The most probable factor.
        std: Standard deviation of its logarithm.
    """

    center: float
    std: float


# In simulations with 10 to 5,000 texts and 2 to 8 classes, standard deviations of 0.25 and 1 gave a
# higher loss on new texts, and so did smoothed targets, which make correct predictions of few texts
# far too uncertain. From 1,000 texts on the prior changes nothing that can be measured.
LSTM_ALONE = Prior(1.0, 0.5)
# The logits of a linear model are out-of-fold in training, and their best factor is 1. Those of the
# LSTM are for texts that it has learned: on new ones they are worth less. `benchmarks.calibration`
# compares 36 pairs of priors.
LSTM_BESIDE_LINEAR, LINEAR = Prior(0.3, 0.5), Prior(0.8, 0.2)


def fit_scale(
    logits: NDArray[np.floating],
    labels: NDArray[np.int32],
) -> float:
    """Find the factor on logits of unknown size that maximizes the likelihood of the labels.

    It does not change which class is predicted.

    Args:
        logits: `<float>[num, outputs]`; with two classes there is one output, for class 1.
        labels: True class ids, `<int32>[num]`.

    Returns:
        A factor between 0.02 and 50.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; Platt 1999,
        "Probabilistic Outputs for Support Vector Machines", section 2.2, for the smoothed targets:
        without them, the factor for predictions that are all right would be unlimited.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_scale: float) -> float:
        return _loss(np.exp(log_scale) * logits, labels, 1 / (len(labels) + 2))

    bounds = (np.log(_MIN_SCALE), np.log(_MAX_SCALE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def fit_scales(
    parts: Sequence[NDArray[np.floating]], priors: Sequence[Prior], labels: NDArray[np.int32]
) -> tuple[float, ...]:
    """Find the most probable factors on logits that are added up, given the labels.

    On few texts the factors stay near the centers of their priors; on many texts they maximize the
    likelihood of the labels.

    Args:
        parts: Logits, each `<float>[num, outputs]`; with two classes one output, for class 1.
        priors: One for each part.
        labels: True class ids, `<int32>[num]`.

    Returns:
        One factor for each part, between 0.02 and 50.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; with one part
        and center 1 the factor is the inverse of their temperature. The prior is in place of the
        smoothed targets of Platt 1999, "Probabilistic Outputs for Support Vector Machines".
    """
    from scipy.optimize import minimize

    limits = np.log(_MIN_SCALE), np.log(_MAX_SCALE)
    centers, stds = np.array(priors).T
    start = np.log(centers)

    def loss(log_scales: NDArray[np.float64]) -> float:
        logits = sum(np.exp(s) * part for s, part in zip(log_scales, parts, strict=True))
        penalty = np.square((log_scales - start) / stds).sum() / 2
        return _loss(np.asarray(logits), labels) + float(penalty) / len(labels)

    result = minimize(loss, start, bounds=[limits] * len(parts), method="L-BFGS-B")
    return tuple(np.exp(result.x).tolist())


@dataclass(frozen=True)
class SplitLogits:
    """The logits of a classifier, split into the parts of the LSTM and of the linear model.

    Attributes:
        lstm: Logits of the LSTM, `<float64>[num, outputs]`.
        linear: Logits of the linear model, `<float32>[num, outputs]`; None without one.
        linear_scale: The classifier's factor on `linear`: one, or `<float32>[num, 1]`.
    """

    lstm: NDArray[np.float64]
    linear: NDArray[np.float32] | None
    linear_scale: NDArray[np.float32] | float = 1.0

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
        lstm = logits if linear is None else logits - linear_scale * linear
        return cls(lstm, linear, linear_scale)

    @classmethod
    def concatenate(cls, parts: Sequence[SplitLogits]) -> SplitLogits:
        """Join the logits of several classifiers with the same settings, one after the other."""
        linear = [part.linear for part in parts if part.linear is not None]
        scales = [np.full((len(p.lstm), 1), p.linear_scale, np.float32) for p in parts]
        return cls(
            np.concatenate([part.lstm for part in parts]),
            np.concatenate(linear) if linear else None,
            np.concatenate(scales),
        )

    @property
    def uncalibrated(self) -> NDArray[np.float64]:
        """The logits that the classifier predicts, `<float64>[num, outputs]`."""
        return self.lstm if self.linear is None else self.lstm + self.linear_scale * self.linear

    def fit_scales(self, labels: NDArray[np.int32]) -> tuple[float, float]:
        """Find the most probable factors on both parts, given the labels; see `fit_scales`.

        Args:
            labels: True class ids, `<int32>[num]`.

        Returns:
            The factors on `lstm` and on `linear`; 0 without a linear model. With very many logits
            they are fitted to a part of the examples.
        """
        num_rows = min(len(labels), max(_MIN_ROWS, _MAX_FITTED // self.lstm.shape[1]))
        rows = np.arange(num_rows) * len(labels) // num_rows
        if self.linear is None:
            return fit_scales([self.lstm[rows]], [LSTM_ALONE], labels[rows])[0], 0.0
        parts = [self.lstm[rows], self.linear[rows]]
        priors = [LSTM_BESIDE_LINEAR, LINEAR]
        lstm_scale, linear_scale = fit_scales(parts, priors, labels[rows])
        return lstm_scale, linear_scale

    def scaled(self, lstm_scale: float, linear_scale: float) -> NDArray[np.float64]:
        """Return the sum of the scaled parts, `<float64>[num, outputs]`."""
        if self.linear is None:
            return lstm_scale * self.lstm
        return lstm_scale * self.lstm + linear_scale * self.linear


def _loss(logits: NDArray[np.floating], labels: NDArray[np.int32], smoothing: float = 0.0) -> float:
    """Return the mean negative log likelihood of the labels.

    Args:
        logits: `<float>[num, outputs]`.
        labels: True class ids, `<int32>[num]`.
        smoothing: Probability that the target moves from the label to the other classes.
    """
    logs = log_probabilities(logits)
    right = logs[np.arange(len(labels)), labels]
    if not smoothing:
        return float(-np.mean(right))
    wrong = (logs.sum(axis=1) - right) / (logs.shape[1] - 1)
    return float(-np.mean((1 - smoothing) * right + smoothing * wrong))


def loss_and_accuracy(
    logits: NDArray[np.floating], labels: NDArray[np.int32]
) -> tuple[float, float]:
    """Return the mean negative log likelihood of the labels, and the accuracy.

    Args:
        logits: `<float>[num, outputs]`.
        labels: True class ids, `<int32>[num]`.
    """
    accuracy = np.mean(log_probabilities(logits).argmax(axis=1) == labels)
    return _loss(logits, labels), float(accuracy)


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
