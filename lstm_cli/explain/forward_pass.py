"""A run's network in NumPy, on the equations of `cell`: what its gates and states did.

Prediction does not need it: onnxruntime is faster and shows its answer only. Here everything on the
way to the answer is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config, ModelSettings
from lstm_cli.models import lstm_equations
from lstm_cli.text.tokenizer import bigram_ids

Array = NDArray[Any]
DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True)
class ForwardPass:
    """What the last LSTM layer did over a batch of sequences, and what came of it.

    Attributes:
        traces: One a direction, as it read: the backward one from the end.
        lengths: Steps of each sequence, `<int>[batch]`.
        pooled: What the head sees, `<float>[batch, pools * directions * units]`.
        logits: What the head says of it, `<float>[batch, outputs]`; evidence is not in it.
    """

    traces: tuple[lstm_equations.Trace, ...]
    lengths: Array
    pooled: Array
    logits: Array


def embed(config: Config, weights: Mapping[str, Array], ids: Array) -> Array:
    """Look up words, and pairs where the run has them: `<int32>[time]` to `<float>[time, dim]`."""
    assert config.embedding is not None
    words: Array = weights["embedding/embeddings"][ids]
    buckets = config.embedding.bigram_buckets
    if not buckets:
        return words
    pairs = weights["bigrams/embeddings"][_pairs(ids, buckets)]
    return np.concatenate([words, pairs], axis=1)


def linear(config: Config, weights: Mapping[str, Array], ids: Array) -> Array:
    """Return what each token of a text adds to the logits, `<float>[time, outputs]`.

    By itself, and by its pair with the one before it. The sum over the text is its evidence; all 0
    in a run without.
    """
    num_outputs = weights["head/bias"].shape[0]
    if config.linear is None:
        return np.zeros((len(ids), num_outputs), np.float32)
    table, buckets = weights["linear/table"], config.linear.buckets
    said = table[_pairs(ids, buckets)] + table[ids % buckets]
    return np.asarray(weights["linear/scale"] * said / np.sqrt(np.float32(len(ids))))


def read(
    settings: ModelSettings, weights: Mapping[str, Array], inputs: Array, lengths: Array
) -> ForwardPass:
    """Run all layers over a batch.

    Args:
        settings: Of the model.
        weights: As `models.get_weights` names them.
        inputs: Vectors of words, or rows of images, `<float>[batch, time, dim]`.
        lengths: Steps of each sequence, at least 1, `<int>[batch]`; the rest is padding.
    """
    x: Array = inputs
    traces: tuple[lstm_equations.Trace, ...] = ()
    for index in range(settings.layers):
        traces = _layer(settings, weights, f"lstm_{index}", x, lengths)
        sides = [traces[0].hidden, *(reverse_within(t.hidden, lengths) for t in traces[1:])]
        x = np.concatenate(sides, axis=2)
    pooled = _pool(settings, traces, x, lengths)
    logits = pooled @ weights["head/kernel"] + weights["head/bias"]
    return ForwardPass(traces, lengths, pooled, logits)


def contributions(
    settings: ModelSettings, weights: Mapping[str, Array], pooled: Array, towards: Array
) -> Array:
    """Return what each unit adds to a weighed sum of logits, `<float>[directions, units]`.

    The sum over all units, and over the bias and the evidence in the same weighing, is the
    weighed sum of the network's logits.

    Args:
        settings: Of the model.
        weights: As `models.get_weights` names them.
        pooled: What the head sees of one sequence, `<float>[pools * directions * units]`.
        towards: Weight of each logit, `<float>[outputs]`.
    """
    parts = pooled * (weights["head/kernel"] @ towards)
    directions = 2 if settings.bidirectional else 1
    return np.asarray(parts.reshape(-1, directions, settings.units).sum(axis=0))


def reverse_within(steps: Array, lengths: Array) -> Array:
    """Turn each row of `[batch, time, dim]` round within its length; padding stays behind it."""
    places = np.arange(steps.shape[1])
    within = places < np.asarray(lengths)[:, None]
    order = np.where(within, np.asarray(lengths)[:, None] - 1 - places, places)
    return np.take_along_axis(steps, order[:, :, None], axis=1)


def _pairs(ids: Array, buckets: int) -> Array:
    words = ids.astype(np.int32)
    return bigram_ids(np.concatenate([[0], words[:-1]]).astype(np.int32), words, buckets)


def _layer(
    settings: ModelSettings, weights: Mapping[str, Array], name: str, x: Array, lengths: Array
) -> tuple[lstm_equations.Trace, ...]:
    """Run one layer in each of its directions."""
    traces = []
    for direction in DIRECTIONS[: 2 if settings.bidirectional else 1]:
        layer = f"{name}_{direction}"
        found = lstm_equations.Weights(
            weights[f"{layer}/kernel"],
            weights[f"{layer}/recurrent_kernel"],
            weights[f"{layer}/bias"],
            weights.get(f"{layer}/peepholes"),
        )
        order = reverse_within(x, lengths) if direction == "backward" else x
        traces.append(lstm_equations.forward(found, order, lengths=lengths))
    return tuple(traces)


def _pool(
    settings: ModelSettings, traces: tuple[lstm_equations.Trace, ...], x: Array, lengths: Array
) -> Array:
    """Reduce the steps of each sequence to what the head sees, `[batch, width]`."""
    if settings.pooling == "last":
        # A masked step keeps the state before it: the last column is that of the last word.
        return np.concatenate([trace.hidden[:, -1] for trace in traces], axis=1)
    pools = []
    if settings.pooling in ("max", "max_mean"):
        # Behind the end, a masked step repeats a state: the highest stays the highest.
        pools.append(x.max(axis=1))
    if settings.pooling in ("mean", "max_mean"):
        within = np.arange(x.shape[1]) < np.asarray(lengths)[:, None]
        total = np.where(within[:, :, None], x, 0).sum(axis=1)
        pools.append(total / np.asarray(lengths, x.dtype)[:, None])
    return np.concatenate(pools, axis=1)
