"""An LSTM whose gates see the cell state, for Keras; `cell.py` has its equations."""

from __future__ import annotations

from typing import Any

from keras import layers, ops


class PeepholeCell(layers.Layer):  # type: ignore[misc]
    """One step of an LSTM with peepholes, to be run by `keras.layers.RNN`.

    Weights are those of Keras' LSTM, drawn like them with the forget bias at 1, and `peepholes`,
    `<float32>[3, units]` for the gates i, f and o. These start at 0: at first the network is one
    without, and learns how much its gates have to see.

    Source: Gers & Schmidhuber 2000, "Recurrent Nets that Time and Count", section 2. There, no
        error leaves through the peepholes; here, as in Graves 2013, it does.
    """

    def __init__(self, units: int) -> None:
        # Like Keras' own cell, so that the weights of both kinds bear the same names.
        super().__init__(name="lstm_cell")
        self.units = units
        self.state_size = [units, units]
        self.output_size = units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights for inputs of shape `[batch, dim]`."""
        gates = 4 * self.units
        self.kernel = self._weight("kernel", (input_shape[-1], gates), "glorot_uniform")
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, gates), "orthogonal")
        self.bias = self._weight("bias", (gates,), self._first_bias)
        self.peepholes = self._weight("peepholes", (3, self.units), "zeros")

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Map an input `<float32>[batch, dim]` and the states h and c to h, and both states."""
        h, c = states
        sums = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        sum_i, sum_f, sum_g, sum_o = ops.split(sums, 4, axis=1)
        # Of a tensor: JAX does not unstack a variable of Keras.
        p_i, p_f, p_o = ops.unstack(ops.convert_to_tensor(self.peepholes), axis=0)
        i = ops.sigmoid(sum_i + p_i * c)
        f = ops.sigmoid(sum_f + p_f * c)
        c = f * c + i * ops.tanh(sum_g)
        o = ops.sigmoid(sum_o + p_o * c)
        h = o * ops.tanh(c)
        return h, [h, c]

    def _weight(self, name: str, shape: tuple[int | None, ...], initializer: Any) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=initializer)

    def _first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Forget gates begin open. Source: Jozefowicz et al. 2015, section 2."""
        ones = ops.ones((self.units,), dtype)
        rest = ops.zeros((self.units,), dtype)
        return ops.concatenate([rest, ones, rest, rest])


def layer(units: int, name: str) -> Any:
    """Return a layer like Keras' LSTM that gives the hidden states of all steps."""
    return layers.RNN(PeepholeCell(units), return_sequences=True, name=name)
