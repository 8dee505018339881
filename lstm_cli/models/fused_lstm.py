"""An LSTM layer for one input, which the converter of LiteRT turns into a single operation."""

from __future__ import annotations

import functools
import uuid
from typing import Any

import numpy as np
from keras import layers

from lstm_cli.models.lstm_equations import Weights

# The sum of a gate at the first step: its sigmoid is exactly 0 in 32 bits, with any state before.
_CLOSED = -1e9


class FusedLSTM(layers.Layer):  # type: ignore[misc]
    """Keras' LSTM for a batch of one, with trained weights that are constants of the graph.

    The operation of LiteRT keeps its states from one call to the next, and begins the next text
    with them, unless the program that calls it resets them. So this layer puts a step before the
    first: an input of zeros, and a 1 in a column of its own, which closes all gates. Then c = 0 c +
    0 g and h = 0, whatever the states were. Elsewhere that column is 0.

    Args:
        name: Name of the layer.
        weights: Of Keras' layer.

    Source: `ConvertKerasLSTMLayer` in tensorflow/compiler/mlir/lite/utils/lstm_utils.cc for what
        the converter expects: a function with the attribute `api_implements`, its arguments and
        its results. A converter that does not know it would write the loop.
    """

    def __init__(self, name: str, weights: Weights) -> None:
        super().__init__(name=name)
        self.units = weights.units
        closed = np.full((1, 4 * self.units), _CLOSED, np.float32)
        closed[:, 2 * self.units : 3 * self.units] = 0
        kernel = np.concatenate([weights.kernel, closed])
        self._constants = (kernel, weights.recurrent_kernel, weights.bias)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `[batch, time, units]`."""
        return (*input_shape[:-1], self.units)

    def call(self, x: Any) -> Any:
        """Return the hidden states, `<float32>[1, time, units]`, from `<float32>[1, time, dim]`."""
        import tensorflow as tf

        dim = x.shape[-1]
        first = np.eye(1, dim + 1, dim, dtype=np.float32)[None]
        steps = tf.concat([first, tf.pad(x, [[0, 0], [0, 0], [0, 1]])], axis=1)
        zeros = tf.zeros([1, self.units])
        constants = [tf.constant(array) for array in self._constants]
        results = _fused_lstm(dim + 1, self.units)(steps, zeros, zeros, *constants)
        return results[1][:, 1:]


@functools.cache
def _fused_lstm(dim: int, units: int) -> Any:
    """Return the function that the converter replaces, for these sizes."""
    import tensorflow as tf

    shapes = ([1, None, dim], [1, units], [1, units], [dim, 4 * units], [units, 4 * units])
    return tf.function(
        _lstm_loop,
        input_signature=[tf.TensorSpec(shape) for shape in (*shapes, [4 * units])],
        autograph=False,
        experimental_attributes={
            "api_implements": f"lstm_{uuid.uuid4()}",
            "api_preferred_device": "CPU",
            "time_major": False,
            "go_backwards": False,
        },
    )


def _lstm_loop(x: Any, h: Any, c: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
    """Compute what the operation computes; the results are in the order of the converter."""
    import tensorflow as tf

    num_steps = tf.shape(x)[1]

    def step(t: Any, h: Any, c: Any, outputs: Any) -> Any:
        sums = tf.matmul(x[:, t], kernel) + tf.matmul(h, recurrent_kernel) + bias
        i, f, g, o = tf.split(sums, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        return t + 1, h, c, outputs.write(t, h)

    outputs = tf.TensorArray(tf.float32, num_steps, element_shape=h.shape)
    _, h, c, outputs = tf.while_loop(lambda t, *_: t < num_steps, step, (0, h, c, outputs))
    return h, tf.transpose(outputs.stack(), [1, 0, 2]), h, c, tf.constant(1.0)
