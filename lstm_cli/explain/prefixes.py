"""The prediction after each token or row, the step that decided, and the largest swings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_cli.explain.occlusion import window_size
from lstm_cli.explain.result import PrefixPredictions, Swing, Swings
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.text.tokenizer import Encoding


def predict_prefixes(
    predictor: Predictor, encoding: Encoding, class_index: int
) -> PrefixPredictions:
    """Predict each prefix of a text, from the empty text to the whole text.

    Each prefix is predicted from scratch, as a text of its own. The states of a single pass would
    not do: those of a backward direction depend on the rest of the text.

    Args:
        predictor: The predictor of a text run.
        encoding: The text, as the model reads it.
        class_index: The class predicted for the whole text.
    """
    num_tokens = len(encoding.ids)
    window = window_size(num_tokens)
    ends = [0, *(min(start + window, num_tokens) for start in range(0, num_tokens, window))]
    prefixes = [encoding.take(np.arange(end)) for end in ends]
    probabilities = predictor.run_texts(prefixes).astype(np.float64)
    steps = np.repeat(probabilities[1:], window, axis=0)[:num_tokens]
    threshold = None if predictor.thresholds is None else predictor.thresholds[class_index]
    return summarize(probabilities[0], steps, class_index, window, threshold)


def summarize(
    start: NDArray[np.float64] | None,
    steps: NDArray[np.float64],
    class_index: int,
    window: int = 1,
    threshold: float | None = None,
) -> PrefixPredictions:
    """Find the decision step and the swings of prefix predictions.

    Args:
        start: Probabilities of an empty input, `<float64>[classes]`, or None.
        steps: Probabilities after each step, `<float64>[steps, classes]`.
        class_index: The class predicted for the whole input.
        window: Number of neighbouring steps that share a prediction.
        threshold: Of the label in a multi-label run: from the decision step on, it is predicted as
            at the end. None for other runs.
    """
    num_before = 0 if start is None else 1
    all_steps = steps if start is None else np.vstack([start[None], steps])
    if threshold is None:
        is_other = all_steps.argmax(axis=1) != class_index
    else:
        is_predicted = all_steps[:, class_index].astype(np.float32) >= np.float32(threshold)
        is_other = is_predicted != is_predicted[-1]
    decision = _decision_step(is_other, num_before)
    swings = _swings(all_steps[:, class_index], num_before)
    return PrefixPredictions(start, steps, window, decision, swings)


def _decision_step(is_other: NDArray[np.bool_], num_before: int = 0) -> int | None:
    """Return the step from which the prediction stays that of the whole input.

    Args:
        is_other: Whether the prediction is another one, `<bool>[num_before + steps]`.
        num_before: Number of leading rows that are not a step of the input.
    """
    others = np.flatnonzero(is_other)
    first = int(others[-1]) + 1 if len(others) else 0
    return first - num_before if max(1, num_before) <= first < len(is_other) else None


def _swings(probabilities: NDArray[np.float64], num_before: int) -> Swings:
    """Return the largest fall and the largest rise; the first one of equals."""
    changes = np.diff(probabilities)
    if not len(changes):
        return Swings(None, None)

    def swing(place: int) -> Swing:
        before, after = probabilities[place : place + 2].tolist()
        return Swing(place + 1 - num_before, before, after)

    drop, rise = int(changes.argmin()), int(changes.argmax())
    return Swings(
        swing(drop) if changes[drop] < 0 else None, swing(rise) if changes[rise] > 0 else None
    )
