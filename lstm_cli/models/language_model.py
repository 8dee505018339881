"""The language model of the layers a classifier begins with: built, compiled and evaluated.

The forward direction predicts the next word, the backward direction the previous word. Each reads
the same inputs as in the classifier, except those that would reveal the word to predict.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_cli.config.schema import Config, TrainSettings
from lstm_cli.io.progress import perplexity
from lstm_cli.models.classifier import embed_tokens, get_weights, lstm_layer
from lstm_cli.models.compiled import CompiledModel, use_xla
from lstm_cli.models.optimizer import build_slots, make_optimizer
from lstm_cli.models.process_group import combine, is_mine
from lstm_cli.text.lm_windows import Windows

_VERY_LOW = -1e9
# Rows of the full softmax at once: with 20,000 words they take 160 MB.
_SCORED_ROWS = 2048
_SCORED_WINDOWS = 64
_DIRECTIONS = ("forward", "backward")


class SampledSoftmax(layers.Layer):  # type: ignore[misc]
    """Adds the sampled softmax loss, with negative samples shared by the whole batch."""

    def call(
        self, states: Any, targets: Any, negatives: Any, ids: Any, log_expected_counts: Any
    ) -> Any:
        """Add the mean loss to the model and return it, `<float32>[1]`.

        The arguments are those of `sampled_softmax_losses`.
        """
        loss = ops.mean(
            sampled_softmax_losses(states, targets, negatives, ids, log_expected_counts)
        )
        self.add_loss(loss)
        return ops.reshape(loss, (1,))


def sampled_softmax_losses(
    states: Any,
    targets: tuple[Any, Any],
    negatives: tuple[Any, Any],
    ids: tuple[Any, Any],
    log_expected_counts: Any,
) -> Any:
    """Estimate -log p(word) of a softmax over all words from a sample of the words.

    The sum over all words is the term of the target plus the terms of the other words. The latter
    are estimated by the negative samples, each divided by its expected count; a negative sample
    that equals the target does not count. So the estimate of the sum is unbiased.

    Args:
        states: Input of the prediction, `<float32>[num, dim]`.
        targets: Vectors and biases of the target words, `<float32>[num, dim]` and `[num]`.
        negatives: Vectors and biases of the negative samples, `<float32>[samples, dim]` and
            `[samples]`.
        ids: Ids of the targets and of the negative samples, `<int32>[num]` and `[samples]`.
        log_expected_counts: Logarithm of the expected count of each negative sample among the
            samples, `<float32>[samples]`.

    Returns:
        Losses in nats, `<float32>[num]`.

    Source: Bengio & Senecal 2003, "Quick Training of Probabilistic Neural Nets by Importance
        Sampling"; Jean et al. 2015, "On Using Very Large Target Vocabulary", section 3.1.
    """
    positive = ops.sum(states * targets[0], axis=-1) + targets[1]
    negative = ops.matmul(states, ops.transpose(negatives[0])) + (
        negatives[1] - log_expected_counts
    )
    negative = ops.where(ids[0][:, None] == ids[1][None, :], _VERY_LOW, negative)
    return ops.logaddexp(positive, ops.logsumexp(negative, axis=-1)) - positive


def build_language_model(config: Config, vocab_size: int) -> Any:
    """Build a language model, not yet compiled.

    The inputs are `tokens`, windows `<int32>[batch, length + 1]`, and the results of
    `lm_windows.sample_negatives`: `negatives <int32>[samples]` and
    `log_expected_counts <float32>[samples]`. The output is the mean loss of both directions,
    `<float32>[1]`.

    Layers that a classifier of the same settings also has have the same names. If the model is
    bidirectional, the LSTM has only the first layer of the stack: from the second layer on, each
    direction of a classifier reads both.

    Args:
        config: Settings with a `language` section.
        vocab_size: Vocabulary size of the tokenizer.
    """
    assert config.language is not None
    assert config.embedding is not None
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    negatives = keras.Input((), dtype="int32", name="negatives")
    log_expected_counts = keras.Input((), dtype="float32", name="log_expected_counts")
    dim = config.embedding.dim
    settings = replace(
        config.embedding, dropout=config.language.dropout, word_dropout=0.0, region_widths=()
    )
    embedded = embed_tokens(tokens, settings, vocab_size, config.seed)
    states = [_flatten(layers.Dense(dim, name="next_forward")(_forward(embedded, config)), dim)]
    targets = [ops.reshape(tokens[:, 1:], (-1,))]
    if config.model.bidirectional:
        backward = _backward(embedded, dim, config)
        states.append(_flatten(layers.Dense(dim, name="next_backward")(backward), dim))
        targets.append(ops.reshape(tokens[:, :-1], (-1,)))
    target_ids = ops.concatenate(targets)
    if config.language.tie_embeddings:
        vectors = keras.Model(tokens, embedded).get_layer("embedding")
    else:
        vectors = layers.Embedding(vocab_size, dim, name="next_words")
    biases = layers.Embedding(vocab_size, 1, name="next_bias")
    loss = SampledSoftmax(name="loss")(
        ops.concatenate(states),
        (vectors(target_ids), biases(target_ids)[:, 0]),
        (vectors(negatives), biases(negatives)[:, 0]),
        (target_ids, negatives),
        log_expected_counts,
    )
    inputs = {"tokens": tokens, "negatives": negatives, "log_expected_counts": log_expected_counts}
    return keras.Model(inputs, loss, name="lstm_language")


def compile_language_model(
    model: Any, settings: TrainSettings, init_arrays: Collection[str] = ()
) -> None:
    """Compile a language model; its loss is part of the model.

    Args:
        model: A model from `build_language_model`.
        settings: Training settings.
        init_arrays: As for `make_optimizer`.
    """
    model.compile(make_optimizer(settings, init_arrays), jit_compile=use_xla())
    build_slots(model)


def init_output_bias(model: Any, probabilities: NDArray[np.float64]) -> None:
    """Set the output biases so that an untrained model predicts the frequency of each word.

    Args:
        model: A model from `build_language_model`.
        probabilities: Relative frequency of each word, `<float64>[vocab]`.
    """
    model.get_layer("next_bias").set_weights([np.log(probabilities)[:, None].astype(np.float32)])


@dataclass(frozen=True)
class LanguageModelScore:
    """The loss of a language model, with the softmax over all words.

    Attributes:
        losses: Mean of -log p(word) by direction, in nats.
        num_words: Predicted words in each direction.
    """

    losses: dict[str, float]
    num_words: int

    @property
    def loss(self) -> float:
        """Mean over all directions, in nats."""
        return sum(self.losses.values()) / len(self.losses)

    def to_dict(self) -> dict[str, Any]:
        """Return loss and perplexity, in total and by direction, as plain JSON types."""
        result: dict[str, Any] = {"loss": self.loss, "perplexity": perplexity(self.loss)}
        result["num_words"] = self.num_words
        for name, loss in self.losses.items():
            result[name] = {"loss": loss, "perplexity": perplexity(loss)}
        return result


def build_states_model(model: Any) -> Any:
    """Return a model of the same layers that maps tokens to the states before the softmax.

    Args:
        model: A model from `build_language_model`.
    """
    outputs = [model.get_layer(f"next_{name}").output for name in _directions(model)]
    return CompiledModel(model.get_layer("tokens").output, outputs)


def _directions(model: Any) -> list[str]:
    names = {layer.name for layer in model.layers}
    return [name for name in _DIRECTIONS if f"next_{name}" in names]


def score_language_model(
    model: Any, windows: Windows, states_model: Any = None
) -> LanguageModelScore:
    """Measure the loss of a language model with the softmax over all words.

    A group of processes divides the windows.

    Args:
        model: A model from `build_language_model`.
        windows: Windows to predict, each by itself.
        states_model: `build_states_model(model)`, to compile it only once.
    """
    states_model, directions = states_model or build_states_model(model), _directions(model)
    weights = get_weights(model)
    table = weights.get("next_words/embeddings", weights["embedding/embeddings"])
    vectors = ops.convert_to_tensor(np.ascontiguousarray(table.T))
    biases = ops.convert_to_tensor(weights["next_bias/embeddings"][:, 0])
    starts = range(0, len(windows), _SCORED_WINDOWS)
    losses = np.zeros((len(starts), len(directions)))
    for number, start in enumerate(starts):
        if not is_mine(number):
            continue
        indices = np.arange(start, min(start + _SCORED_WINDOWS, len(windows)))
        ids = windows.gather(indices)
        outputs = states_model.predict_on_batch(ids)
        outputs = outputs if len(directions) > 1 else [outputs]
        for column, (name, states) in enumerate(zip(directions, outputs, strict=True)):
            targets = ids[:, 1:] if name == "forward" else ids[:, :-1]
            flat = np.asarray(states).reshape(-1, states.shape[-1])
            losses[number, column] = _total_loss(flat, targets.reshape(-1), vectors, biases)
    num_words = len(windows) * windows.length
    means = combine(losses).sum(0) / num_words
    return LanguageModelScore(dict(zip(directions, means.tolist(), strict=True)), num_words)


def _total_loss(
    states: NDArray[np.float32], targets: NDArray[np.int32], vectors: Any, biases: Any
) -> float:
    """Sum -log p(target) of the full softmax, in parts that fit in memory."""
    total = 0.0
    for start in range(0, len(states), _SCORED_ROWS):
        logits = ops.matmul(states[start : start + _SCORED_ROWS], vectors) + biases
        ids = targets[start : start + _SCORED_ROWS, None]
        target_logits = ops.take_along_axis(logits, ids, axis=1)[:, 0]
        total += float(np.asarray(ops.sum(ops.logsumexp(logits, axis=1) - target_logits)))
    return total


def _forward(embedded: Any, config: Config) -> Any:
    """Read each window except its last word, `[batch, length, units]`."""
    x = embedded[:, :-1]
    for index in range(1 if config.model.bidirectional else config.model.layers):
        x = lstm_layer(config.model, f"lstm_{index}_forward")(x)
    return x


def _backward(embedded: Any, dim: int, config: Config) -> Any:
    """Read each window from its end to its second word, `[batch, length, units]` in text order.

    In the classifier this direction reads, at each word, the word and the bigram of the previous
    word and this word. Here the previous word is the one to predict. So the bigrams are shifted by
    one step: at each word, the model reads the word and the bigram of this word and the next, both
    of which it has already read.
    """
    words, bigrams = embedded[:, 1:, :dim], embedded[:, 2:, dim:]
    x = ops.concatenate([words, ops.pad(bigrams, ((0, 0), (0, 1), (0, 0)))], axis=-1)
    return ops.flip(lstm_layer(config.model, "lstm_0_backward")(ops.flip(x, axis=1)), axis=1)


def _flatten(x: Any, dim: int) -> Any:
    """Reshape `[batch, length, dim]` to `[batch * length, dim]`."""
    return ops.reshape(x, (-1, dim))
