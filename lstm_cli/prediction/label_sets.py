"""Predictions of a multi-label run: each label whose probability reaches its threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.prediction.result import Prediction, describe_encoding
from lstm_cli.text.tokenizer import Encoding

# Thresholds of labels, `<float64>[labels]`, each between 0 and 1.
Thresholds = NDArray[np.float64]


def predicted_labels(
    probabilities: NDArray[np.float32], thresholds: Thresholds
) -> NDArray[np.bool_]:
    """Return which labels are predicted, `<bool>[num, labels]`.

    Args:
        probabilities: `<float32>[num, labels]`.
        thresholds: A label is predicted if its probability is at least this.
    """
    return np.asarray(probabilities >= thresholds.astype(np.float32))


def most_likely_label(row: NDArray[np.float32], thresholds: Thresholds) -> int:
    """Return the label that is the farthest above its threshold, or the least below it.

    Args:
        row: Probabilities of one input, `<float32>[labels]`.
        thresholds: By label.
    """
    return int((log_odds(row) - log_odds(thresholds)).argmax())


def log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logarithms of the odds of independent probabilities, in their shape."""
    exact = np.clip(probabilities.astype(np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(np.log(exact / (1 - exact)))


def make_label_prediction(
    row: NDArray[np.float32],
    labels: Sequence[str],
    thresholds: Thresholds,
    encoding: Encoding | None = None,
    top_k: int | None = None,
) -> Prediction:
    """Turn the probabilities of one input into a prediction of any number of labels.

    Args:
        row: `<float32>[labels]`.
        labels: Label names.
        thresholds: By label.
        encoding: Of the text; None for images.
        top_k: Keep only the K most probable labels in `probabilities`; None for all.
    """
    chosen = np.flatnonzero(predicted_labels(row, thresholds))
    order = chosen[np.argsort(-row[chosen], kind="stable")]
    names = [labels[i] for i in order.tolist()]
    by_label = list(zip(labels, row.tolist(), strict=True))
    if top_k is not None:
        by_label = sorted(by_label, key=lambda entry: -entry[1])[:top_k]
    first = int(order[0]) if len(order) else most_likely_label(row, thresholds)
    return Prediction(
        names[0] if names else "",
        float(row[first]),
        dict(by_label),
        *describe_encoding(encoding),
        labels=names,
    )
