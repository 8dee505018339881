"""The rule that turns the probabilities of one input into an answer, or into none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction.check_number import check_number


@dataclass(frozen=True, eq=False)
class Decision:
    """How a class is chosen, and when the choice is the answer.

    The class with the highest ratio of probability to threshold is chosen; without thresholds, the
    most probable class. It is the answer if its probability reaches the smallest probability of
    that class. Otherwise there is no answer.

    Attributes:
        thresholds: One for each class, `<float64>[classes]`, with the sum 1; None without any.
            With two classes, the second is chosen if its probability reaches its threshold.
        min_probabilities: Smallest probability for an answer, by class, `<float64>[classes]`; None
            if every input gets an answer.
    """

    thresholds: NDArray[np.float64] | None = None
    min_probabilities: NDArray[np.float64] | None = None

    def choose(self, probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the id of the chosen class of each input, `<int64>[num]`.

        Args:
            probabilities: `<float32>[num, classes]`.
        """
        values = probabilities.astype(np.float64)
        if self.thresholds is None:
            return np.asarray(values.argmax(axis=1))
        if len(self.thresholds) == 2:
            return np.asarray(values[:, 1] >= self.thresholds[1]).astype(np.int64)
        return np.asarray((values / self.thresholds).argmax(axis=1))

    def is_answered(
        self, probabilities: NDArray[np.float32], chosen: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return whether the chosen class is the answer, for each input, `<bool>[num]`.

        Args:
            probabilities: `<float32>[num, classes]`.
            chosen: From `choose`.
        """
        if self.min_probabilities is None:
            return np.ones(len(chosen), bool)
        values = probabilities[np.arange(len(chosen)), chosen]
        return np.asarray(values >= self.min_probabilities[chosen])

    def answers(self, probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the id of the answer to each input; -1 for no answer, `<int64>[num]`.

        Args:
            probabilities: `<float32>[num, classes]`.
        """
        chosen = self.choose(probabilities)
        return np.where(self.is_answered(probabilities, chosen), chosen, -1)

    def by_class(
        self, labels: Sequence[str]
    ) -> tuple[dict[str, float] | None, dict[str, float] | None]:
        """Return thresholds and smallest probabilities by class; None for those it has not."""
        first, second = (
            None if values is None else dict(zip(labels, values.tolist(), strict=True))
            for values in (self.thresholds, self.min_probabilities)
        )
        return first, second

    def override(
        self,
        labels: Sequence[str],
        threshold: float | None = None,
        min_probability: float | None = None,
    ) -> Decision:
        """Return this rule with one threshold, one smallest probability, or both, replaced.

        Args:
            labels: Class names.
            threshold: For two classes, the threshold of the second; None for no change.
            min_probability: Of all classes; None for no change.

        Raises:
            LstmError: A number is not between 0 and 1, or there are more than two classes
                (exit code 2).
        """
        changed = self
        if threshold is not None:
            changed = replace(changed, thresholds=two_class_thresholds(labels, threshold))
        if min_probability is not None:
            check_probability("--min-probability", min_probability)
            values = np.full(len(labels), min_probability, np.float64)
            changed = replace(changed, min_probabilities=values)
        return changed


MOST_PROBABLE = Decision()


def make_decision(
    labels: Sequence[str],
    thresholds: Mapping[str, float] | None = None,
    min_probabilities: Mapping[str, float] | None = None,
) -> Decision:
    """Return the rule with values by class.

    Args:
        labels: Class names; the index is the class id.
        thresholds: One for each class; None for none.
        min_probabilities: One for each class; None for none.
    """
    arrays = [
        None if by_class is None else np.array([by_class[label] for label in labels], np.float64)
        for by_class in (thresholds, min_probabilities)
    ]
    return Decision(*arrays)


def two_class_thresholds(labels: Sequence[str], threshold: float) -> NDArray[np.float64]:
    """Return the thresholds by which the second of two classes is chosen from a probability on.

    Raises:
        LstmError: There are more than two classes, or the number is not between 0 and 1
            (exit code 2).
    """
    if len(labels) != 2:
        raise LstmError(
            f"--threshold needs two classes; the run has {len(labels)}.",
            "Leave out --threshold; --top-k shows the most probable classes.",
            ExitCode.USAGE,
        )
    check_probability("--threshold", threshold)
    return np.array([1 - threshold, threshold])


def check_probability(option: str, value: float) -> None:
    """Check that an option is a probability.

    Raises:
        LstmError: It is not a number from 0 to 1 (exit code 2).
    """
    check_number(option, value, 0, 1, hint="Leave it out for the rule of the run.")
