"""A language model of the layers a classifier begins with: built and measured.

The forward direction predicts the next word, the backward one the previous word; each reads what
it reads in the classifier, but for what would give its answer away.
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
from lstm_cli.models import classifier
from lstm_cli.models.compiled import CompiledModel
from lstm_cli.text.lm_windows import Windows

_FORBIDDEN = -1e9
# Rows of the full softmax at once: 20,000 words make 160 MB of them.
_SCORED_ROWS = 2048
_SCORED_WINDOWS = 64
_DIRECTIONS = ("forward", "backward")


class SampledSoftmax(layers.Layer):  # type: ignore[misc]
    """Adds the loss of telling each word from some that were drawn for the whole batch."""

    def call(self, states: Any, words: Any, drawn: Any, ids: Any, expected: Any) -> Any:
        """Add the mean loss and return it, `<float32>[1]`.

        Args:
            states: What predicts, `<float32>[num, dim]`.
            words: Vectors and biases of the words to predict, `[num, dim]` and `[num]`.
            drawn: The same of the words drawn, `[negatives, dim]` and `[negatives]`.
            ids: Of the words to predict and of those drawn, `<int32>[num]` and `[negatives]`.
            expected: As for `sampled_losses`.
        """
        loss = ops.mean(sampled_losses(states, words, drawn, ids, expected))
        self.add_loss(loss)
        return ops.reshape(loss, (1,))


def sampled_losses(
    states: Any,
    words: tuple[Any, Any],
    drawn: tuple[Any, Any],
    ids: tuple[Any, Any],
    expected: Any,
) -> Any:
    """Estimate -log p(word) of a softmax over all words from a few of them.

    The sum over all words is the word's own part and that of the others, which those drawn stand
    for, each divided by how often it was to be expected; a word drawn that is the target itself
    does not count. So the estimated sum is right on average.

    Args:
        states: What predicts, `<float32>[num, dim]`.
        words: Vectors and biases of the words to predict, `<float32>[num, dim]` and `[num]`.
        drawn: The same of the words drawn, `<float32>[negatives, dim]` and `[negatives]`.
        ids: Of the words to predict and of those drawn, `<int32>[num]` and `[negatives]`.
        expected: Logarithm of how often each word drawn was to be expected among them,
            `<float32>[negatives]`.

    Returns:
        `<float32>[num]`, in nats.

    Source: Bengio & Senecal 2003, "Quick Training of Probabilistic Neural Nets by Importance
        Sampling"; Jean et al. 2015, "On Using Very Large Target Vocabulary", section 3.1.
    """
    right = ops.sum(states * words[0], axis=-1) + words[1]
    wrong = ops.matmul(states, ops.transpose(drawn[0])) + (drawn[1] - expected)
    wrong = ops.where(ids[0][:, None] == ids[1][None, :], _FORBIDDEN, wrong)
    return ops.logaddexp(right, ops.logsumexp(wrong, axis=-1)) - right


def build(config: Config, vocab_size: int) -> Any:
    """Build an uncompiled language model.

    Inputs: `tokens <int32>[batch, length + 1]`, a window; `negatives <int32>[drawn]`, ids; and
    `expected <float32>[drawn]`, as `stream.negatives` gives them. Output: the mean loss of both
    directions, `<float32>[1]`.

    Layers that a classifier of the same settings has bear the same names. Of a bidirectional one
    these are the first of the stack only: from the second on each direction reads both.

    Args:
        config: With a `language` section.
        vocab_size: Of the tokenizer.
    """
    assert config.language is not None
    assert config.embedding is not None
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    negatives = keras.Input((), dtype="int32", name="negatives")
    expected = keras.Input((), dtype="float32", name="expected")
    dim = config.embedding.dim
    embedding = replace(config.embedding, dropout=config.language.dropout, word_dropout=0.0)
    read = classifier.embed(tokens, embedding, vocab_size, config.seed)
    states = [_flat(layers.Dense(dim, name="next_forward")(_forward(read, config)), dim)]
    targets = [ops.reshape(tokens[:, 1:], (-1,))]
    if config.model.bidirectional:
        backward = _backward(read, dim, config)
        states.append(_flat(layers.Dense(dim, name="next_backward")(backward), dim))
        targets.append(ops.reshape(tokens[:, :-1], (-1,)))
    wanted = ops.concatenate(targets)
    if config.language.tied:
        vectors = keras.Model(tokens, read).get_layer("embedding")
    else:
        vectors = layers.Embedding(vocab_size, dim, name="next_words")
    biases = layers.Embedding(vocab_size, 1, name="next_bias")
    loss = SampledSoftmax(name="loss")(
        ops.concatenate(states),
        (vectors(wanted), biases(wanted)[:, 0]),
        (vectors(negatives), biases(negatives)[:, 0]),
        (wanted, negatives),
        expected,
    )
    inputs = {"tokens": tokens, "negatives": negatives, "expected": expected}
    return keras.Model(inputs, loss, name="lstm_language")


def compile_model(model: Any, settings: TrainSettings, init_arrays: Collection[str] = ()) -> None:
    """Give a language model its optimizer, as `models.compile_model`; its loss it has."""
    model.compile(classifier.optimizer(settings, init_arrays), jit_compile=classifier.use_xla())
    classifier.build_optimizer(model)


def set_frequencies(model: Any, probabilities: NDArray[np.float64]) -> None:
    """Have an untrained model say of each word how frequent it is, whatever stands beside it.

    Args:
        model: As `build` returns it.
        probabilities: Of each word, `<float64>[vocab]`.
    """
    model.get_layer("next_bias").set_weights([np.log(probabilities)[:, None].astype(np.float32)])


@dataclass(frozen=True)
class Score:
    """How well words are predicted, by the softmax over all of them.

    Attributes:
        losses: Mean of -log p(word) by direction, in nats.
        num: Words predicted in each.
    """

    losses: dict[str, float]
    num: int

    @property
    def loss(self) -> float:
        """Mean of all directions."""
        return sum(self.losses.values()) / len(self.losses)

    def to_dict(self) -> dict[str, Any]:
        """Return loss and perplexity, of each direction too, as plain JSON types."""
        both: dict[str, Any] = {"loss": self.loss, "perplexity": perplexity(self.loss)}
        both["num_words"] = self.num
        for name, loss in self.losses.items():
            both[name] = {"loss": loss, "perplexity": perplexity(loss)}
        return both


def states_of(model: Any) -> Any:
    """Return a model of the same layers from tokens to what each direction predicts from.

    Args:
        model: As `build` returns it.
    """
    outputs = [model.get_layer(f"next_{name}").output for name in _directions(model)]
    return CompiledModel(model.get_layer("tokens").output, outputs)


def _directions(model: Any) -> list[str]:
    layers_ = {layer.name for layer in model.layers}
    return [name for name in _DIRECTIONS if f"next_{name}" in layers_]


def score(model: Any, windows: Windows, states: Any = None) -> Score:
    """Measure how well a language model predicts the words of some windows.

    Args:
        model: As `build` returns it.
        windows: Each read by itself.
        states: `states_of(model)`, where it is at hand.
    """
    states, names = states or states_of(model), _directions(model)
    vectors = classifier.get_weights(model)
    table = vectors.get("next_words/embeddings", vectors["embedding/embeddings"])
    words = ops.convert_to_tensor(np.ascontiguousarray(table.T))
    biases = ops.convert_to_tensor(vectors["next_bias/embeddings"][:, 0])
    sums = dict.fromkeys(names, 0.0)
    for start in range(0, len(windows), _SCORED_WINDOWS):
        indices = np.arange(start, min(start + _SCORED_WINDOWS, len(windows)))
        ids = windows.gather(indices)
        found = states.predict_on_batch(ids)
        for name, given in zip(names, found if len(names) > 1 else [found], strict=True):
            targets = ids[:, 1:] if name == "forward" else ids[:, :-1]
            flat = np.asarray(given).reshape(-1, given.shape[-1])
            sums[name] += _total_loss(flat, targets.reshape(-1), words, biases)
    num = len(windows) * windows.length
    return Score({name: total / num for name, total in sums.items()}, num)


def _total_loss(
    states: NDArray[np.float32], targets: NDArray[np.int32], words: Any, biases: Any
) -> float:
    """Sum -log p(target) of the full softmax, in pieces that fit the memory."""
    total = 0.0
    for start in range(0, len(states), _SCORED_ROWS):
        logits = ops.matmul(states[start : start + _SCORED_ROWS], words) + biases
        wanted = targets[start : start + _SCORED_ROWS]
        right = ops.take_along_axis(logits, wanted[:, None], axis=1)[:, 0]
        total += float(np.asarray(ops.sum(ops.logsumexp(logits, axis=1) - right)))
    return total


def _forward(read: Any, config: Config) -> Any:
    """Read each window but for its last word, `[batch, length, units]`."""
    x = read[:, :-1]
    for index in range(1 if config.model.bidirectional else config.model.layers):
        x = classifier.lstm(config.model, f"lstm_{index}_forward")(x)
    return x


def _backward(read: Any, dim: int, config: Config) -> Any:
    """Read each window from its end up to its second word, `[batch, length, units]` in text order.

    In the classifier this direction reads (word, pair of the previous word and it), and the
    previous word is what it has to predict here. So it reads each pair one step earlier: beside a
    word that of it and the word after, both of which it knows.
    """
    words, pairs = read[:, 1:, :dim], read[:, 2:, dim:]
    x = ops.concatenate([words, ops.pad(pairs, ((0, 0), (0, 1), (0, 0)))], axis=-1)
    return ops.flip(classifier.lstm(config.model, "lstm_0_backward")(ops.flip(x, axis=1)), axis=1)


def _flat(x: Any, dim: int) -> Any:
    """Turn `[batch, length, dim]` into `[batch * length, dim]`."""
    return ops.reshape(x, (-1, dim))
