"""The prediction for one input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lstm_cli.prediction.decision import MOST_PROBABLE, Decision
from lstm_cli.text.tokenizer import Encoding


# A msgspec struct: the server encodes it as it is, and the class is created faster than a
# dataclass, which counts in every `lstm predict`.
class Prediction(msgspec.Struct, frozen=True, omit_defaults=True):
    """The prediction for one input.

    Attributes:
        label: The predicted class; empty if there is no answer, because the probability is below
            the smallest for an answer. In a multi-label run, the most probable of `labels`; empty
            if there is none.
        probability: Of that class, 0 to 1; without an answer, of the class that was chosen. In a
            multi-label run without a predicted label, of the label that is the least below its
            threshold.
        probabilities: By class, in the order of the run's labels; if only the most probable
            classes were asked for, those, the most probable first.
        num_tokens: Tokens in the whole text; None for images.
        truncated: Whether the middle of the text was left out; None for images.
        unknown: Fraction of tokens that are not in the vocabulary; None for images.
        labels: In a multi-label run, all labels whose probability reaches their threshold, the most
            probable first; None in other runs.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    num_tokens: int | None = None
    truncated: bool | None = None
    unknown: float | None = None
    labels: list[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types, without those that are None."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the label, and bars of the classes."""
        from lstm_cli.prediction.render_notebook import render_prediction

        return render_prediction(self)


class Predictions(list[Prediction]):
    """A list of predictions that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        """Return what a notebook shows: label and probability of the first predictions."""
        from lstm_cli.prediction.render_notebook import render_predictions

        return render_predictions(self)


def make_prediction(
    row: NDArray[np.float32],
    labels: Sequence[str],
    encoding: Encoding | None = None,
    decision: Decision = MOST_PROBABLE,
    top_k: int | None = None,
) -> Prediction:
    """Turn the probabilities of one input into a prediction.

    Args:
        row: `<float32>[classes]`.
        labels: Class names; the index is the class id.
        encoding: Of the text; None for images.
        decision: How the class is chosen, and when it is the answer.
        top_k: Keep only the K most probable classes; None for all.
    """
    probabilities = row.tolist()
    index, is_answered = _decide(row, decision)
    classes = list(zip(labels, probabilities, strict=True))
    if top_k is not None:
        classes = sorted(classes, key=lambda entry: -entry[1])[:top_k]
    label = labels[index] if is_answered else ""
    return Prediction(label, probabilities[index], dict(classes), *describe_encoding(encoding))


def _decide(row: NDArray[np.float32], decision: Decision) -> tuple[int, bool]:
    """Return the id of the chosen class, and whether it is the answer."""
    if decision is MOST_PROBABLE:
        return int(row.argmax()), True
    chosen = decision.choose(row[None])
    return int(chosen[0]), bool(decision.is_answered(row[None], chosen)[0])


def describe_encoding(
    encoding: Encoding | None,
) -> tuple[int | None, bool | None, float | None]:
    """Return `num_tokens`, `truncated` and `unknown` of a prediction; None for images."""
    if encoding is None:
        return None, None, None
    return encoding.num_tokens, encoding.truncated, encoding.unknown_fraction
