"""The effect of each token: how the prediction changes when the token is taken away."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lstm_cli.explain.result import TokenEffects
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.text.tokenizer import Encoding

Array = NDArray[Any]
# `mask` puts [UNK] in a token's place; `remove` shortens the text.
Occlusion = Literal["remove", "mask"]

# Each token costs a pass over the text. Above this total, neighbouring tokens share a pass.
_MAX_STEPS = 1_000_000
# The largest float32 below 1 is about 1 - 2**-24, which limits log-odds to about 16.6.
MIN_PROBABILITY = 2.0**-24


def occlude(
    predictor: Predictor, encoding: Encoding, class_index: int, occlusion: Occlusion = "mask"
) -> TokenEffects:
    """Predict a text without each of its tokens.

    Args:
        predictor: The predictor of a text run.
        encoding: The text, as the model reads it.
        class_index: The class whose log-odds are compared.
        occlusion: How a token is taken away.

    Source: Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", section
        4.2 (parts of images); Li, Monroe & Jurafsky 2016, "Understanding Neural Networks through
        Representation Erasure", section 2.
    """
    num_tokens = len(encoding.ids)
    window = window_size(num_tokens)
    positions = np.arange(num_tokens)
    spans = [positions[start : start + window] for start in range(0, num_tokens, window)]
    texts = [without(encoding, span, occlusion) for span in spans]
    probabilities = predictor.run_texts([encoding, *texts])
    if predictor.thresholds is None:
        scores = log_odds(probabilities, class_index)
    else:
        scores = log_odds_of_label(probabilities[:, class_index])
    effects = scores[0] - scores[1:]
    occluded = probabilities[1:, class_index].astype(np.float64)
    effects, occluded = (np.repeat(part, window)[:num_tokens] for part in (effects, occluded))
    return TokenEffects(effects, occluded, window)


def log_odds(probabilities: Array, class_index: int) -> NDArray[np.float64]:
    """Return the log-odds of a class against all others, `[num, classes]` to `<float64>[num]`.

    With two classes, the model computes one probability and subtracts it from 1, so a probability
    of 0 means less than 2**-24 and is clipped there.
    """
    probabilities = probabilities.astype(np.float64)
    others = np.delete(probabilities, class_index, axis=1).sum(axis=1)
    binary = probabilities.shape[1] == 2
    least = MIN_PROBABILITY if binary else float(np.finfo(np.float32).tiny)
    chosen = np.maximum(probabilities[:, class_index], least)
    return np.asarray(np.log(chosen / np.maximum(others, least)))


def log_odds_of_label(probabilities: Array) -> NDArray[np.float64]:
    """Return the log-odds of a label of a multi-label run, `[num]` to `<float64>[num]`.

    Its float32 probability has no exact complement near 1, so it is clipped as with two classes.
    """
    exact = np.clip(probabilities.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return np.asarray(np.log(exact / (1 - exact)))


def window_size(num_tokens: int) -> int:
    """Return how many neighbouring tokens are taken together.

    Occlusion reads n texts of n tokens, and prefixes n texts of n / 2 tokens on average.
    """
    return math.ceil(1.5 * num_tokens * num_tokens / _MAX_STEPS)


def without(encoding: Encoding, positions: NDArray[np.int64], occlusion: Occlusion) -> Encoding:
    """Take the tokens at some positions away from a text."""
    if occlusion == "mask":
        return encoding.masked(positions)
    return encoding.take(np.delete(np.arange(len(encoding.ids)), positions))
