"""A trained classifier of stock Keras layers, which Keras loads without this package.

It computes what `classifier` and the linear model compute together. The layers that training needs
for speed or dropout are replaced by stock ones: a convolution with ReLU and a maximum for region
features, a depthwise convolution of ones for region embeddings, embeddings for the linear model.
Only peepholes have no stock layer: the file `peephole.py` beside this one is their code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from lstm_cli.config.embedded import region_embedding
from lstm_cli.config.pooled import region_layer
from lstm_cli.config.schema import Config, EmbeddingSettings, LinearSettings, ModelSettings
from lstm_cli.models.calibration import num_outputs
from lstm_cli.models.classifier import Padding, lstm_layer, pool, read_windows
from lstm_cli.models.lstm_equations import Array
from lstm_cli.text.ngrams import BIGRAM_FACTOR, TRIGRAM_MODULUS
from lstm_cli.text.token_ids import READ_AS, UNKNOWN_ID

# Makes an LSTM layer that returns the hidden states of all steps, from settings and a name.
MakeLSTM = Callable[[ModelSettings, str], Any]
_LINEAR_TABLES = ("words", "word_ngrams", "char_ngrams")
_KERNEL_PARTS = ("kernel", "recurrent_kernel", "bias", "peepholes")


@dataclass(frozen=True)
class _Size:
    """Sizes that the settings do not say.

    Attributes:
        outputs: Number of logits.
        num_classes: Number of probabilities.
        vocab_size: Of the tokenizer; 0 for images.
        shape: Rows and columns of an image; None for texts.
    """

    outputs: int
    num_classes: int
    vocab_size: int
    shape: tuple[int, int] | None


def build_stock_classifier(
    config: Config,
    weights: Mapping[str, Array],
    num_classes: int,
    shape: tuple[int, int] | None,
    make_lstm: MakeLSTM = lstm_layer,
    batch_size: int | None = None,
) -> Any:
    """Build a trained classifier, not compiled.

    Inputs of a text model, by name: `tokens <int32>[batch, time]`, right-padded with 0, and with
    character n-grams `char_ngrams <int32>[batch, n-grams]`. They have the ids of the ONNX graph:
    see `runs.onnx_graph.build`. Input of an image model: `images <uint8>[batch, rows, columns]`.
    The output is `<float32>[batch, classes]`, with two columns for two classes.

    Args:
        config: Settings of the run.
        weights: Trained arrays, with the names of `classifier.get_weights`.
        num_classes: Of the run.
        shape: Rows and columns of an image; None for texts.
        make_lstm: Makes the LSTM layers.
        batch_size: 1 for a model that reads one input at a time, without padding; None for any.
    """
    vocab_size = len(weights["embedding/embeddings"]) if shape is None else 0
    outputs = num_outputs(num_classes, config.is_multi_label)
    size = _Size(outputs, num_classes, vocab_size, shape)
    inputs = _inputs(config, size, batch_size)
    padding = None if shape or batch_size == 1 else Padding(inputs["tokens"])
    x = read_windows(inputs["images"], config) if shape else _embed(inputs["tokens"], config, size)
    pooled = _pooled_vector(x, padding, config.model, make_lstm)
    logits = layers.Dense(outputs, name="head")(pooled)
    if config.linear is not None:
        linear_logits = _linear_logits(inputs, padding, config.linear, config, size)
        logits = layers.Add(name="combined_logits")([logits, linear_logits])
    model = keras.Model(inputs, _probabilities(logits, config, size), name=f"lstm_{config.kind}")
    for name, arrays in _layer_arrays(config, weights).items():
        layer = model.get_layer(name)
        layer.set_weights(arrays[: len(layer.weights)])
    return model


def _inputs(config: Config, size: _Size, batch_size: int | None) -> dict[str, Any]:
    if size.shape is not None:
        images = keras.Input(size.shape, batch_size=batch_size, dtype="uint8", name="images")
        return {"images": images}
    names = ["tokens", "char_ngrams"] if config.char_buckets else ["tokens"]
    return {name: keras.Input((None,), batch_size, dtype="int32", name=name) for name in names}


def _embed(tokens: Any, config: Config, size: _Size) -> Any:
    """Look up words, bigrams and regions, `<float32>[batch, time, input_dim(settings)]`."""
    settings, text = config.embedding, config.text
    assert settings is not None and text is not None
    if text.min_similarity:
        tokens = ops.mod(tokens, READ_AS)
    vectors = [layers.Embedding(size.vocab_size, settings.dim, name="embedding")(tokens)]
    if settings.bigram_buckets:
        bigrams = ops.mod(_hash_bigrams(tokens), settings.bigram_buckets)
        table = layers.Embedding(settings.bigram_buckets, settings.bigram_dim, name="bigrams")
        vectors.append(table(bigrams))
    vectors += [_embed_regions(tokens, width, settings, size) for width in settings.region_widths]
    return layers.Concatenate(name="embedded")(vectors) if len(vectors) > 1 else vectors[0]


def _embed_regions(tokens: Any, width: int, settings: EmbeddingSettings, size: _Size) -> Any:
    """Sum the vectors of the words of each region, add a bias, and apply ReLU."""
    name = region_embedding(width)
    vectors = layers.Embedding(size.vocab_size, settings.region_dim, name=name)(tokens)
    padded = layers.ZeroPadding1D((width // 2, (width - 1) // 2), name=f"{name}_padded")(vectors)
    return layers.DepthwiseConv1D(width, activation="relu", name=f"{name}_sums")(padded)


def _hash_bigrams(tokens: Any) -> Any:
    """Hash each token together with the one before it, `<int32>[batch, time]`."""
    return _previous(tokens) * BIGRAM_FACTOR + tokens


def _previous(tokens: Any) -> Any:
    """Return the value one step before, `<int32>[batch, time]`; 0 at the first step."""
    return ops.pad(tokens, ((0, 0), (1, 0)))[:, :-1]


def _pooled_vector(
    x: Any, padding: Padding | None, settings: ModelSettings, make_lstm: MakeLSTM
) -> Any:
    """Return the input of the head, `[batch, width]`: the parts that `pooled_parts` names."""
    parts = [_recurrent(x, padding, settings, make_lstm)]
    for width in settings.regions:
        name = region_layer(width)
        convolution = layers.Conv1D(
            settings.region_units, width, padding="causal", activation="relu", name=name
        )
        features = convolution(x)
        if padding is not None:
            # After ReLU, the maximum never is at a zero that padding has, unless all are zero.
            features = layers.Multiply(name=f"{name}_valid")([features, padding.weight])
        parts.append(layers.GlobalMaxPooling1D(name=f"{name}_highest")(features))
    return layers.Concatenate(name="pooled")(parts) if len(parts) > 1 else parts[0]


def _recurrent(
    x: Any, padding: Padding | None, settings: ModelSettings, make_lstm: MakeLSTM
) -> Any:
    """Stack the LSTM layers and pool the last one's outputs, as `classifier` does."""
    for index in range(settings.layers):
        name = f"lstm_{index}"
        forward = make_lstm(settings, f"{name}_forward")(x)
        if not settings.bidirectional:
            x = forward
            continue
        backward = make_lstm(settings, f"{name}_backward")(_reverse(x, padding))
        if index + 1 < settings.layers:
            backward = _reverse(backward, padding)
        x = layers.Concatenate(name=name)([forward, backward])
    return pool(x, padding, settings.pooling)


def _reverse(x: Any, padding: Padding | None) -> Any:
    """Reverse each row of `[batch, time, dim]` within its length."""
    if padding is None:
        return ops.flip(x, axis=1)
    steps = ops.cumsum(ops.ones_like(padding.weight, dtype="int32"), axis=1) - 1
    lengths = padding.lengths[:, :, None]
    order = ops.where(steps < lengths, lengths - 1 - steps, steps)
    return ops.take_along_axis(x, order, axis=1)


def _linear_logits(
    inputs: dict[str, Any],
    padding: Padding | None,
    settings: LinearSettings,
    config: Config,
    size: _Size,
) -> Any:
    """Sum the weights of words and n-grams over the root of the length, `[batch, outputs]`.

    Scale and biases of the linear model are in the tables and in the bias of the head.
    """
    tokens = inputs["tokens"]
    if config.text is not None and config.text.min_similarity:
        tokens = ops.where(tokens < READ_AS, tokens, UNKNOWN_ID)
    hashes = [_hash_bigrams(tokens)]
    if settings.word_ngrams == 3:
        hashes.append(_previous(ops.mod(hashes[0], TRIGRAM_MODULUS)) * BIGRAM_FACTOR + tokens)
    ngrams = layers.Embedding(settings.buckets, size.outputs, name="linear_word_ngrams")
    steps = [layers.Embedding(size.vocab_size, size.outputs, name="linear_words")(tokens)]
    steps += [ngrams(ops.mod(value, settings.buckets)) for value in hashes]
    by_step = layers.Add(name="linear_steps")(steps)
    if padding is not None:
        by_step = layers.Multiply(name="linear_valid")([by_step, padding.weight])
    total = ops.sum(by_step, axis=1)
    if "char_ngrams" in inputs:
        table = layers.Embedding(config.char_buckets, size.outputs, name="linear_char_ngrams")
        total = total + ops.sum(table(inputs["char_ngrams"]), axis=1)
    lengths = ops.sum(ops.ones_like(tokens), 1, keepdims=True)
    lengths = lengths if padding is None else padding.lengths
    return total / ops.sqrt(ops.cast(lengths, "float32"))


def _probabilities(logits: Any, config: Config, size: _Size) -> Any:
    """Return the probability of each class or label, `<float32>[batch, classes]`."""
    if config.is_multi_label:
        return layers.Activation("sigmoid", name="probabilities")(logits)
    if size.num_classes > 2:
        return layers.Activation("softmax", name="probabilities")(logits)
    second = layers.Activation("sigmoid", name="second_probability")(logits)
    return layers.Concatenate(name="probabilities")([1.0 - second, second])


def _layer_arrays(config: Config, weights: Mapping[str, Array]) -> dict[str, list[Array]]:
    """Return the arrays of each layer by its name, in the order of the layer."""
    found: dict[str, list[Array]] = {}
    for name, array in weights.items():
        layer, _, part = name.partition("/")
        if layer == "linear" and part in _LINEAR_TABLES:
            found[f"linear_{part}"] = [array * weights["linear/scale"]]
        elif part == "embeddings":
            found[layer] = [array]
        elif part == "kernel":
            parts = [f"{layer}/{part}" for part in _KERNEL_PARTS]
            found[layer] = [weights[part] for part in parts if part in weights]
    for width in config.embedding.region_widths if config.embedding else ():
        name = region_embedding(width)
        dim, bias = weights[f"{name}/embeddings"].shape[1], weights[f"{name}/bias"]
        found[f"{name}_sums"] = [np.ones((width, dim, 1), np.float32), bias]
    if config.linear is not None:
        found["head"][1] = found["head"][1] + weights["linear/scale"] * weights["linear/biases"]
    return found
