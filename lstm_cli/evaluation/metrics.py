"""What is computed from labels and probabilities: scores, intervals, calibration, gates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.runs.metrics_schema import Bin as Bin
from lstm_cli.runs.metrics_schema import ClassScores as ClassScores
from lstm_cli.runs.metrics_schema import Report as Report

THRESHOLD_METRICS = ("accuracy", "f1", "precision", "recall", "roc_auc")
LOWER_IS_BETTER = ("loss", "calibration_error")

_NUM_BINS = 15
_SMALLEST_PROBABILITY = 1e-7
_Z_95 = 1.959963984540054  # the normal distribution's 97.5th percentile


def compute(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], class_names: tuple[str, ...]
) -> Report:
    """Score predictions against the truth.

    Args:
        labels: True class ids, `<int32>[num]`; a class may be absent.
        probabilities: `<float32>[num, classes]`, rows summing to 1; two columns when binary.
        class_names: Name of each column.

    Returns:
        The report.

    Raises:
        LstmError: There is no example, or a probability is not a finite number.
        ValueError: The shapes do not fit together.
    """
    _check(labels, probabilities, class_names)
    predicted = probabilities.argmax(axis=1)
    num, num_classes = probabilities.shape
    loss, accuracy = loss_and_accuracy(labels, probabilities)
    macro, classes = _precision_recall(labels, predicted, class_names)
    roc_auc, reason = _roc_auc(labels, probabilities, class_names)
    bins = reliability(labels, probabilities)
    return Report(
        num_examples=num,
        accuracy=accuracy,
        accuracy_interval=wilson(int((predicted == labels).sum()), num),
        loss=loss,
        precision=macro[0],
        recall=macro[1],
        f1=macro[2],
        roc_auc=roc_auc,
        roc_auc_reason=reason,
        calibration_error=_calibration_error(bins),
        baseline_accuracy=max(c.support for c in classes) / num,
        classes=classes,
        bins=bins,
        confusion=_confusion(labels, predicted, num_classes),
    )


def loss_and_accuracy(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32]
) -> tuple[float, float]:
    """Return loss and accuracy alone, fast enough for every epoch.

    Args:
        labels: True class ids, `<int32>[num]`, at least one.
        probabilities: `<float32>[num, classes]`. NaN is passed on: a diverged model has loss NaN.

    Returns:
        Mean negative log-likelihood in nats, each probability taken as at least 1e-7, and the
        share predicted right.
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses = -np.log(np.clip(true, _SMALLEST_PROBABILITY, 1.0))
    accuracy = np.mean(probabilities.argmax(axis=1) == labels)
    return float(losses.mean()), float(accuracy)


def wilson(num_right: int, num: int) -> tuple[float, float]:
    """Return the 95% interval of a share; unlike the normal one it stays inside [0, 1].

    Args:
        num_right: Number of successes.
        num: Number of trials, at least 1.

    Returns:
        Lower and upper bound.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
        JASA 22(158), p. 209-212.
    """
    share, z2 = num_right / num, _Z_95**2
    centre = (share + z2 / (2 * num)) / (1 + z2 / num)
    half = _Z_95 / (1 + z2 / num) * math.sqrt(share * (1 - share) / num + z2 / (4 * num**2))
    # At 0 and at num successes the bound is exactly 0 or 1; rounding must not say otherwise.
    low = 0.0 if num_right == 0 else max(0.0, centre - half)
    high = 1.0 if num_right == num else min(1.0, centre + half)
    return low, high


def reliability(labels: NDArray[np.int32], probabilities: NDArray[np.float32]) -> tuple[Bin, ...]:
    """Group predictions by the probability of the class they name, in 15 equal bins.

    Args:
        labels: True class ids, `<int32>[num]`.
        probabilities: `<float32>[num, classes]`.

    Returns:
        The bins from (0, 1/15] to (14/15, 1].

    Source: Guo et al. 2017, "On calibration of modern neural networks", section 2, B_m.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * _NUM_BINS).astype(int) - 1, 0, _NUM_BINS - 1)
    counts = np.bincount(index, minlength=_NUM_BINS)
    confidences = np.bincount(index, weights=confidence, minlength=_NUM_BINS)
    rights = np.bincount(index, weights=right, minlength=_NUM_BINS)
    return tuple(
        Bin(
            low=i / _NUM_BINS,
            high=(i + 1) / _NUM_BINS,
            count=int(counts[i]),
            confidence=float(confidences[i] / counts[i]) if counts[i] else None,
            accuracy=float(rights[i] / counts[i]) if counts[i] else None,
        )
        for i in range(_NUM_BINS)
    )


def most_wrong(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], num: int
) -> NDArray[np.int64]:
    """Find the mistakes made with most confidence.

    Args:
        labels: True class ids, `<int32>[num_examples]`.
        probabilities: `<float32>[num_examples, classes]`.
        num: How many to return at most.

    Returns:
        Positions of wrongly predicted examples, `<int64>[<= num]`, highest probability of the
        wrong class first, equals in their order.
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[order][: max(num, 0)].astype(np.int64)


@dataclass(frozen=True)
class Threshold:
    """What a result must reach: `--fail-under accuracy=0.85`."""

    metric: str
    required: float


@dataclass(frozen=True)
class UnmetThreshold:
    """A gate not met; `reached` is None when the metric has no value on this split."""

    metric: str
    required: float
    reached: float | None

    def describe(self, metrics: Mapping[str, Any]) -> str:
        """Say what was reached, or why there is nothing: `Report.to_dict()` may know."""
        if self.reached is not None and not math.isnan(self.reached):
            return f"{self.metric} is {self.reached:.4f}, below {self.required}"
        why = metrics.get(f"{self.metric}_reason")
        told = f" ({why})" if why else ""
        return f"{self.metric} has no value{told}, {self.required} is required"


def parse_thresholds(requirements: Sequence[str]) -> list[Threshold]:
    """Read `METRIC=VALUE` requirements, so that a typing mistake shows before training.

    Args:
        requirements: What was given to `--fail-under`.

    Returns:
        The gates, in order.

    Raises:
        LstmError: Not `METRIC=VALUE`, an unknown metric, one where lower is better, or a value
            outside [0, 1]. Exit code 2.
    """
    return [_parse_threshold(requirement) for requirement in requirements]


def unmet_thresholds(
    metrics: Mapping[str, float | None], requirements: Sequence[str]
) -> list[UnmetThreshold]:
    """Check results against requirements.

    Args:
        metrics: Results by name, such as `Report.to_dict()`.
        requirements: `METRIC=VALUE` each.

    Returns:
        The gates not met. A metric without a value, or NaN, meets none.

    Raises:
        LstmError: As `parse_thresholds`.
    """
    verified = [(g, metrics.get(g.metric)) for g in parse_thresholds(requirements)]
    return [
        UnmetThreshold(g.metric, g.required, reached)
        for g, reached in verified
        if reached is None or not reached >= g.required
    ]


def _parse_threshold(requirement: str) -> Threshold:
    metric, equals, text = (part.strip() for part in requirement.partition("="))
    if not equals:
        raise _usage(
            f"--fail-under takes METRIC=VALUE, found {requirement!r}.",
            f"For example --fail-under accuracy=0.85; METRIC is one of {', '.join(THRESHOLD_METRICS)}.",
        )
    if metric in LOWER_IS_BETTER:
        raise _usage(
            f"--fail-under sets the least a metric must reach, and a lower {metric} is better.",
            f"Gate on {', '.join(THRESHOLD_METRICS[:-1])} or {THRESHOLD_METRICS[-1]} instead.",
        )
    if metric not in THRESHOLD_METRICS:
        raise _usage(
            f"--fail-under: unknown metric {metric!r}.", suggest(metric, list(THRESHOLD_METRICS))
        )
    return Threshold(metric, _parse_fraction(metric, text))


def _parse_fraction(metric: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0.0 <= value <= 1.0:
        return value
    percent = _parse_percent(text)
    hint = "Metrics are shares of 1, for example 0.85."
    if percent is not None:
        hint = f"Metrics are shares of 1: did you mean {metric}={percent / 100:g}?"
    raise _usage(f"--fail-under {metric}: expected a number from 0 to 1, found {text!r}.", hint)


def _parse_percent(text: str) -> float | None:
    """Return the number in `85` or `85%` when it can have been meant as a percentage."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        return None
    return value if 0.0 <= value <= 100.0 else None


def _usage(message: str, hint: str) -> LstmError:
    return LstmError(message, hint, ExitCode.USAGE)


def _check(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], class_names: tuple[str, ...]
) -> None:
    expected = (len(labels), len(class_names))
    if labels.ndim != 1 or probabilities.shape != expected:
        raise ValueError(
            f"expected labels [num] and probabilities [num, {len(class_names)}], "
            f"found {labels.shape} and {probabilities.shape}"
        )
    if not len(labels):
        raise LstmError("There is no example to score.", "Choose a split that has examples.")
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise ValueError(
            f"expected class ids from 0 to {len(class_names) - 1}, "
            f"found {labels.min()} to {labels.max()}"
        )
    num_bad = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if num_bad:
        raise LstmError(
            f"{num_bad} of {len(labels)} predictions are not finite numbers.",
            "Training has diverged: lower the learning rate or clip gradients, and train again.",
        )


def _precision_recall(
    labels: NDArray[np.int32], predicted: NDArray[np.int64], class_names: tuple[str, ...]
) -> tuple[tuple[float, float, float], tuple[ClassScores, ...]]:
    from sklearn.metrics import precision_recall_fscore_support

    # By default scikit-learn averages over the classes that occur or were predicted.
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    columns = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(len(class_names)), average=None, zero_division=0
    )
    classes = tuple(
        ClassScores(name, float(p), float(r), float(f), int(s))
        for name, p, r, f, s in zip(class_names, *columns, strict=True)
    )
    return (float(precision), float(recall), float(f1)), classes


def _roc_auc(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], class_names: tuple[str, ...]
) -> tuple[float | None, str]:
    from sklearn.metrics import roc_auc_score

    num_classes = len(class_names)
    counts = np.bincount(labels, minlength=num_classes)
    absent = [class_names[c] for c in np.flatnonzero(counts == 0)]
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        return None, f"no example of {', '.join(map(repr, absent[:3]))}{more}"
    # A binary area is the same seen from either class.
    ids = [1] if num_classes == 2 else range(num_classes)
    areas = [roc_auc_score(labels == c, probabilities[:, c]) for c in ids]
    return float(np.mean(areas)), ""


def _confusion(
    labels: NDArray[np.int32], predicted: NDArray[np.int64], num_classes: int
) -> tuple[tuple[int, ...], ...]:
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(labels, predicted, labels=np.arange(num_classes))
    return tuple(tuple(row) for row in matrix.tolist())


def _calibration_error(bins: Sequence[Bin]) -> float:
    """Mean gap between confidence and accuracy. Source: Guo et al. 2017, equation 3."""
    num = sum(b.count for b in bins)
    gaps = [
        b.count * abs(b.accuracy - b.confidence)
        for b in bins
        if b.accuracy is not None and b.confidence is not None
    ]
    return sum(gaps) / num
