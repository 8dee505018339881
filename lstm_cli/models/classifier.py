"""The classifier in Keras: built from settings, and compiled."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from lstm_cli.config.embedded import region_embedding
from lstm_cli.config.pooled import region_layer
from lstm_cli.config.schema import Config, EmbeddingSettings, ModelSettings, TrainSettings
from lstm_cli.data.row_windows import row_windows
from lstm_cli.models.block_lstm import BlockLSTM, use_block_lstm
from lstm_cli.models.calibration import num_outputs
from lstm_cli.models.compiled import CompiledModel, ReverseSequence, build_metrics, use_xla
from lstm_cli.models.optimizer import array_name, build_slots, make_optimizer
from lstm_cli.models.peephole import peephole_lstm
from lstm_cli.models.region_layer import RegionEmbedding
from lstm_cli.models.regions import RegionFeatures
from lstm_cli.text.ngrams import BIGRAM_FACTOR
from lstm_cli.text.token_ids import PAD_ID, UNKNOWN_ID

# Added to padding before max pooling.
_VERY_LOW = -1e9


class WordDropout(layers.Layer):  # type: ignore[misc]
    """In training, replace random words by `[UNK]`; padding is not changed.

    Source: Iyyer et al. 2015, "Deep Unordered Composition", section 3, which removes the words.
    """

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__(name="word_dropout")
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, tokens: Any, training: bool = False) -> Any:
        """Return token ids with some replaced, `<int32>[batch, time]`."""
        if not training:
            return tokens
        draw = keras.random.uniform(ops.shape(tokens), seed=self.seed_generator)
        dropped = ops.logical_and(draw < self.rate, tokens != PAD_ID)
        return ops.where(dropped, ops.full_like(tokens, UNKNOWN_ID), tokens)


class AddLinearLogits(layers.Layer):  # type: ignore[misc]
    """Add the logits of the linear model to those of the LSTM, with a trained scale.

    In training, the linear logits of random texts are dropped, so that the LSTM also learns what
    the linear model already knows.

    Source: Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems". Srivastava et al.
        2014, "Dropout", here of a whole input, and without rescaling: the scale is trained and the
        logits are calibrated afterwards.
    """

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__(name="linear")
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, *shapes: Any) -> None:
        """Create the scale."""
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")

    def call(self, logits: Any, linear_logits: Any, training: bool = False) -> Any:
        """Return the sum of both logits, `<float32>[batch, outputs]` like each of them."""
        if training and self.rate:
            draw = keras.random.uniform((ops.shape(logits)[0], 1), seed=self.seed_generator)
            dropped = draw < self.rate
            linear_logits = ops.where(dropped, ops.zeros_like(linear_logits), linear_logits)
        return logits + self.scale * linear_logits


class Padding:
    """The padding of a batch of texts.

    Attributes:
        valid: Whether a position is a token, `<bool>[batch, time]`.
        lengths: Tokens in each text, `<int32>[batch, 1]`.
        weight: 1 for a token and 0 for padding, `<float32>[batch, time, 1]`.
        penalty: 0 for a token and a low number for padding, of the same shape.
    """

    def __init__(self, tokens: Any) -> None:
        self.valid = tokens != PAD_ID
        self.lengths = ops.sum(ops.cast(self.valid, "int32"), axis=1, keepdims=True)
        # To select by a mask takes TensorFlow twice as long as a sum or a product.
        self.weight = ops.cast(self.valid, "float32")[:, :, None]
        self.penalty = (1.0 - self.weight) * _VERY_LOW


def build_classifier(
    config: Config, num_classes: int, vocab_size: int | None, shape: tuple[int, int] | None
) -> Any:
    """Build a classifier, not yet compiled.

    A text model maps token ids `<int32>[batch, time]`, right-padded with 0, to probabilities;
    an image model maps `<uint8>[batch, rows, columns]`. The output is `<float32>[batch, 1]`
    (the probability of class 1) for two classes, else `<float32>[batch, num_classes]`. In a
    multi-label run each class has its own sigmoid, whatever their number.

    With a linear model in the settings there is a second input, `linear_logits`, which
    `linear.linear_logits` computes, `<float32>[batch, outputs]`. See `init_from_linear_model` for
    the initial weights.

    No layer uses a Keras mask: the backward direction reads each text reversed within its own
    length, and pooling ignores padding. The function is the same, it needs no select operation in
    each step, and cuDNN supports it.

    Args:
        config: Settings of the experiment.
        num_classes: At least 2; in a multi-label run at least 1.
        vocab_size: Vocabulary size of the tokenizer; None for images.
        shape: Rows and columns of an image; None for texts.
    """
    if config.embedding is not None and vocab_size is not None:
        inputs = keras.Input((None,), dtype="int32", name="tokens")
        padding = Padding(inputs)
        x = embed_tokens(inputs, config.embedding, vocab_size, config.seed)
    else:
        inputs = keras.Input(shape, dtype="uint8", name="images")
        padding = None
        x = read_windows(inputs, config)
    pooled = _pooled_vector(x, padding, config.model, use_block_lstm(config))
    pooled = layers.Dropout(config.model.dropout, seed=config.seed + 2)(pooled)
    outputs = num_outputs(num_classes, config.is_multi_label)
    logits = layers.Dense(outputs, name="head")(pooled)
    if config.linear is not None:
        inputs = [inputs, keras.Input((outputs,), dtype="float32", name="linear_logits")]
        logits = AddLinearLogits(config.linear.dropout, config.seed + 3)(logits, inputs[1])
    activation = "sigmoid" if outputs == 1 or config.is_multi_label else "softmax"
    probabilities = layers.Activation(activation, name="probabilities")(logits)
    return CompiledModel(inputs, probabilities, name=f"lstm_{config.kind}")


def read_windows(images: Any, config: Config) -> Any:
    """Return the pixels that each step reads, 0 to 1: `<float32>[batch, steps, dim]`."""
    assert config.image is not None
    if config.image.window > 1:
        windows = row_windows(images.shape[1], config.image)
        dim = config.image.window * images.shape[2]
        images = ops.reshape(ops.take(images, windows, axis=1), (-1, len(windows), dim))
    return ops.cast(images, "float32") / 255.0


def init_from_linear_model(model: Any) -> None:
    """Set the initial weights of a new model so that it predicts what the linear model predicts."""
    head = model.get_layer("head")
    head.set_weights([np.zeros(part.shape, np.float32) for part in (head.kernel, head.bias)])
    model.get_layer("linear").set_weights([np.ones(1, np.float32)])


def compile_classifier(
    model: Any,
    settings: TrainSettings,
    num_classes: int,
    init_arrays: Collection[str] = (),
    multi_label: bool = False,
) -> None:
    """Compile a classifier: optimizer, loss and metric.

    Args:
        model: A model from `build_classifier`.
        settings: Training settings.
        num_classes: At least 2.
        init_arrays: As for `make_optimizer`.
        multi_label: Whether a text has any number of labels.
    """
    metric: Any = "accuracy"
    if multi_label:
        metric = keras.metrics.MeanMetricWrapper(_subset_accuracy, name="accuracy")
        loss = keras.losses.BinaryCrossentropy(label_smoothing=settings.label_smoothing)
    elif num_classes == 2:
        # Keras' own metric rounds the prediction and compares that with a soft label such as 0.9.
        metric = keras.metrics.MeanMetricWrapper(_binary_accuracy, name="accuracy")
        loss = keras.losses.BinaryCrossentropy(label_smoothing=settings.label_smoothing)
    else:
        # Label smoothing needs one-hot labels; `encode_labels` returns them.
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
    optimizer = make_optimizer(settings, init_arrays)
    model.compile(optimizer, loss=loss, metrics=[metric], jit_compile=use_xla())
    build_slots(model)
    build_metrics(model)


def _binary_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return whether both make class 1 the more likely class, `<float32>[batch]`."""
    return ops.mean(ops.cast(ops.equal(y_true > 0.5, y_pred > 0.5), "float32"), axis=-1)


def _subset_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return whether exactly the true labels have a probability above 0.5, `<float32>[batch]`."""
    return ops.cast(ops.all(ops.equal(y_true > 0.5, y_pred > 0.5), axis=-1), "float32")


def encode_labels(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float32]:
    """Return labels in the shape of the loss.

    They are `<float32>[batch, 1]` with two classes, else one-hot `[batch, classes]`. Label sets
    `<int32>[batch, labels]` keep their shape.
    """
    if labels.ndim == 2:
        return labels.astype(np.float32)
    if num_classes == 2:
        return labels.astype(np.float32)[:, None]
    one_hot = np.zeros((len(labels), num_classes), np.float32)
    one_hot[np.arange(len(labels)), labels] = 1
    return one_hot


def get_weights(model: Any) -> dict[str, NDArray[np.float32]]:
    """Return the arrays by layer and name, `lstm_0_forward/kernel`, also those not trained."""
    return {
        array_name(variable): np.asarray(variable.numpy(), np.float32)
        for variable in _arrays(model)
    }


def set_weights(model: Any, weights: dict[str, NDArray[np.float32]]) -> None:
    """Assign arrays by name, as `get_weights` returns them.

    Raises:
        KeyError: An array is missing.
        ValueError: An array has another shape.
    """
    for variable in _arrays(model):
        variable.assign(weights[array_name(variable)])


def _arrays(model: Any) -> list[Any]:
    """Return the variables of a model without random states; those not trained come last."""
    return [*model.trainable_weights, *model.non_trainable_weights]


def set_averaged_weights(model: Any) -> None:
    """Assign the moving averages of `train.ema_momentum` to the trained arrays.

    On JAX, Keras would let both share one buffer. The next step donates the buffers of the model
    to its results, and the averages would be lost with them; so the arrays are copied.
    """
    model.optimizer.finalize_variable_values(model.trainable_variables)
    for variable in model.trainable_variables:
        variable.assign(ops.copy(variable))


def embed_tokens(tokens: Any, settings: EmbeddingSettings, vocab_size: int, seed: int) -> Any:
    """Look up the embeddings of words, of hashed bigrams (previous word, word), and of regions.

    Args:
        tokens: `<int32>[batch, time]`.
        settings: Dimensions and dropout.
        vocab_size: Vocabulary size of the tokenizer.
        seed: Seed of the dropout.

    Returns:
        `<float32>[batch, time, input_dim(settings)]`, in the order of `config.embedded`.
    """
    if settings.word_dropout:
        tokens = WordDropout(settings.word_dropout, seed)(tokens)
    words = layers.Embedding(
        vocab_size, settings.dim, name="embedding", trainable=settings.trainable
    )
    vectors = [words(tokens)]
    if settings.bigram_buckets:
        previous = ops.pad(tokens[:, :-1], ((0, 0), (1, 0)))
        bigrams = ops.mod(previous * BIGRAM_FACTOR + tokens, settings.bigram_buckets)
        table = layers.Embedding(settings.bigram_buckets, settings.bigram_dim, name="bigrams")
        vectors.append(table(bigrams))
    for width in settings.region_widths:
        layer = RegionEmbedding(vocab_size, settings.region_dim, width, region_embedding(width))
        vectors.append(layer(tokens))
    x = ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]
    return layers.SpatialDropout1D(settings.dropout, seed=seed + 1)(x) if settings.dropout else x


def lstm_layer(settings: ModelSettings, name: str, is_block: bool = False) -> Any:
    """Return one LSTM layer in one direction that returns the hidden states of all steps.

    Args:
        settings: Units and kind of cell.
        name: Name of the layer.
        is_block: Whether one operation computes all steps; the result is the same.
    """
    if settings.cell == "peephole":
        return peephole_lstm(settings.units, name)
    if is_block:
        return BlockLSTM(settings.units, name)
    return layers.LSTM(settings.units, return_sequences=True, name=name)


def _pooled_vector(x: Any, padding: Padding | None, settings: ModelSettings, is_block: bool) -> Any:
    """Return the input of the head, `[batch, width]`: the parts that `pooled_parts` names."""
    parts = [_recurrent(x, padding, settings, is_block)]
    valid = None if padding is None else padding.valid
    for width in settings.regions:
        layer = RegionFeatures(width, settings.region_units, region_layer(width))
        parts.append(layer(x, valid))
    return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def _recurrent(x: Any, padding: Padding | None, settings: ModelSettings, is_block: bool) -> Any:
    """Stack the LSTM layers and pool the last one's outputs, `[batch, units or 2 * units]`."""
    for index in range(settings.layers):
        name = f"lstm_{index}"
        forward = lstm_layer(settings, f"{name}_forward", is_block)(x)
        if not settings.bidirectional:
            x = forward
            continue
        backward = lstm_layer(settings, f"{name}_backward", is_block)(_reverse(x, padding))
        if index + 1 < settings.layers:
            backward = _reverse(backward, padding)
        # The last layer's backward outputs stay reversed: max and mean do not depend on the order,
        # and "last" takes the final state of both directions at the same position.
        x = ops.concatenate([forward, backward], axis=-1)
    return pool(x, padding, settings.pooling)


def _reverse(x: Any, padding: Padding | None) -> Any:
    """Reverse each row of `[batch, time, dim]` within its length."""
    return ops.flip(x, axis=1) if padding is None else ReverseSequence()(x, padding.lengths)


def pool(x: Any, padding: Padding | None, pooling: str) -> Any:
    """Pool `[batch, time, dim]` over time, without padding."""
    if pooling == "last":
        if padding is None:
            return x[:, -1]
        return ops.take_along_axis(x, (padding.lengths - 1)[:, :, None], axis=1)[:, 0]
    pooled = []
    if pooling in ("max", "max_mean"):
        pooled.append(ops.max(x if padding is None else x + padding.penalty, axis=1))
    if pooling in ("mean", "max_mean"):
        if padding is None:
            pooled.append(ops.mean(x, axis=1))
        else:
            total = ops.sum(x * padding.weight, axis=1)
            pooled.append(total / ops.cast(padding.lengths, "float32"))
    return ops.concatenate(pooled, axis=-1) if len(pooled) > 1 else pooled[0]
