"""Thresholds that a result must reach: `--fail-under accuracy=0.85`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_cli.errors import ExitCode, LstmError, suggest

THRESHOLD_METRICS = ("accuracy", "f1", "precision", "recall", "roc_auc", "answered")
# Only with several labels a text.
MULTI_LABEL_METRICS = ("micro_f1",)
LOWER_IS_BETTER = ("loss", "calibration_error")


@dataclass(frozen=True)
class Threshold:
    """The value that a metric must reach."""

    metric: str
    required: float


@dataclass(frozen=True)
class UnmetThreshold:
    """A threshold that was not met; `actual` is None when the metric has no value."""

    metric: str
    required: float
    actual: float | None

    def describe(self, metrics: Mapping[str, Any]) -> str:
        """Return the actual value, or why there is none.

        Args:
            metrics: `Report.to_dict()`, which may hold the reason.
        """
        if self.actual is not None and not math.isnan(self.actual):
            return f"{self.metric} is {self.actual:.4f}, below {self.required}"
        reason = metrics.get(f"{self.metric}_reason")
        if self.metric in MULTI_LABEL_METRICS and "micro" not in metrics:
            reason = "each input has one class"
        detail = f" ({reason})" if reason else ""
        return f"{self.metric} is not defined{detail}, so it does not reach {self.required}"


def parse_thresholds(requirements: Sequence[str]) -> list[Threshold]:
    """Parse `METRIC=VALUE` texts, so that a typing error shows before training.

    Args:
        requirements: The values of `--fail-under`.

    Returns:
        The thresholds, in order.

    Raises:
        LstmError: A text is not `METRIC=VALUE`, the metric is unknown or one where lower is
            better, or the value is outside [0, 1]. Exit code 2.
    """
    return [_parse_threshold(requirement) for requirement in requirements]


def unmet_thresholds(
    metrics: Mapping[str, Any], requirements: Sequence[str]
) -> list[UnmetThreshold]:
    """Compare metrics with the thresholds that they must reach.

    Args:
        metrics: Values by name, such as `Report.to_dict()`.
        requirements: `METRIC=VALUE` texts.

    Returns:
        The thresholds that are not met. A metric without a value, or NaN, meets none.

    Raises:
        LstmError: As `parse_thresholds`.
    """
    micro = metrics.get("micro") or {}
    known = {**metrics, "micro_f1": micro.get("f1")}
    values = [(t, known.get(t.metric)) for t in parse_thresholds(requirements)]
    return [
        UnmetThreshold(threshold.metric, threshold.required, value)
        for threshold, value in values
        if value is None or not value >= threshold.required
    ]


def _parse_threshold(requirement: str) -> Threshold:
    metric, equals, text = (part.strip() for part in requirement.partition("="))
    if not equals:
        raise _usage_error(
            f"--fail-under takes METRIC=VALUE, found {requirement!r}.",
            f"For example --fail-under accuracy=0.85. METRIC is one of "
            f"{', '.join(THRESHOLD_METRICS)}.",
        )
    if metric in LOWER_IS_BETTER:
        raise _usage_error(
            f"--fail-under sets a lower limit, but a lower {metric} is better.",
            f"Use one of {', '.join(THRESHOLD_METRICS)}.",
        )
    known = [*THRESHOLD_METRICS, *MULTI_LABEL_METRICS]
    if metric not in known:
        raise _usage_error(f"--fail-under: unknown metric {metric!r}.", suggest(metric, known))
    return Threshold(metric, _parse_fraction(metric, text))


def _parse_fraction(metric: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0.0 <= value <= 1.0:
        return value
    percentage = _parse_percentage(text)
    hint = "Metrics are fractions of 1, for example 0.85."
    if percentage is not None:
        hint = f"Metrics are fractions of 1: did you mean {metric}={percentage / 100:g}?"
    raise _usage_error(
        f"--fail-under {metric}: expected a number from 0 to 1, found {text!r}.", hint
    )


def _parse_percentage(text: str) -> float | None:
    """Return the number in `85` or `85%` if it may be a percentage."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        return None
    return value if 0.0 <= value <= 100.0 else None


def _usage_error(message: str, hint: str) -> LstmError:
    return LstmError(message, hint, ExitCode.USAGE)
