"""The LSTM in NumPy, as a textbook writes it: forward, and back-propagation through time.

With W the `kernel`, U the `recurrent_kernel`, b the `bias` and p the `peepholes`, each cut into
its parts for the gates, `*` element by element and s the logistic sigmoid, step t computes

    i(t) = s(W_i x(t) + U_i h(t-1) + p_i * c(t-1) + b_i)     input gate: what to write
    f(t) = s(W_f x(t) + U_f h(t-1) + p_f * c(t-1) + b_f)     forget gate: what to keep
    g(t) = tanh(W_g x(t) + U_g h(t-1) + b_g)                 candidate: what could be written
    c(t) = f(t) * c(t-1) + i(t) * g(t)                       cell state: the memory
    o(t) = s(W_o x(t) + U_o h(t-1) + p_o * c(t) + b_o)       output gate: what to show
    h(t) = o(t) * tanh(c(t))                                 hidden state: what is shown

from h(0) = c(0) = 0. Arrays are laid out as Keras lays them out, so that a layer's weights can be
put in as they are. What is computed has the type of what goes in: float32 or float64.

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
    """What an LSTM learns.

    Attributes:
        kernel: From the input to the gates, `<float>[dim, 4 * units]`, in the order i, f, g, o.
        recurrent_kernel: From the last hidden state, `<float>[units, 4 * units]`, same order.
        bias: `<float>[4 * units]`, same order.
        peepholes: From the cell state to the gates i, f and o, `<float>[3, units]`; None for a
            network without.

    Raises:
        ValueError: The shapes do not belong together.
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
        """How many cells there are."""
        return len(self.recurrent_kernel)


@dataclass(frozen=True)
class Trace:
    """Everything that happened while a sequence was read.

    At a masked step the states are those of the step before, and all four gates are 0.

    Attributes:
        weights: It was computed with.
        inputs: x, `<float>[batch, time, dim]`.
        mask: Which steps were read, `<bool>[batch, time]`.
        input_gate: i, `<float>[batch, time, units]`, like all below; between 0 and 1.
        forget_gate: f, between 0 and 1.
        candidate: g, between -1 and 1.
        output_gate: o, between 0 and 1.
        cell: c, unbounded.
        hidden: h, between -1 and 1: what a layer that returns sequences gives.
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
    """The derivatives of a loss by everything it came from, each in the shape of its origin.

    Attributes:
        inputs: `<float>[batch, time, dim]`; 0 where masked.
        kernel: `<float>[dim, 4 * units]`.
        recurrent_kernel: `<float>[units, 4 * units]`.
        bias: `<float>[4 * units]`.
        peepholes: `<float>[3, units]`; None for a network without.
        hidden: By h(t) over every way from it to the loss, `<float>[batch, time, units]`.
        cell: By c(t), in the same way.
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
    weights: Weights,
    inputs: Array,
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
) -> Trace:
    """Read sequences from their first step to their last.

    Args:
        weights: Of the network.
        inputs: `<float>[batch, time, dim]`.
        lengths: How many steps of each sequence are to be read, `<int>[batch]`; the rest is
            padding.
        mask: Which steps are to be read, `<bool>[batch, time]`, in place of lengths. A masked
            step leaves both states as they were.

    Raises:
        ValueError: A shape does not fit, or both lengths and a mask are given.
    """
    if inputs.ndim != 3:
        raise ValueError(f"inputs: expected the shape [batch, time, dim], found {inputs.shape}")
    batch, time = inputs.shape[:2]
    _expect("inputs", inputs, (batch, time, len(weights.kernel)))
    read = _mask((batch, time), lengths, mask)
    # Looking at all inputs at once is one large matrix product in place of many small ones.
    sums = inputs @ weights.kernel + weights.bias
    h = c = np.zeros((batch, weights.units), sums.dtype)
    found = np.zeros((6, batch, time, weights.units), sums.dtype)
    for t in range(time):
        step = _step(weights, sums[:, t], h, c)
        on = read[:, t, None]
        h, c = np.where(on, step.h, h), np.where(on, step.c, c)
        found[:4, :, t] = np.where(on, step[:4], 0)
        found[4:, :, t] = c, h
    return Trace(weights, inputs, read, *found)


def backward(trace: Trace, d_hidden: Array) -> Gradients:
    """Carry the derivatives of a loss back through time, over the whole sequence.

    Args:
        trace: Of `forward`.
        d_hidden: The loss by what it sees of each h(t), `<float>[batch, time, units]`: 0 at all
            steps but the last where only the last hidden state is used.

    Raises:
        ValueError: The shape is not that of the hidden states.

    Source: Werbos 1990, "Backpropagation Through Time"; Graves & Schmidhuber 2005, "Framewise
        Phoneme Classification", appendix A, for an LSTM with nothing cut off. (The papers of 1997
        and 2000 let no error leave through the gates, to save time.)
    """
    _expect("d_hidden", d_hidden, trace.hidden.shape)
    weights = trace.weights
    p_i, p_f, p_o = _peepholes(weights, trace.hidden.dtype)
    before = _delayed(trace.cell)
    d_sums, d_h, d_c = _empty(trace, 4), _empty(trace), _empty(trace)
    h_later = c_later = np.zeros_like(trace.hidden[:, 0])
    for t in reversed(range(trace.hidden.shape[1])):
        i, f, g, o, c, _ = _at(trace, t)
        on = trace.mask[:, t, None]
        dh = d_hidden[:, t] + h_later
        shown = np.tanh(c)
        d_o = dh * shown * o * (1 - o)
        # Two ways lead on from the cell state: what is shown of it, and what is kept of it.
        dc = c_later + dh * o * (1 - shown**2) + d_o * p_o
        d_i = dc * g * i * (1 - i)
        d_f = dc * before[:, t] * f * (1 - f)
        d_g = dc * i * (1 - g**2)
        d_sums[:, t] = np.concatenate([d_i, d_f, d_g, d_o], axis=1)
        d_h[:, t], d_c[:, t] = dh, dc
        h_later = np.where(on, d_sums[:, t] @ weights.recurrent_kernel.T, dh)
        # f alone stands between a memory and the one before it: that is why it can last.
        c_later = np.where(on, dc * f + d_i * p_i + d_f * p_f, dc)
    return _gradients(trace, d_sums, d_h, d_c)


def _step(weights: Weights, seen: Array, h: Array, c: Array) -> _Step:
    """Compute a step from W x(t) + b, `[batch, 4 * units]`, and the states before it."""
    sum_i, sum_f, sum_g, sum_o = np.split(seen + h @ weights.recurrent_kernel, 4, axis=1)
    p_i, p_f, p_o = _peepholes(weights, seen.dtype)
    i = _sigmoid(sum_i + p_i * c)
    f = _sigmoid(sum_f + p_f * c)
    g = np.tanh(sum_g)
    c = f * c + i * g
    o = _sigmoid(sum_o + p_o * c)
    h = o * np.tanh(c)
    return _Step(i, f, g, o, c, h)


def _gradients(trace: Trace, d_sums: Array, d_h: Array, d_c: Array) -> Gradients:
    """Sum over batch and time what the steps say of the weights they share.

    Args:
        trace: Of `forward`.
        d_sums: The loss by what stands in the brackets of the equations,
            `<float>[batch, time, 4 * units]`.
        d_h: The loss by h(t), `<float>[batch, time, units]`.
        d_c: The loss by c(t), likewise.
    """
    d_i, d_f, _, d_o = np.split(d_sums, 4, axis=2)
    before = _delayed(trace.cell)
    steps = ((0, 1), (0, 1))
    peepholes = np.stack(
        [np.sum(d * c, axis=(0, 1)) for d, c in ((d_i, before), (d_f, before), (d_o, trace.cell))]
    )
    return Gradients(
        inputs=d_sums @ trace.weights.kernel.T,
        kernel=np.tensordot(trace.inputs, d_sums, steps),
        recurrent_kernel=np.tensordot(_delayed(trace.hidden), d_sums, steps),
        bias=d_sums.sum(axis=(0, 1)),
        peepholes=None if trace.weights.peepholes is None else peepholes,
        hidden=d_h,
        cell=d_c,
    )


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written so that no x is too large for it."""
    return 0.5 * np.tanh(0.5 * x) + 0.5


def _peepholes(weights: Weights, dtype: Any) -> Array:
    """Return the peepholes; a network without is one whose peepholes are all 0."""
    if weights.peepholes is None:
        return np.zeros((3, weights.units), dtype)
    return weights.peepholes


def _delayed(states: Array) -> Array:
    """Return for each step the state before it: 0 before the first."""
    return np.pad(states[:, :-1], ((0, 0), (1, 0), (0, 0)))


def _at(trace: Trace, t: int) -> _Step:
    gates = (trace.input_gate, trace.forget_gate, trace.candidate, trace.output_gate)
    return _Step(*(array[:, t] for array in (*gates, trace.cell, trace.hidden)))


def _empty(trace: Trace, parts: int = 1) -> Array:
    batch, time, units = trace.hidden.shape
    return np.zeros((batch, time, parts * units), trace.hidden.dtype)


def _mask(shape: tuple[int, int], lengths: Array | None, mask: Array | None) -> NDArray[np.bool_]:
    """Return which steps are read, `[batch, time]`."""
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
