"""An LSTM with peepholes for Keras.

With this module imported, `keras.saving.load_model` reads files of models with peepholes. It needs
Keras only, so that a copy can stand beside such a file.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="lstm")
class PeepholeCell(layers.Layer):  # type: ignore[misc]
    """One step of an LSTM with peepholes, for `keras.layers.RNN`.

    The weights are those of Keras' LSTM, with the same initial values and a forget bias of 1, and
    `peepholes`, `<float32>[3, units]` for the gates i, f and o. The peepholes are initially 0, so
    the layer starts as an LSTM without peepholes.

    Args:
        units: Number of hidden units.
        config: Arguments of every layer, when the cell is read from a file.

    Source: Gers & Schmidhuber 2000, "Recurrent Nets that Time and Count", section 2. There, no
        gradient flows through the peepholes; here, as in Graves 2013, it does.
    """

    def __init__(self, units: int, **config: Any) -> None:
        # The name of Keras' own cell, so that the weights of both kinds have the same names.
        super().__init__(**{"name": "lstm_cell", **config})
        self.units = units
        self.state_size = [units, units]
        self.output_size = units

    def get_config(self) -> dict[str, Any]:
        """Return what a file of the model says about this cell."""
        return {**super().get_config(), "units": self.units}

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of shape `[batch, dim]`."""
        gates = 4 * self.units
        self.kernel = self._weight("kernel", (input_shape[-1], gates), "glorot_uniform")
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, gates), "orthogonal")
        self.bias = self._weight("bias", (gates,), self._initial_bias)
        self.peepholes = self._weight("peepholes", (3, self.units), "zeros")

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Return h and the new states h and c, from an input `<float32>[batch, dim]`."""
        h, c = states
        sums = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        sum_i, sum_f, sum_g, sum_o = ops.split(sums, 4, axis=1)
        # Convert first: JAX cannot unstack a Keras variable.
        p_i, p_f, p_o = ops.unstack(ops.convert_to_tensor(self.peepholes), axis=0)
        i = ops.sigmoid(sum_i + p_i * c)
        f = ops.sigmoid(sum_f + p_f * c)
        c = f * c + i * ops.tanh(sum_g)
        o = ops.sigmoid(sum_o + p_o * c)
        h = o * ops.tanh(c)
        return h, [h, c]

    def _weight(self, name: str, shape: tuple[int | None, ...], initializer: Any) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=initializer)

    def _initial_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return 1 for the forget gate, else 0. Source: Jozefowicz et al. 2015, section 2."""
        ones = ops.ones((self.units,), dtype)
        rest = ops.zeros((self.units,), dtype)
        return ops.concatenate([rest, ones, rest, rest])


def peephole_lstm(units: int, name: str) -> Any:
    """Return an LSTM layer with peepholes that returns the hidden states of all steps."""
    return layers.RNN(PeepholeCell(units), return_sequences=True, name=name)
