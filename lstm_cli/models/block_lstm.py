"""An LSTM layer in one TensorFlow operation for all steps, for small networks on a CPU."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from lstm_cli.config.embedded import input_dim
from lstm_cli.config.schema import Config

# Multiply-adds in one step of one direction. Up to this size the operation takes 0.4 to 0.75 of
# the time of Keras' loop; from 2 million on it takes longer than the loop, as its matrix products
# are then divided between threads in each step: `python -m benchmarks.kernels`.
_MAX_PRODUCTS = 1_500_000


def use_block_lstm(config: Config) -> bool:
    """Return whether the classifier of these settings trains with `BlockLSTM`.

    It depends on the settings and on the backend and device, not on the data.
    """
    if keras.backend.backend() != "tensorflow" or config.embedding is None:
        return False
    if config.model.cell != "lstm" or config.language is not None:
        return False
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        return False
    units = config.model.units
    width = input_dim(config.embedding)
    if config.model.layers > 1:
        width = max(width, 2 * units)
    products = config.train.batch_size * (width + units) * 4 * units
    return bool(products <= _MAX_PRODUCTS)


class BlockLSTM(layers.LSTM):  # type: ignore[misc]
    """Keras' LSTM with the same weights and equations, computed by one operation.

    Keras runs a graph of some twenty operations in each step. With small matrices, starting these
    takes longer than computing them.

    It returns the hidden states of all steps, and takes neither masks nor initial states.

    Source: `tf.raw_ops.BlockLSTM`; the equations are those of Zaremba et al. 2014, "Recurrent
        Neural Network Regularization". Not `BlockLSTMV2`: its gradient expects the gates in another
        order than its result (TensorFlow 2.21).
    """

    def __init__(self, units: int, name: str) -> None:
        super().__init__(units, return_sequences=True, name=name)

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        """Return the hidden states, `<float32>[batch, time, units]`.

        Args:
            sequences: `<float32>[batch, time, dim]`.
            initial_state: Must be None.
            mask: Must be None.
            training: Has no effect: the layer has no dropout.
        """
        import tensorflow as tf

        if initial_state is not None or mask is not None:
            raise ValueError("BlockLSTM takes neither an initial state nor a mask.")
        cell = self.cell
        steps = tf.transpose(sequences, [1, 0, 2])
        weights = tf.concat(
            [tf.convert_to_tensor(w) for w in (cell.kernel, cell.recurrent_kernel)], 0
        )
        state = tf.zeros([tf.shape(steps)[1], self.units])
        no_peephole = tf.zeros([self.units])
        result = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.shape(steps, out_type=tf.int64)[0],
            x=steps,
            cs_prev=state,
            h_prev=state,
            w=_in_block_order(weights),
            wci=no_peephole,
            wcf=no_peephole,
            wco=no_peephole,
            b=_in_block_order(tf.convert_to_tensor(cell.bias)),
            forget_bias=0.0,
            cell_clip=-1.0,
        )
        return tf.transpose(result.h, [1, 0, 2])


def _in_block_order(weights: Any) -> Any:
    """Reorder the gates on the last axis: Keras has i, f, g, o and the operation i, g, f, o."""
    i, f, g, o = ops.split(weights, 4, axis=-1)
    return ops.concatenate([i, g, f, o], axis=-1)
