"""Balance of classes: when it matters that some are rare, and weights that make up for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.readers.columns import quote_name

ClassWeights = Literal["none", "balanced"] | float

# Classes are uneven if the largest has over 3 times the mean or over 80% of the examples, or the
# smallest has under a tenth of the mean.
_MAX_OF_MEAN, _MAX_SHARE, _MIN_OF_MEAN = 3.0, 0.8, 0.1


@dataclass(frozen=True)
class Imbalance:
    """Classes so uneven that accuracy says little about the small ones.

    Attributes:
        largest: Id of the largest class.
        largest_count: Its number of examples.
        smallest: Id of the smallest class that has examples.
        smallest_count: Its number of examples.
        num_examples: Number of examples of all classes.
    """

    largest: int
    largest_count: int
    smallest: int
    smallest_count: int
    num_examples: int

    def describe(self, labels: Sequence[str]) -> str:
        """Return a sentence on the largest and the smallest class.

        Args:
            labels: Class names, by class id.
        """
        return (
            f"The classes are uneven: {quote_name(labels[self.largest])} has "
            f"{self.largest_count:,} of {self.num_examples:,} examples, "
            f"{quote_name(labels[self.smallest])} has {self.smallest_count:,}."
        )


def imbalance(counts: Sequence[int] | NDArray[np.int64]) -> Imbalance | None:
    """Return whether classes are so uneven that it matters; None if not.

    Args:
        counts: Examples of each class; classes without examples do not count.
    """
    counts = np.asarray(counts, np.int64)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return None
    largest = int(counts.argmax())
    smallest = int(present[counts[present].argmin()])
    total = int(counts.sum())
    mean = total / len(present)
    most, least = int(counts[largest]), int(counts[smallest])
    limit = min(_MAX_OF_MEAN * mean, _MAX_SHARE * total)
    if most <= limit and least >= _MIN_OF_MEAN * mean:
        return None
    return Imbalance(largest, most, smallest, least, total)


def advice(weights: ClassWeights) -> str:
    """Return what to do about uneven classes, in one sentence.

    Args:
        weights: The setting `train.class_weights`.
    """
    if weight_power(weights) > 0:
        return "Judge by macro F1, the mean over the classes."
    return (
        "Judge by macro F1, the mean over the classes; '--class-weights balanced', or a power such "
        "as 0.5, gives small classes more weight in training."
    )


def weight_power(weights: ClassWeights) -> float:
    """Return the exponent of the inverse frequency that a setting means."""
    return {"none": 0.0, "balanced": 1.0}[weights] if isinstance(weights, str) else weights


def class_weights(
    labels: NDArray[np.int32],
    num_classes: int,
    weights: ClassWeights,
    row_weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Return powers of the inverse class frequencies, scaled to a mean of 1 over the examples.

    Args:
        labels: Class ids of the training examples, `<int32>[num]`.
        num_classes: Number of classes.
        weights: `none` is power 0, `balanced` is power 1.
        row_weights: How often each example counts, `<float64>[num]`; None for once.

    Returns:
        One weight per class, `<float32>[classes]`; finite also for a class without examples.

    Source: King & Zeng 2001, "Logistic Regression in Rare Events Data", as scikit-learn's
        "balanced". Mikolov et al. 2013, "Distributed Representations of Words and Phrases",
        section 2.2, for a power of frequencies.
    """
    counts = np.bincount(labels, row_weights, minlength=num_classes)
    total = len(labels) if row_weights is None else row_weights.sum()
    inverse = total / (num_classes * np.where(counts > 0, counts, 1))
    powers = inverse ** weight_power(weights)
    return (powers * total / (powers @ counts)).astype(np.float32)
