"""How sure to be: the factor that makes logits as confident as they are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST, _MOST = 0.02, 50.0
_SMALLEST = 1e-8


def best_scale(
    logits: NDArray[np.floating],
    labels: NDArray[np.int32],
    biases: NDArray[np.floating] | float = 0.0,
) -> float:
    """Find the factor on logits with which the labels are most likely.

    Its inverse is the temperature of temperature scaling. Without biases it never changes which
    class comes first.

    Args:
        logits: `[num, outputs]`; one output, for class 1, where there are two classes.
        labels: True class ids, `<int32>[num]`.
        biases: Added after scaling, `[outputs]`.

    Returns:
        From 0.02 to 50.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; Platt 1999,
        "Probabilistic Outputs for Support Vector Machines", section 2.2, for counting one more
        example as wrong, without which logits that are never wrong would grow without end.
    """
    from scipy.optimize import minimize_scalar

    def loss(power: float) -> float:
        return _loss(np.exp(power) * logits + biases, labels)

    found = minimize_scalar(loss, bounds=(np.log(_LEAST), np.log(_MOST)), method="bounded")
    return float(np.exp(found.x))


def best_scales(
    own: NDArray[np.floating], said: NDArray[np.floating], labels: NDArray[np.int32]
) -> tuple[float, float]:
    """Find the factors on two parts of the logits with which the labels are most likely.

    Args:
        own: What a network finds by itself, `[num, outputs]`.
        said: The evidence beside it, likewise.
        labels: True class ids, `<int32>[num]`.

    Returns:
        The factor on `own` and that on `said`, each from 0.02 to 50.

    Source: Platt 1999, section 2.2, with two scores in place of one.
    """
    from scipy.optimize import minimize

    def loss(powers: NDArray[np.float64]) -> float:
        scale, weight = np.exp(powers)
        return _loss(scale * own + weight * said, labels)

    bounds = [(np.log(_LEAST), np.log(_MOST))] * 2
    found = minimize(loss, np.zeros(2), bounds=bounds, method="L-BFGS-B")
    scale, weight = np.exp(found.x)
    return float(scale), float(weight)


@dataclass(frozen=True)
class Scores:
    """Logits, and the part of them that is evidence.

    Attributes:
        own: What a network finds by itself, `<float64>[num, outputs]`.
        linear: What is said beside it, `<float32>[num, outputs]`; None where nothing is.
    """

    own: NDArray[np.float64]
    linear: NDArray[np.float32] | None

    @classmethod
    def of(
        cls,
        probabilities: NDArray[np.float32],
        linear: NDArray[np.float32] | None,
        weight: NDArray[np.float32] | float,
    ) -> Scores:
        """Take what a network answers apart.

        Args:
            probabilities: Its answers, `<float32>[num, classes]`.
            linear: As the attribute.
            weight: With which the network adds the evidence.
        """
        found = logits(probabilities)
        return cls(found if linear is None else found - weight * linear, linear)

    def best(self, labels: NDArray[np.int32]) -> tuple[float, float]:
        """Find the factors on both parts with which the labels are most likely; 0 on what is not.

        Args:
            labels: True class ids, `<int32>[num]`.
        """
        if self.linear is None:
            return best_scale(self.own, labels), 0.0
        return best_scales(self.own, self.linear, labels)

    def scaled(self, own: float, linear: float) -> NDArray[np.float64]:
        """Return logits with factors on their parts, `<float64>[num, outputs]`."""
        if self.linear is None:
            return own * self.own
        return own * self.own + linear * self.linear


def _loss(logits: NDArray[np.floating], labels: NDArray[np.int32]) -> float:
    """Return the mean negative log likelihood, as if one more example were wrong."""
    rows, wrong = np.arange(len(labels)), 1 / (len(labels) + 2)
    logs = log_probabilities(logits)
    right = logs[rows, labels]
    others = (logs.sum(axis=1) - right) / (logs.shape[1] - 1)
    return float(-np.mean((1 - wrong) * right + wrong * others))


def log_probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn logits `[num, outputs]` into log probabilities, `<float64>[num, classes]`."""
    scores = np.asarray(logits, np.float64)
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    scores = scores - scores.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return logs


def logits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return logits that give these probabilities, `<float64>[num, outputs]`.

    Args:
        probabilities: `<float32>[num, classes]`; those below 1e-8, which is less than what
            tells 1 from the number before it, count as that.
    """
    logs: NDArray[np.float64] = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
    if logs.shape[1] > 2:
        return logs
    odds: NDArray[np.float64] = logs[:, 1:] - logs[:, :1]
    return odds


def as_targets(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Turn logits `[num, outputs]` into probabilities to learn from.

    Returns:
        Those of class 1 alone where there are two classes, `<float32>[num, 1]`, else those of all,
        `<float32>[num, classes]`.
    """
    probabilities = np.exp(log_probabilities(logits)).astype(np.float32)
    return probabilities[:, 1:] if logits.shape[1] == 1 else probabilities


def scale_logits(
    weights: dict[str, NDArray[np.float32]], scale: float, linear: float
) -> dict[str, NDArray[np.float32]]:
    """Return the weights of the same network with logits `scale` times as large.

    Args:
        weights: As `models.get_weights` names them.
        scale: A factor on the last layer.
        linear: The new weight of the evidence, where the network has any.
    """
    last = [name for name in weights if name.startswith("head/")]
    scaled = weights | {name: weights[name] * np.float32(scale) for name in last}
    if "linear/scale" in weights:
        scaled["linear/scale"] = np.array([linear], np.float32)
    return scaled
