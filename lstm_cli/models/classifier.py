"""Keras builders: from validated settings to a compiled model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from lstm_cli.config.schema import Config, EmbeddingSettings, ModelSettings, TrainSettings
from lstm_cli.models import peephole
from lstm_cli.models.compiled import CompiledModel, ReverseSequence
from lstm_cli.models.linear import LinearModel
from lstm_cli.text.tokenizer import BIGRAM_FACTOR, PAD_ID, UNKNOWN_ID

_LOWEST = -1e9


class WordDropout(layers.Layer):  # type: ignore[misc]
    """Replace words by `[UNK]` at random while training; padding stays.

    Source: Iyyer et al. 2015, "Deep Unordered Composition", section 3 (there: left out).
    """

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__(name="word_dropout")
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, tokens: Any, training: bool = False) -> Any:
        """Map `<int32>[batch, time]` to the same shape."""
        if not training:
            return tokens
        draw = keras.random.uniform(ops.shape(tokens), seed=self.seed_generator)
        dropped = ops.logical_and(draw < self.rate, tokens != PAD_ID)
        return ops.where(dropped, ops.full_like(tokens, UNKNOWN_ID), tokens)


class AddLinearLogits(layers.Layer):  # type: ignore[misc]
    """Add the evidence of words and pairs to logits, with a weight that is trained.

    In training some texts are judged without it: the network must learn to do so, or it would
    leave to the evidence what both can tell.

    Source: Srivastava et al. 2014, "Dropout", of a whole input; no scaling, as the weight is
        trained and the logits are calibrated afterwards.
    """

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__(name="linear")
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, *shapes: Any) -> None:
        """Make the weight."""
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")

    def call(self, logits: Any, linear: Any, training: bool = False) -> Any:
        """Map two `<float32>[batch, outputs]` to one."""
        if training and self.rate:
            draw = keras.random.uniform((ops.shape(logits)[0], 1), seed=self.seed_generator)
            linear = ops.where(draw < self.rate, ops.zeros_like(linear), linear)
        return logits + self.scale * linear


class _Extent:
    """Where each text of a padded batch ends.

    Attributes:
        valid: Which positions hold a token, `<bool>[batch, time]`.
        lengths: How many do, `<int32>[batch, 1]`.
    """

    def __init__(self, tokens: Any) -> None:
        self.valid = tokens != PAD_ID
        self.lengths = ops.sum(ops.cast(self.valid, "int32"), axis=1, keepdims=True)


def build(
    config: Config, num_classes: int, vocab_size: int | None, shape: tuple[int, int] | None
) -> Any:
    """Build an uncompiled model.

    Where the config has evidence, there is a second input: that of each text, as `linear.of`
    computes it, `<float32>[batch, outputs]`. `init_from_linear_model` tells where to start from.

    A text model maps token ids `<int32>[batch, time]`, right-padded with 0, to probabilities;
    an image model maps `<uint8>[batch, rows, columns]`. The output is `<float32>[batch, 1]`
    (the probability of class 1) for two classes, else `<float32>[batch, num_classes]`.

    No layer is masked: the backward direction reads each text reversed within its own length,
    and pooling ignores padding. That is the same function, without a select in each step, and
    cuDNN takes it as it is.

    Args:
        config: What to build.
        num_classes: At least 2.
        vocab_size: Of the tokenizer; None for images.
        shape: Rows and columns of an image; None for texts.
    """
    if config.embedding is not None and vocab_size is not None:
        inputs = keras.Input((None,), dtype="int32", name="tokens")
        extent = _Extent(inputs)
        x = embed(inputs, config.embedding, vocab_size, config.seed)
    else:
        inputs = keras.Input(shape, dtype="uint8", name="images")
        extent = None
        x = ops.cast(inputs, "float32") / 255.0
    pooled = _recurrent(x, extent, config.model, config.seed)
    pooled = layers.Dropout(config.model.dropout, seed=config.seed + 2)(pooled)
    num_outputs = 1 if num_classes == 2 else num_classes
    logits = layers.Dense(num_outputs, name="head")(pooled)
    if config.linear is not None:
        inputs = [inputs, keras.Input((num_outputs,), dtype="float32", name="linear_logits")]
        logits = AddLinearLogits(config.linear.dropout, config.seed + 3)(logits, inputs[1])
    kind = "sigmoid" if num_classes == 2 else "softmax"
    probabilities = layers.Activation(kind, name="probabilities")(logits)
    return CompiledModel(inputs, probabilities, name=f"lstm_{config.kind}")


def init_from_linear_model(model: Any, found: LinearModel) -> None:
    """Let a new model begin with what the evidence alone says: the LSTM has yet to learn."""
    head = model.get_layer("head")
    head.set_weights([np.zeros(head.kernel.shape, np.float32), found.biases])
    model.get_layer("linear").set_weights([np.array([found.scale], np.float32)])


class DiscriminativeAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam, or AdamW, that changes some arrays more slowly than others, or not at all.

    Source: Howard & Ruder 2018, "Universal Language Model Fine-tuning", sections 3.2 and 3.3:
        discriminative rates and gradual unfreezing, here of two groups.

    Args:
        init_arrays: The arrays, as `get_weights` names them.
        decay: Decoupled weight decay.
        options: Of `keras.optimizers.Adam`.

    Attributes:
        share: Of the learning rate that these arrays learn with, `<float32>[]`.
    """

    def __init__(self, init_arrays: Collection[str], decay: float, **options: Any) -> None:
        super().__init__(name="layered_adam", **options)
        self.init_arrays = frozenset(init_arrays)
        self.decay = decay
        # A variable of the optimizer: on JAX nothing else may change between two steps.
        self.share = self.add_variable((), initializer="ones", name="share")

    def build(self, variables: Any) -> None:
        """Make the slots."""
        super().build(variables)
        self._is_init_array = [_name(variable) in self.init_arrays for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one array."""
        if self._is_init_array[self._get_variable_index(variable)]:
            learning_rate = learning_rate * ops.cast(self.share, "float32")
        if self.decay:
            self.assign_sub(variable, ops.multiply(variable, learning_rate * self.decay))
        super().update_step(gradient, variable, learning_rate)


def compile_model(
    model: Any, settings: TrainSettings, num_classes: int, init_arrays: Collection[str] = ()
) -> None:
    """Give a model its optimizer and its loss.

    Args:
        model: As `build` returns it.
        settings: Of training.
        num_classes: At least 2.
        init_arrays: As for `optimizer`.
    """
    metric: Any = "accuracy"
    if num_classes == 2:
        # Keras' own compares a target of 0.9 with a probability that is rounded to 1.
        metric = keras.metrics.MeanMetricWrapper(_binary_accuracy, name="accuracy")
        loss = keras.losses.BinaryCrossentropy(label_smoothing=settings.label_smoothing)
    else:
        # Smoothing needs labels as one-hot rows; `targets` makes them.
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
    model.compile(
        optimizer(settings, init_arrays), loss=loss, metrics=[metric], jit_compile=use_xla()
    )
    build_optimizer(model)


def build_optimizer(model: Any) -> None:
    """Make the optimizer's slots now: a step that makes them is compiled twice."""
    model.optimizer.build(model.trainable_variables)


def _binary_accuracy(wanted: Any, found: Any) -> Any:
    """Tell for each row whether both make class 1 the more likely one, `<float32>[batch]`."""
    return ops.mean(ops.cast(ops.equal(wanted > 0.5, found > 0.5), "float32"), axis=-1)


def use_xla() -> bool:
    """Tell whether a step is compiled: JAX runs each operation by itself otherwise.

    TensorFlow makes a graph of a step in any case, and its own kernels run that as fast.
    """
    return bool(keras.backend.backend() == "jax")


def optimizer(settings: TrainSettings, init_arrays: Collection[str] = ()) -> Any:
    """Make the optimizer: AdamW, or Adam without decay.

    Args:
        settings: Of training.
        init_arrays: Arrays that `train.init_lr_factor` and `train.frozen_steps` are for.
    """
    options: dict[str, Any] = {"learning_rate": settings.learning_rate}
    if settings.clip_norm:
        options["global_clipnorm"] = settings.clip_norm
    if settings.ema_momentum:
        options |= {"use_ema": True, "ema_momentum": settings.ema_momentum}
    if init_arrays and (settings.init_lr_factor < 1 or settings.frozen_steps):
        return DiscriminativeAdam(init_arrays, settings.weight_decay, **options)
    if settings.weight_decay:
        return keras.optimizers.AdamW(weight_decay=settings.weight_decay, **options)
    return keras.optimizers.Adam(**options)


def targets(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float32]:
    """Return labels in the shape the loss wants: `[batch, 1]`, or one-hot `[batch, classes]`."""
    if num_classes == 2:
        return labels.astype(np.float32)[:, None]
    return np.eye(num_classes, dtype=np.float32)[labels]


def get_weights(model: Any) -> dict[str, NDArray[np.float32]]:
    """Return the trained arrays by layer and name: `lstm_0_forward/kernel`."""
    return {
        _name(variable): np.asarray(variable.numpy(), np.float32)
        for variable in model.trainable_variables
    }


def set_weights(model: Any, weights: dict[str, NDArray[np.float32]]) -> None:
    """Assign arrays as `get_weights` names them.

    Raises:
        KeyError: An array is missing.
        ValueError: A shape differs.
    """
    for variable in model.trainable_variables:
        variable.assign(weights[_name(variable)])


def set_averaged_weights(model: Any) -> None:
    """Assign the moving averages of `train.ema_momentum` to the trained arrays.

    On JAX, Keras would let both share one buffer. The next step, of training or prediction, is
    given the buffers of the model for its results, and the average would be lost with them.
    """
    model.optimizer.finalize_variable_values(model.trainable_variables)
    for variable in model.trainable_variables:
        variable.assign(ops.copy(variable))


def _name(variable: Any) -> str:
    return str(variable.path).replace("/lstm_cell/", "/")


def embed(tokens: Any, settings: EmbeddingSettings, vocab_size: int, seed: int) -> Any:
    """Look words up, and hashed (previous word, word) pairs beside them.

    Args:
        tokens: `<int32>[batch, time]`.
        settings: Widths and dropout.
        vocab_size: Of the tokenizer.
        seed: Of the dropout.

    Returns:
        `<float32>[batch, time, dim]`, or `dim + bigram_dim` wide with pairs, words first.
    """
    if settings.word_dropout:
        tokens = WordDropout(settings.word_dropout, seed)(tokens)
    x = layers.Embedding(vocab_size, settings.dim, name="embedding")(tokens)
    if settings.bigram_buckets:
        before = ops.pad(tokens[:, :-1], ((0, 0), (1, 0)))
        pairs = ops.mod(before * BIGRAM_FACTOR + tokens, settings.bigram_buckets)
        table = layers.Embedding(settings.bigram_buckets, settings.bigram_dim, name="bigrams")
        x = ops.concatenate([x, table(pairs)], axis=-1)
    return layers.SpatialDropout1D(settings.dropout, seed=seed + 1)(x) if settings.dropout else x


def lstm(settings: ModelSettings, name: str) -> Any:
    """Return one LSTM layer in one direction, which gives its output at every step."""
    if settings.cell == "peephole":
        return peephole.layer(settings.units, name)
    return layers.LSTM(settings.units, return_sequences=True, name=name)


def _recurrent(x: Any, extent: _Extent | None, settings: ModelSettings, seed: int) -> Any:
    """Stack the LSTM layers and pool the last one's outputs, `[batch, units or 2 * units]`."""
    for index in range(settings.layers):
        name = f"lstm_{index}"
        forward = lstm(settings, f"{name}_forward")(x)
        if not settings.bidirectional:
            x = forward
            continue
        backward = lstm(settings, f"{name}_backward")(_reverse(x, extent))
        if index + 1 < settings.layers:
            backward = _reverse(backward, extent)
        # Pooling needs no order, and here both directions end at the same position.
        x = ops.concatenate([forward, backward], axis=-1)
    return _pool(x, extent, settings.pooling)


def _reverse(x: Any, extent: _Extent | None) -> Any:
    """Turn each row of `[batch, time, dim]` round within its length."""
    return ops.flip(x, axis=1) if extent is None else ReverseSequence()(x, extent.lengths)


def _pool(x: Any, extent: _Extent | None, pooling: str) -> Any:
    """Reduce `[batch, time, dim]` over the steps of each text, in the order each was read."""
    if pooling == "last":
        if extent is None:
            return x[:, -1]
        return ops.take_along_axis(x, (extent.lengths - 1)[:, :, None], axis=1)[:, 0]
    pooled = []
    if pooling in ("max", "max_mean"):
        kept = x if extent is None else ops.where(extent.valid[:, :, None], x, _LOWEST)
        pooled.append(ops.max(kept, axis=1))
    if pooling in ("mean", "max_mean"):
        if extent is None:
            pooled.append(ops.mean(x, axis=1))
        else:
            total = ops.sum(ops.where(extent.valid[:, :, None], x, 0.0), axis=1)
            pooled.append(total / ops.cast(extent.lengths, "float32"))
    return ops.concatenate(pooled, axis=-1) if len(pooled) > 1 else pooled[0]
