"""A run's forward pass in NumPy, on the equations of `lstm_equations`, with every gate and state.

Prediction does not use it: onnxruntime is faster, but returns only the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.pooled import LSTM, pooled_parts
from lstm_cli.config.schema import Config, ModelSettings
from lstm_cli.explain.region_embedding import embed_regions
from lstm_cli.explain.regions import RegionFeatures, find_regions
from lstm_cli.models import lstm_equations
from lstm_cli.text.ngrams import bigram_ids, word_ngram_ids
from lstm_cli.text.token_ids import lstm_ids, own_ids
from lstm_cli.text.tokenizer import Encoding

Array = NDArray[Any]
DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True)
class ForwardPass:
    """The last LSTM layer's states for a batch of sequences, and the head's output.

    Attributes:
        traces: One per direction, in reading order: the backward trace starts at the end.
        lengths: Number of steps of each sequence, `<int>[batch]`.
        regions: The region features, one for each width; empty without them.
        pooled: Input of the head, `<float>[batch, width]`, in the order of `pooled_parts`.
        logits: Output of the head, `<float>[batch, outputs]`, without the linear model's logits.
    """

    traces: tuple[lstm_equations.Trace, ...]
    lengths: Array
    regions: tuple[RegionFeatures, ...]
    pooled: Array
    logits: Array


def embed(config: Config, weights: Mapping[str, Array], ids: Array) -> Array:
    """Embed tokens, with their bigrams and regions: `<int32>[time]` to `<float>[time, dim]`."""
    settings = config.embedding
    assert settings is not None
    ids = lstm_ids(ids)
    vectors: list[Array] = [weights["embedding/embeddings"][ids]]
    if settings.bigram_buckets:
        buckets = _bigram_ids(ids, settings.bigram_buckets)
        vectors.append(weights["bigrams/embeddings"][buckets])
    vectors += [embed_regions(weights, width, ids) for width in settings.region_widths]
    return np.concatenate(vectors, axis=1)


def linear_logits(config: Config, weights: Mapping[str, Array], encoding: Encoding) -> Array:
    """Return what the linear model adds for each token, `<float>[time, outputs]`.

    Each row is the token's own weight, with its character n-grams, plus the weights of the word
    n-grams that end at it. The sum over time, plus `linear_biases`, is the linear model's logits.
    All rows are 0 for a run without a linear model.
    """
    ids, settings = own_ids(encoding.ids), config.linear
    if settings is None:
        return np.zeros((len(ids), weights["head/bias"].shape[0]), np.float32)
    logits = weights["linear/words"][ids]
    is_first = np.arange(len(ids)) == 0
    for buckets in word_ngram_ids(ids, is_first, settings.word_ngrams, settings.buckets):
        logits = logits + weights["linear/word_ngrams"][buckets]
    if settings.num_char_buckets:
        ngrams = weights["linear/char_ngrams"][encoding.ngrams]
        np.add.at(logits, encoding.ngram_positions, ngrams)
    return np.asarray(weights["linear/scale"] * logits / np.sqrt(np.float32(len(ids))))


def linear_biases(config: Config, weights: Mapping[str, Array]) -> Array:
    """Return what the linear model adds to every text, `<float>[outputs]`; 0 without one."""
    if config.linear is None:
        return np.zeros_like(weights["head/bias"])
    return np.asarray(weights["linear/scale"] * weights["linear/biases"])


def run_layers(
    settings: ModelSettings, weights: Mapping[str, Array], inputs: Array, lengths: Array
) -> ForwardPass:
    """Run all LSTM layers, the region features and the head over a batch.

    Args:
        settings: The model's settings.
        weights: Arrays by the names that `models.get_weights` gives them.
        inputs: Embedded tokens or pixels, `<float>[batch, time, dim]`.
        lengths: Number of steps of each sequence, at least 1, `<int>[batch]`; the rest is padding.
    """
    x: Array = inputs
    traces: tuple[lstm_equations.Trace, ...] = ()
    for index in range(settings.layers):
        traces = _run_layer(settings, weights, f"lstm_{index}", x, lengths)
        hidden = [traces[0].hidden, *(reverse_sequences(t.hidden, lengths) for t in traces[1:])]
        x = np.concatenate(hidden, axis=2)
    regions = tuple(find_regions(weights, n, inputs, lengths) for n in settings.regions)
    parts = [_pool(settings, traces, x, lengths), *(found.features for found in regions)]
    pooled = np.concatenate(parts, axis=1)
    logits = pooled @ weights["head/kernel"] + weights["head/bias"]
    return ForwardPass(traces, lengths, regions, pooled, logits)


def unit_contributions(
    settings: ModelSettings, weights: Mapping[str, Array], pooled: Array, logit_weights: Array
) -> Array:
    """Return what each unit adds to a weighted sum of logits, `<float>[directions, units]`.

    The sum over all units, plus bias, region features and linear logits under the same weights, is
    the weighted sum of the model's logits.

    Args:
        settings: The model's settings.
        weights: Arrays by the names that `models.get_weights` gives them.
        pooled: Input of the head for one sequence, `<float>[width]`.
        logit_weights: Weight of each logit in the sum, `<float>[outputs]`.
    """
    lstm = pooled_parts(settings)[LSTM]
    parts = pooled[lstm] * (weights["head/kernel"][lstm] @ logit_weights)
    directions = 2 if settings.bidirectional else 1
    return np.asarray(parts.reshape(-1, directions, settings.units).sum(axis=0))


def reverse_sequences(steps: Array, lengths: Array) -> Array:
    """Reverse each row of `[batch, time, dim]` within its length; padding stays at the end."""
    positions = np.arange(steps.shape[1])
    within = positions < np.asarray(lengths)[:, None]
    order = np.where(within, np.asarray(lengths)[:, None] - 1 - positions, positions)
    return np.take_along_axis(steps, order[:, :, None], axis=1)


def _bigram_ids(ids: Array, buckets: int) -> Array:
    tokens = ids.astype(np.int32)
    previous = np.concatenate([[0], tokens[:-1]]).astype(np.int32)
    return bigram_ids(previous, tokens, buckets)


def _run_layer(
    settings: ModelSettings, weights: Mapping[str, Array], name: str, x: Array, lengths: Array
) -> tuple[lstm_equations.Trace, ...]:
    """Run one layer in each of its directions."""
    traces = []
    for direction in DIRECTIONS[: 2 if settings.bidirectional else 1]:
        layer = f"{name}_{direction}"
        layer_weights = lstm_equations.Weights(
            weights[f"{layer}/kernel"],
            weights[f"{layer}/recurrent_kernel"],
            weights[f"{layer}/bias"],
            weights.get(f"{layer}/peepholes"),
        )
        inputs = reverse_sequences(x, lengths) if direction == "backward" else x
        traces.append(lstm_equations.forward(layer_weights, inputs, lengths=lengths))
    return tuple(traces)


def _pool(
    settings: ModelSettings, traces: tuple[lstm_equations.Trace, ...], x: Array, lengths: Array
) -> Array:
    """Pool the steps of the last LSTM layer, `<float>[batch, pools * directions * units]`."""
    if settings.pooling == "last":
        # A masked step keeps the state before it, so the last column holds the last token's state.
        return np.concatenate([trace.hidden[:, -1] for trace in traces], axis=1)
    pools = []
    if settings.pooling in ("max", "max_mean"):
        # Masked steps repeat an earlier state, so they do not change the maximum.
        pools.append(x.max(axis=1))
    if settings.pooling in ("mean", "max_mean"):
        within = np.arange(x.shape[1]) < np.asarray(lengths)[:, None]
        total = np.where(within[:, :, None], x, 0).sum(axis=1)
        pools.append(total / np.asarray(lengths, x.dtype)[:, None])
    return np.concatenate(pools, axis=1)
