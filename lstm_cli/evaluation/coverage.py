"""Accuracy against the share of the examples that get an answer.

Source: El-Yaniv and Wiener 2010, "On the foundations of noise-free selective classification"; the
probability of the chosen class is the measure of confidence (Hendrycks and Gimpel 2017).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.choose_thresholds import lowest_min_probability
from lstm_cli.evaluation.metrics import wilson_interval
from lstm_cli.prediction.check_number import check_number
from lstm_cli.prediction.decision import Decision
from lstm_cli.runs import held_out
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.held_out import HeldOutPredictions

# Shares of the examples that the table has.
_SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


@dataclass(frozen=True)
class CoverageRow:
    """What a smallest probability for an answer gives.

    Attributes:
        min_probability: The smallest probability.
        num_answered: Number of examples that get an answer.
        answered: Their share.
        accuracy: Share of the answers that are correct; None without an answer.
        accuracy_interval: Its 95% Wilson interval; None without an answer.
    """

    min_probability: float
    num_answered: int
    answered: float
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None


@dataclass(frozen=True)
class WantedPrecision:
    """The smallest probability for a wanted precision, chosen on the rows held out in training.

    Attributes:
        precision: What was wanted.
        chosen_on: Which rows, for people.
        held_out: What it gives on these rows; None if no probability is high enough.
        evaluated: What it gives on the evaluated split; None as before.
    """

    precision: float
    chosen_on: str
    held_out: CoverageRow | None
    evaluated: CoverageRow | None


@dataclass(frozen=True)
class Coverage:
    """Accuracy against the share of the examples that get an answer.

    Attributes:
        rows: From all examples to a tenth of them; read off the evaluated split.
        wanted: For a wanted precision; None if none was wanted.
    """

    rows: tuple[CoverageRow, ...]
    wanted: WantedPrecision | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return asdict(self)


def measure_coverage(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], decision: Decision
) -> tuple[CoverageRow, ...]:
    """Return the accuracy for some shares of answered examples, all of them first.

    Args:
        labels: True class ids, `<int32>[num]`.
        probabilities: `<float32>[num, classes]`.
        decision: How classes are chosen; its smallest probabilities do not count.
    """
    confidences, is_correct = _confidences(labels, probabilities, decision)
    descending = np.sort(confidences)[::-1]
    places = [max(1, round(share * len(labels))) - 1 for share in _SHARES]
    limits = dict.fromkeys([0.0, *(float(descending[place]) for place in places[1:])])
    rows = [_row(confidences, is_correct, limit) for limit in limits]
    # Examples with equal probabilities are answered together.
    unique = {row.num_answered: row for row in rows}
    return tuple(unique.values())


def for_wanted_precision(
    run: RunDir,
    wanted_precision: float,
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    decision: Decision,
) -> WantedPrecision:
    """Choose the smallest probability for a precision, and measure it on the evaluated split.

    It is chosen on the predictions for the rows that were held out in training, never on the
    evaluated split.

    Args:
        run: The run.
        wanted_precision: From 0 to 1.
        labels: True class ids of the evaluated split, `<int32>[num]`.
        probabilities: Its predictions, `<float32>[num, classes]`.
        decision: As for `measure_coverage`.

    Raises:
        LstmError: The run has no predictions for its validation rows, or is damaged.
    """
    run = run.with_manifest()
    rows = held_out.read(run, probabilities.shape[1])
    of_held_out = _confidences(rows.labels, rows.probabilities, decision)
    limit = lowest_min_probability(*of_held_out, wanted_precision)
    chosen_on = describe_held_out(run, rows)
    if limit is None:
        return WantedPrecision(wanted_precision, chosen_on, None, None)
    evaluated = _row(*_confidences(labels, probabilities, decision), limit)
    return WantedPrecision(wanted_precision, chosen_on, _row(*of_held_out, limit), evaluated)


def check_wanted_precision(value: float) -> None:
    """Check that a wanted precision can be reached by leaving out examples.

    Raises:
        LstmError: It is not above 0 and at most 1 (exit code 2).
    """
    hint = "For example --wanted-precision 0.95."
    check_number("--wanted-precision", value, 0, 1, hint=hint)
    if not value:
        raise LstmError(
            "--wanted-precision expects a number above 0, found 0.", hint, ExitCode.USAGE
        )


def describe_held_out(run: RunDir, rows: HeldOutPredictions) -> str:
    """Name the held-out rows: `302 validation rows (measured by 5-fold cross-validation, ...)`."""
    method = run.read_json("metrics.json").get("validation_method")
    return f"{len(rows.labels):,} validation rows" + (f" (measured {method})" if method else "")


def _confidences(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], decision: Decision
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probability of the chosen class, and whether it is the true one, `[num]` each."""
    chosen = decision.choose(probabilities)
    return probabilities[np.arange(len(labels)), chosen].astype(np.float64), chosen == labels


def _row(
    confidences: NDArray[np.float64], is_correct: NDArray[np.bool_], limit: float
) -> CoverageRow:
    is_answered = confidences >= limit
    num = int(is_answered.sum())
    num_correct = int(is_correct[is_answered].sum())
    interval = wilson_interval(num_correct, num) if num else None
    accuracy = num_correct / num if num else None
    return CoverageRow(limit, num, num / len(confidences), accuracy, interval)
