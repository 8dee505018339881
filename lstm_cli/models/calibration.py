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
# Newton's method for two numbers a label, and the weight of the prior that a factor is 1.
_NEWTON_STEPS, _NEWTON_RIDGE = 30, 0.1
_MAX_HALVINGS, _NEWTON_TOLERANCE = 12, 1e-4
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
# LSTM are for texts that it has learned: on new ones they are worth less. Chosen among 36 on seven
# data sets of 1,200 texts, of which 120 were for calibration.
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
        labels: True class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.

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
        return _loss(np.asarray(logits), labels) + float(penalty) / labels.size

    result = minimize(loss, start, bounds=[limits] * len(parts), method="L-BFGS-B")
    return tuple(np.exp(result.x).tolist())


def fit_label_scales(
    margins: NDArray[np.floating], labels: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the factor and the offset of each label that turn its margins into log-odds.

    Args:
        margins: `<float>[num, labels]`.
        labels: Label sets, `<int32>[num, labels]`.

    Returns:
        Factors and offsets, `<float64>[labels]` each.

    Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines", section 2.2; Newton's
        method as in Lin, Lin & Weng 2007, "A Note on Platt's Probabilistic Outputs".
    """
    counts = labels.sum(axis=0)
    positive, negative = (counts + 1) / (counts + 2), 1 / (len(labels) - counts + 2)
    targets = np.where(labels > 0, positive, negative)
    scales, offsets = np.ones(labels.shape[1]), np.log((counts + 1) / (len(labels) - counts + 1))
    loss = _label_losses(margins, targets, scales, offsets)
    for _ in range(_NEWTON_STEPS):
        steps = _newton_steps(margins, targets, scales, offsets)
        rate = np.ones(len(scales))
        for _ in range(_MAX_HALVINGS):
            new = scales + rate * steps[0], offsets + rate * steps[1]
            new_loss = _label_losses(margins, targets, *new)
            is_worse = ~(new_loss <= loss)
            if not is_worse.any():
                break
            rate = np.where(is_worse, rate / 2, rate)
        scales, offsets = (
            np.where(is_worse, old, changed)
            for old, changed in zip((scales, offsets), new, strict=True)
        )
        change = np.where(is_worse, 0, loss - new_loss)
        loss = np.where(is_worse, loss, new_loss)
        if change.max() < _NEWTON_TOLERANCE:
            break
    return scales, offsets


def _newton_steps(
    margins: NDArray[np.floating],
    targets: NDArray[np.float64],
    scales: NDArray[np.float64],
    offsets: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the steps of Newton's method for the factors and the offsets of all labels."""
    probabilities = sigmoid(scales * margins + offsets).astype(np.float64)
    errors, weights = targets - probabilities, probabilities * (1 - probabilities)
    second = (weights * margins**2).sum(axis=0) + _NEWTON_RIDGE
    mixed, first = (weights * margins).sum(axis=0), weights.sum(axis=0) + _NEWTON_RIDGE
    slope = (errors * margins).sum(axis=0) - _NEWTON_RIDGE * (scales - 1)
    error = errors.sum(axis=0)
    determinant = second * first - mixed**2
    return (first * slope - mixed * error) / determinant, (
        second * error - mixed * slope
    ) / determinant


def _label_losses(
    margins: NDArray[np.floating],
    targets: NDArray[np.float64],
    scales: NDArray[np.float64],
    offsets: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return what `fit_label_scales` minimizes for each label, `<float64>[labels]`."""
    logits = scales * margins + offsets
    losses = np.logaddexp(0, logits) - targets * logits
    return np.asarray(losses.sum(axis=0) + _NEWTON_RIDGE * np.square(scales - 1) / 2)


@dataclass(frozen=True)
class SplitLogits:
    """The logits of a classifier, split into the parts of the LSTM and of the linear model.

    Attributes:
        lstm: Logits of the LSTM, `<float64>[num, outputs]`.
        linear: Logits of the linear model, `<float32>[num, outputs]`; None without one.
        linear_scale: The classifier's factor on `linear`: one, or `<float32>[num, 1]`.
        multi_label: Whether each logit is that of a label, independent of the others.
    """

    lstm: NDArray[np.float64]
    linear: NDArray[np.float32] | None
    linear_scale: NDArray[np.float32] | float = 1.0
    multi_label: bool = False

    @classmethod
    def from_probabilities(
        cls,
        probabilities: NDArray[np.float32],
        linear: NDArray[np.float32] | None,
        linear_scale: NDArray[np.float32] | float,
        multi_label: bool = False,
    ) -> SplitLogits:
        """Split the predictions of a classifier.

        Args:
            probabilities: Its predictions, `<float32>[num, classes]`.
            linear: Logits of the linear model, as the attribute.
            linear_scale: The classifier's factor on these logits.
            multi_label: As the attribute.
        """
        logits = logits_from_probabilities(probabilities, multi_label)
        lstm = logits if linear is None else logits - linear_scale * linear
        return cls(lstm, linear, linear_scale, multi_label)

    @classmethod
    def concatenate(cls, parts: Sequence[SplitLogits]) -> SplitLogits:
        """Join the logits of several classifiers with the same settings, one after the other."""
        linear = [part.linear for part in parts if part.linear is not None]
        scales = [np.full((len(p.lstm), 1), p.linear_scale, np.float32) for p in parts]
        return cls(
            np.concatenate([part.lstm for part in parts]),
            np.concatenate(linear) if linear else None,
            np.concatenate(scales),
            parts[0].multi_label,
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

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """Turn logits of this classifier into probabilities, `<float32>[num, classes]`."""
        if self.multi_label:
            return sigmoid(logits)
        return np.exp(log_probabilities(logits)).astype(np.float32)

    def scaled(self, lstm_scale: float, linear_scale: float) -> NDArray[np.float64]:
        """Return the sum of the scaled parts, `<float64>[num, outputs]`."""
        if self.linear is None:
            return lstm_scale * self.lstm
        return lstm_scale * self.lstm + linear_scale * self.linear


def _loss(logits: NDArray[np.floating], labels: NDArray[np.int32], smoothing: float = 0.0) -> float:
    """Return the mean negative log likelihood of the labels.

    Args:
        logits: `<float>[num, outputs]`.
        labels: True class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`, for the mean
            over all labels too.
        smoothing: Probability that the target moves from the label to the other classes.
    """
    if labels.ndim == 2:
        return float(np.mean(np.logaddexp(0, logits) - labels * logits))
    logs = log_probabilities(logits)
    right = logs[np.arange(len(labels)), labels]
    if not smoothing:
        return float(-np.mean(right))
    wrong = (logs.sum(axis=1) - right) / (logs.shape[1] - 1)
    return float(-np.mean((1 - smoothing) * right + smoothing * wrong))


def num_outputs(num_classes: int, multi_label: bool = False) -> int:
    """Return the number of logits: one for two classes, one for each label of several."""
    return 1 if num_classes == 2 and not multi_label else num_classes


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Turn the logits of labels into probabilities, `<float32>[num, labels]`."""
    odds = np.exp(-np.abs(np.asarray(logits, np.float64)))
    return np.where(logits >= 0, 1 / (1 + odds), odds / (1 + odds)).astype(np.float32)


def log_probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn logits `[num, outputs]` into log probabilities, `<float64>[num, classes]`."""
    scores = np.asarray(logits, np.float64)
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    scores = scores - scores.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return logs


def logits_from_probabilities(
    probabilities: NDArray[np.float32], multi_label: bool = False
) -> NDArray[np.float64]:
    """Return logits that have these probabilities, `<float64>[num, outputs]`.

    Args:
        probabilities: `<float32>[num, classes]`; values below 1e-8 count as 1e-8.
        multi_label: Whether each column is the probability of a label.
    """
    if multi_label:
        exact = np.clip(probabilities.astype(np.float64), _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
        logits: NDArray[np.float64] = np.log(exact / (1 - exact))
        return logits
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
