"""The LSTM in NumPy, as in a textbook: forward pass and backpropagation through time.

W is the `kernel`, U the `recurrent_kernel`, b the `bias` and p the `peepholes`, each split into its
parts for the gates; `*` is the elementwise product and s the logistic sigmoid. Step t computes

    i(t) = s(W_i x(t) + U_i h(t-1) + p_i * c(t-1) + b_i)     input gate: how much to write
    f(t) = s(W_f x(t) + U_f h(t-1) + p_f * c(t-1) + b_f)     forget gate: how much to keep
    g(t) = tanh(W_g x(t) + U_g h(t-1) + b_g)                 candidate: what to write
    c(t) = f(t) * c(t-1) + i(t) * g(t)                       cell state: the memory
    o(t) = s(W_o x(t) + U_o h(t-1) + p_o * c(t) + b_o)       output gate: how much to output
    h(t) = o(t) * tanh(c(t))                                 hidden state: the output

from h(0) = c(0) = 0. Arrays have the layout of Keras, so the weights of a layer can be used without
conversion. The dtype of the results is that of the arguments: float32 or float64.

Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", section 4, for the memory cell with
input and output gate; Gers, Schmidhuber & Cummins 2000, "Learning to Forget", section 3, for the
forget gate; Gers & Schmidhuber 2000, "Recurrent Nets that Time and Count", section 2, for the
peepholes; Graves 2013, "Generating Sequences with Recurrent Neural Networks", equations 7 to 11,
for all of it in this form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Weights:
    """Weights of an LSTM layer in one direction.

    Attributes:
        kernel: From the input to the gates, `<float>[dim, 4 * units]`, in the order i, f, g, o.
        recurrent_kernel: From the previous hidden state, `<float>[units, 4 * units]`, same order.
        bias: `<float>[4 * units]`, same order.
        peepholes: From the cell state to the gates i, f and o, `<float>[3, units]`; None for
            an LSTM without peepholes.

    Raises:
        ValueError: The shapes do not match.
    """

    kernel: Array
    recurrent_kernel: Array
    bias: Array
    peepholes: Array | None = None

    def __post_init__(self) -> None:
        units = self.units
        _expect("kernel", self.kernel, (self.kernel.shape[0], 4 * units))
        _expect("recurrent_kernel", self.recurrent_kernel, (units, 4 * units))
        _expect("bias", self.bias, (4 * units,))
        if self.peepholes is not None:
            _expect("peepholes", self.peepholes, (3, units))

    @property
    def units(self) -> int:
        """Number of hidden units."""
        return len(self.recurrent_kernel)


@dataclass(frozen=True)
class Trace:
    """All values of a forward pass.

    At a masked step, the states are those of the previous step and all four gates are 0.

    Attributes:
        weights: Weights of the layer.
        inputs: x, `<float>[batch, time, dim]`.
        mask: True for steps that were read, `<bool>[batch, time]`.
        input_gate: i, `<float>[batch, time, units]`, like all below, between 0 and 1.
        forget_gate: f, between 0 and 1.
        candidate: g, between -1 and 1.
        output_gate: o, between 0 and 1.
        cell: c, unbounded.
        hidden: h, between -1 and 1: the output of a layer that returns sequences.
    """

    weights: Weights
    inputs: Array
    mask: NDArray[np.bool_]
    input_gate: Array
    forget_gate: Array
    candidate: Array
    output_gate: Array
    cell: Array
    hidden: Array


@dataclass(frozen=True)
class Gradients:
    """The gradients of a loss, each in the shape of its variable.

    Attributes:
        inputs: `<float>[batch, time, dim]`; 0 where masked.
        kernel: `<float>[dim, 4 * units]`.
        recurrent_kernel: `<float>[units, 4 * units]`.
        bias: `<float>[4 * units]`.
        peepholes: `<float>[3, units]`; None without peepholes.
        hidden: Total gradient of h(t), through all later steps, `<float>[batch, time, units]`.
        cell: Total gradient of c(t), of the same shape.
    """

    inputs: Array
    kernel: Array
    recurrent_kernel: Array
    bias: Array
    peepholes: Array | None
    hidden: Array
    cell: Array


class _Step(NamedTuple):
    """The gates and states of one step, each `[batch, units]`."""

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


def forward(
    weights: Weights, inputs: Array, *, lengths: Array | None = None, mask: Array | None = None
) -> Trace:
    """Run the LSTM over sequences, from the first step to the last.

    Args:
        weights: Weights of the layer.
        inputs: `<float>[batch, time, dim]`.
        lengths: Number of steps in each sequence, `<int>[batch]`; the rest is padding.
        mask: True for steps to read, `<bool>[batch, time]`, instead of lengths. A masked step
            does not change the states.

    Raises:
        ValueError: A shape does not match, or both lengths and a mask are given.
    """
    if inputs.ndim != 3:
        raise ValueError(f"inputs: expected the shape [batch, time, dim], found {inputs.shape}")
    batch, time = inputs.shape[:2]
    _expect("inputs", inputs, (batch, time, len(weights.kernel)))
    valid = _mask((batch, time), lengths, mask)
    # One large matrix product for all steps instead of many small ones.
    sums = inputs @ weights.kernel + weights.bias
    h = c = np.zeros((batch, weights.units), sums.dtype)
    values = np.zeros((6, batch, time, weights.units), sums.dtype)
    for t in range(time):
        step = _step(weights, sums[:, t], h, c)
        on = valid[:, t, None]
        h, c = np.where(on, step.h, h), np.where(on, step.c, c)
        values[:4, :, t] = np.where(on, step[:4], 0)
        values[4:, :, t] = c, h
    return Trace(weights, inputs, valid, *values)


def backward(trace: Trace, d_hidden: Array) -> Gradients:
    """Backpropagate the gradient of a loss through time, over the whole sequence.

    Args:
        trace: Result of `forward`.
        d_hidden: Direct gradient of each h(t), `<float>[batch, time, units]`; if the loss uses
            only the last hidden state, it is 0 at all other steps.

    Raises:
        ValueError: `d_hidden` does not have the shape of the hidden states.

    Source: Werbos 1990, "Backpropagation Through Time"; Graves & Schmidhuber 2005, "Framewise
        Phoneme Classification", appendix A, for the full gradient of an LSTM. (The papers of 1997
        and 2000 truncate the gradient at the gates, to save time.)
    """
    _expect("d_hidden", d_hidden, trace.hidden.shape)
    weights = trace.weights
    p_i, p_f, p_o = _peepholes(weights, trace.hidden.dtype)
    previous_cell = _previous(trace.cell)
    d_sums, d_h, d_c = _zeros(trace, 4), _zeros(trace), _zeros(trace)
    d_h_next = d_c_next = np.zeros_like(trace.hidden[:, 0])
    for t in reversed(range(trace.hidden.shape[1])):
        i, f, g, o, c, _ = _at(trace, t)
        on = trace.mask[:, t, None]
        dh = d_hidden[:, t] + d_h_next
        tanh_c = np.tanh(c)
        d_o = dh * tanh_c * o * (1 - o)
        # The cell state affects the loss through the hidden state and through the next cell state.
        dc = d_c_next + dh * o * (1 - tanh_c**2) + d_o * p_o
        d_i = dc * g * i * (1 - i)
        d_f = dc * previous_cell[:, t] * f * (1 - f)
        d_g = dc * i * (1 - g**2)
        d_sums[:, t] = np.concatenate([d_i, d_f, d_g, d_o], axis=1)
        d_h[:, t], d_c[:, t] = dh, dc
        d_h_next = np.where(on, d_sums[:, t] @ weights.recurrent_kernel.T, dh)
        # Only f is between c(t) and c(t-1): that is why the gradient can survive many steps.
        d_c_next = np.where(on, dc * f + d_i * p_i + d_f * p_f, dc)
    return _gradients(trace, d_sums, d_h, d_c)


class State(NamedTuple):
    """What goes from step to step: cell state and hidden state, each `<float>[batch, units]`."""

    cell: Array
    hidden: Array


def initial_state(weights: Weights, batch: int = 1) -> State:
    """Return the state before the first step: zeros."""
    zeros = np.zeros((batch, weights.units), weights.kernel.dtype)
    return State(zeros, zeros)


def continue_from(weights: Weights, inputs: Array, state: State) -> tuple[Array, State]:
    """Run the LSTM from any state, and keep the hidden states only.

    A sequence in parts, each from the state after the part before, gives the same as in one piece.
    So a step can follow when its input is known, as in generating a text.

    Args:
        weights: Weights of the layer.
        inputs: `<float>[batch, time, dim]`.
        state: The state before the first of these steps.

    Returns:
        h at each step, `<float>[batch, time, units]`, and the state after the last step.
    """
    sums = inputs @ weights.kernel + weights.bias
    hidden = np.zeros((*inputs.shape[:2], weights.units), sums.dtype)
    for t in range(inputs.shape[1]):
        step = _step(weights, sums[:, t], state.hidden, state.cell)
        state = State(step.c, step.h)
        hidden[:, t] = step.h
    return hidden, state


def _step(weights: Weights, projected: Array, h: Array, c: Array) -> _Step:
    """Compute a step from W x(t) + b, `[batch, 4 * units]`, and the previous states."""
    sum_i, sum_f, sum_g, sum_o = np.split(projected + h @ weights.recurrent_kernel, 4, axis=1)
    p_i, p_f, p_o = _peepholes(weights, projected.dtype)
    i = _sigmoid(sum_i + p_i * c)
    f = _sigmoid(sum_f + p_f * c)
    g = np.tanh(sum_g)
    c = f * c + i * g
    o = _sigmoid(sum_o + p_o * c)
    h = o * np.tanh(c)
    return _Step(i, f, g, o, c, h)


def _gradients(trace: Trace, d_sums: Array, d_h: Array, d_c: Array) -> Gradients:
    """Sum the gradients of the weights over batch and time.

    Args:
        trace: Result of `forward`.
        d_sums: Gradients of the sums in the brackets of the equations,
            `<float>[batch, time, 4 * units]`.
        d_h: Total gradients of h(t), `<float>[batch, time, units]`.
        d_c: Total gradients of c(t), of the same shape.
    """
    d_i, d_f, _, d_o = np.split(d_sums, 4, axis=2)
    previous_cell = _previous(trace.cell)
    axes = ((0, 1), (0, 1))
    pairs = ((d_i, previous_cell), (d_f, previous_cell), (d_o, trace.cell))
    peepholes = np.stack([np.sum(d * c, axis=(0, 1)) for d, c in pairs])
    return Gradients(
        inputs=d_sums @ trace.weights.kernel.T,
        kernel=np.tensordot(trace.inputs, d_sums, axes),
        recurrent_kernel=np.tensordot(_previous(trace.hidden), d_sums, axes),
        bias=d_sums.sum(axis=(0, 1)),
        peepholes=None if trace.weights.peepholes is None else peepholes,
        hidden=d_h,
        cell=d_c,
    )


def _sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), in a form that cannot overflow."""
    return 0.5 * np.tanh(0.5 * x) + 0.5


def _peepholes(weights: Weights, dtype: Any) -> Array:
    """Return the peepholes; an LSTM without peepholes has zeros."""
    if weights.peepholes is None:
        return np.zeros((3, weights.units), dtype)
    return weights.peepholes


def _previous(states: Array) -> Array:
    """Return the previous state of each step; 0 before the first."""
    return np.pad(states[:, :-1], ((0, 0), (1, 0), (0, 0)))


def _at(trace: Trace, t: int) -> _Step:
    gates = (trace.input_gate, trace.forget_gate, trace.candidate, trace.output_gate)
    return _Step(*(array[:, t] for array in (*gates, trace.cell, trace.hidden)))


def _zeros(trace: Trace, parts: int = 1) -> Array:
    batch, time, units = trace.hidden.shape
    return np.zeros((batch, time, parts * units), trace.hidden.dtype)


def _mask(shape: tuple[int, int], lengths: Array | None, mask: Array | None) -> NDArray[np.bool_]:
    """Return True for steps to read, `[batch, time]`."""
    if lengths is not None and mask is not None:
        raise ValueError("expected lengths or a mask, found both")
    if lengths is not None:
        _expect("lengths", lengths, shape[:1])
        return np.asarray(np.arange(shape[1]) < np.asarray(lengths)[:, None])
    if mask is None:
        return np.ones(shape, np.bool_)
    _expect("mask", mask, shape)
    return np.asarray(mask, np.bool_)


def _expect(name: str, array: Array, shape: tuple[int, ...]) -> None:
    found = np.shape(array)
    if found != shape:
        raise ValueError(f"{name}: expected the shape {shape}, found {found}")
