"""The wrong predictions of a split with the highest confidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.dataset import Split, label_names
from lstm_cli.evaluation import metrics
from lstm_cli.evaluation.label_set_metrics import errors
from lstm_cli.evaluation.scored_split import ScoredSplit
from lstm_cli.prediction.label_sets import predicted_labels


@dataclass(frozen=True)
class Misclassified:
    """An example that the model classifies wrong.

    Attributes:
        index: Its index in the split, from 0.
        label: The true class.
        predicted: The predicted class.
        probability: The probability of the predicted class.
        text: The example; None for images.
        wrong_label: In a multi-label run, the most certain wrong label: predicted, or missing. Then
            `probability` is how certain the model is of this error, and `label` and `predicted`
            are all labels, joined by commas.
        id: The id of the example in the data; None if the data has no ids.
    """

    index: int
    label: str
    predicted: str
    probability: float
    text: str | None
    wrong_label: str | None = None
    id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without `wrong_label` and `id` if there is none."""
        values = asdict(self)
        for key in ("wrong_label", "id"):
            if values[key] is None:
                del values[key]
        return values

    @property
    def name(self) -> str:
        """The id of the example, or without one its index."""
        return self.id or str(self.index)


def find_mistakes(
    scored: ScoredSplit, examples: Split, labels: tuple[str, ...], num: int
) -> tuple[Misclassified, ...]:
    """Return the wrong predictions with the highest confidence.

    Args:
        scored: The labels and probabilities of the split.
        examples: The split.
        labels: Class names.
        num: The largest number to return.
    """
    found = _most_certain_errors(scored, examples.inputs, labels, num)
    if examples.ids is None:
        return found
    return tuple(replace(error, id=examples.ids[error.index]) for error in found)


def _most_certain_errors(
    scored: ScoredSplit,
    examples: Sequence[str] | NDArray[np.uint8],
    labels: tuple[str, ...],
    num: int,
) -> tuple[Misclassified, ...]:
    """Return the wrong predictions with the highest confidence, without ids."""
    if not num:
        return ()
    if scored.labels.ndim == 2:
        return tuple(_wrong_label_sets(scored, examples, labels, num))
    answers = scored.answers
    predicted = scored.probabilities.argmax(axis=1) if answers is None else answers
    return tuple(
        Misclassified(
            index=int(i),
            label=labels[int(scored.labels[i])],
            predicted=labels[int(predicted[i])],
            probability=float(scored.probabilities[i, predicted[i]]),
            text=None if isinstance(examples, np.ndarray) else examples[int(i)],
        )
        for i in metrics.most_confident_errors(scored.labels, scored.probabilities, num, answers)
    )


def _wrong_label_sets(
    scored: ScoredSplit,
    examples: Sequence[str] | NDArray[np.uint8],
    labels: tuple[str, ...],
    num: int,
) -> Iterator[Misclassified]:
    """Yield the examples with the most certain wrong labels, the most certain first."""
    confidences = errors(scored.labels, scored.probabilities, scored.thresholds)
    chosen = predicted_labels(scored.probabilities, scored.thresholds)
    order = np.argsort(-confidences.max(axis=1), kind="stable")[:num]
    true_names, predicted_names = (
        label_names(part[order].astype(np.int32), labels) for part in (scored.labels, chosen)
    )
    for i, true, predicted in zip(order.tolist(), true_names, predicted_names, strict=True):
        worst = int(confidences[i].argmax())
        if confidences[i, worst]:
            text = None if isinstance(examples, np.ndarray) else examples[i]
            probability = float(confidences[i, worst])
            yield Misclassified(i, true, predicted, probability, text, labels[worst])
