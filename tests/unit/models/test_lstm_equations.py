"""The LSTM equations in NumPy against Keras and against numerical gradients."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from lstm_cli.models import lstm_equations

BATCH, TIME, DIM, UNITS = 4, 9, 3, 5
LENGTHS = np.array([9, 4, 1, 6])
PADDED = np.arange(TIME) < LENGTHS[:, None]
WITH_HOLES = np.random.default_rng(3).random((BATCH, TIME)) < 0.7
MASKS = {"no mask": None, "right-padded": PADDED, "with holes": WITH_HOLES}


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).normal(0, 0.5, shape).astype(dtype)


def weights(dtype=np.float64, peepholes=False):
    return lstm_equations.Weights(
        draw(DIM, 4 * UNITS, dtype=dtype),
        draw(UNITS, 4 * UNITS, dtype=dtype),
        draw(4 * UNITS, dtype=dtype),
        draw(3, UNITS, dtype=dtype) if peepholes else None,
    )


def keras_layer(given, mask, inputs, d_hidden):
    """Hidden states and gradients of Keras' own layer."""
    tf = pytest.importorskip("tensorflow", reason="gradients are taken with TensorFlow")
    layer = layers.LSTM(len(given.recurrent_kernel), return_sequences=True, dtype=inputs.dtype.name)
    layer.build(inputs.shape)
    layer.set_weights([given.kernel, given.recurrent_kernel, given.bias])
    watched = tf.Variable(inputs)
    with tf.GradientTape() as tape:
        hidden = layer(watched, mask=mask)
        loss = tf.reduce_sum(hidden * d_hidden)
    by = [watched, *(variable.value for variable in layer.trainable_variables)]
    return np.asarray(hidden), [np.asarray(found) for found in tape.gradient(loss, by)]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs TensorFlow's gradients")
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_keras_layer_computes_the_same_forward_and_backward(dtype, mask):
    inputs = draw(BATCH, TIME, DIM, dtype=dtype)
    d_hidden = draw(BATCH, TIME, UNITS, dtype=dtype, seed=1)
    given = weights(dtype)
    hidden, expected = keras_layer(given, mask, inputs, d_hidden)
    trace = lstm_equations.forward(given, inputs, mask=mask)
    found = lstm_equations.backward(trace, d_hidden)
    forward, gradient = (1e-6, 1e-5) if dtype is np.float32 else (1e-12, 1e-12)
    assert np.abs(trace.hidden - hidden).max() < forward
    for name, other in zip(("inputs", "kernel", "recurrent_kernel", "bias"), expected, strict=True):
        assert np.abs(getattr(found, name) - other).max() < gradient, name


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs TensorFlow's gradients")
def test_keras_layer_computes_the_same_over_two_hundred_steps():
    inputs = draw(2, 200, DIM, dtype=np.float32)
    d_hidden = np.zeros((2, 200, UNITS), np.float32)
    d_hidden[:, -1] = draw(2, UNITS, dtype=np.float32)
    given = weights(np.float32)
    hidden, expected = keras_layer(given, None, inputs, d_hidden)
    trace = lstm_equations.forward(given, inputs)
    found = lstm_equations.backward(trace, d_hidden)
    assert np.abs(trace.hidden - hidden).max() < 1e-6
    for name, other in zip(("inputs", "kernel", "recurrent_kernel", "bias"), expected, strict=True):
        assert np.abs(getattr(found, name) - other).max() < 1e-5, name


def numerical_gradient(loss, array, index, step=1e-5):
    """The central difference of the loss for one element of an array."""
    value = array[index]
    array[index] = value + step
    above = loss()
    array[index] = value - step
    below = loss()
    array[index] = value
    return (above - below) / (2 * step)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("peepholes", [False, True], ids=["plain", "peepholes"])
def test_gradients_equal_numerical_gradients(peepholes, mask):
    given = weights(peepholes=peepholes)
    inputs = draw(BATCH, TIME, DIM)
    d_hidden = draw(BATCH, TIME, UNITS, seed=1)

    def loss():
        return float(np.sum(lstm_equations.forward(given, inputs, mask=mask).hidden * d_hidden))

    found = lstm_equations.backward(lstm_equations.forward(given, inputs, mask=mask), d_hidden)
    names = ["kernel", "recurrent_kernel", "bias", *["peepholes"] * peepholes]
    arrays = {"inputs": inputs} | {name: getattr(given, name) for name in names}
    for name, array in arrays.items():
        gradient = getattr(found, name)
        assert gradient.shape == array.shape
        measured = [numerical_gradient(loss, array, index) for index in np.ndindex(array.shape)]
        assert np.abs(gradient.ravel() - measured).max() < 1e-7, name
    assert peepholes or found.peepholes is None


@pytest.mark.parametrize("peepholes", [False, True], ids=["plain", "peepholes"])
def test_state_gradients_equal_numerical_gradients(peepholes):
    given = weights(peepholes=peepholes)
    inputs, d_hidden = draw(1, TIME, DIM), draw(1, TIME, UNITS, seed=1)
    trace = lstm_equations.forward(given, inputs)
    found = lstm_equations.backward(trace, d_hidden)
    step = 3
    h, c = trace.hidden[0, step].copy(), trace.cell[0, step].copy()

    def loss():
        """Continue from the possibly changed states with the equations, one unit at a time."""
        total, h_now, c_now = h @ d_hidden[0, step], h, c
        for x, weight in zip(inputs[0, step + 1 :], d_hidden[0, step + 1 :], strict=True):
            h_now, c_now = by_hand(given, x, h_now, c_now)
            total += h_now @ weight
        return total

    measured = [numerical_gradient(loss, h, (k,)) for k in range(UNITS)]
    assert np.abs(found.hidden[0, step] - measured).max() < 1e-7
    # c(t) also changes h(t) = o * tanh(c), and through a peephole o itself.
    o, tanh_c = trace.output_gate[0, step], np.tanh(c)
    p_o = given.peepholes[2] if peepholes else 0
    d_h_d_c = o * (1 - tanh_c**2) + p_o * o * (1 - o) * tanh_c
    measured = [
        numerical_gradient(loss, c, (k,)) + found.hidden[0, step, k] * d_h_d_c[k]
        for k in range(UNITS)
    ]
    assert np.abs(found.cell[0, step] - measured).max() < 1e-7


def by_hand(given, x, h, c):
    """One step of the equations, one unit and gate at a time."""

    def sigma(z):
        return 1 / (1 + np.exp(-z))

    p = np.zeros((3, UNITS)) if given.peepholes is None else given.peepholes
    h_new, c_new = np.zeros(UNITS), np.zeros(UNITS)
    for k in range(UNITS):
        columns = [gate * UNITS + k for gate in range(4)]
        i, f, g, o = (
            x @ given.kernel[:, n] + h @ given.recurrent_kernel[:, n] + given.bias[n]
            for n in columns
        )
        c_new[k] = sigma(f + p[1, k] * c[k]) * c[k] + sigma(i + p[0, k] * c[k]) * np.tanh(g)
        h_new[k] = sigma(o + p[2, k] * c_new[k]) * np.tanh(c_new[k])
    return h_new, c_new


@pytest.mark.parametrize("peepholes", [False, True], ids=["plain", "peepholes"])
def test_a_trace_equals_the_equations_at_each_step(peepholes):
    given = weights(peepholes=peepholes)
    inputs = draw(1, TIME, DIM)
    trace = lstm_equations.forward(given, inputs)
    h, c = np.zeros(UNITS), np.zeros(UNITS)
    for t in range(TIME):
        previous_c = c
        h, c = by_hand(given, inputs[0, t], h, c)
        assert np.abs(trace.hidden[0, t] - h).max() < 1e-12
        assert np.abs(trace.cell[0, t] - c).max() < 1e-12
        kept = trace.forget_gate[0, t] * previous_c
        written = trace.input_gate[0, t] * trace.candidate[0, t]
        assert np.abs(kept + written - c).max() < 1e-12
        assert np.abs(trace.output_gate[0, t] * np.tanh(c) - h).max() < 1e-12


def test_zero_peepholes_equal_no_peepholes():
    plain = weights()
    zero = dataclasses.replace(plain, peepholes=np.zeros((3, UNITS)))
    inputs = draw(BATCH, TIME, DIM)
    assert np.array_equal(
        lstm_equations.forward(plain, inputs).hidden, lstm_equations.forward(zero, inputs).hidden
    )
    open_ = dataclasses.replace(plain, peepholes=np.ones((3, UNITS)))
    assert not np.allclose(
        lstm_equations.forward(plain, inputs).hidden, lstm_equations.forward(open_, inputs).hidden
    )


def test_padding_does_not_change_the_states():
    inputs = draw(BATCH, TIME, DIM)
    trace = lstm_equations.forward(weights(), inputs, lengths=LENGTHS)
    assert np.array_equal(trace.mask, PADDED)
    for row, length in enumerate(LENGTHS):
        alone = lstm_equations.forward(weights(), inputs[row : row + 1, :length])
        assert np.abs(trace.hidden[row, :length] - alone.hidden[0]).max() < 1e-14
        assert (trace.hidden[row, length:] == trace.hidden[row, length - 1]).all()
        assert (trace.cell[row, length:] == trace.cell[row, length - 1]).all()
        gates = (trace.input_gate, trace.forget_gate, trace.candidate, trace.output_gate)
        assert not any(gate[row, length:].any() for gate in gates)
        assert all(gate[row, :length].all() for gate in gates)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_results_have_the_dtype_of_the_arguments(dtype):
    trace = lstm_equations.forward(
        weights(dtype, peepholes=True), draw(BATCH, TIME, DIM, dtype=dtype)
    )
    found = lstm_equations.backward(trace, draw(BATCH, TIME, UNITS, dtype=dtype))
    arrays = [*vars(trace).values(), *vars(found).values()]
    kinds = {array.dtype for array in arrays if isinstance(array, np.ndarray)}
    assert kinds == {np.dtype(dtype), np.dtype(bool)}
    plain = lstm_equations.forward(weights(dtype), draw(BATCH, TIME, DIM, dtype=dtype))
    assert (
        lstm_equations.backward(plain, draw(BATCH, TIME, UNITS, dtype=dtype)).inputs.dtype == dtype
    )


def test_large_inputs_do_not_overflow():
    inputs = np.full((1, 2, DIM), 1e30, np.float32)
    trace = lstm_equations.forward(weights(np.float32, peepholes=True), inputs)
    assert set(np.unique(trace.output_gate)) <= {0.0, 1.0}
    assert np.isfinite(lstm_equations.backward(trace, np.ones_like(trace.hidden)).inputs).all()


def test_a_trace_is_immutable():
    trace = lstm_equations.forward(weights(), draw(1, 2, DIM))
    with pytest.raises(dataclasses.FrozenInstanceError):
        trace.cell = trace.hidden


def test_mismatched_shapes_are_named():
    given = weights()
    for name, wrong in (
        ("kernel", draw(DIM, 3 * UNITS)),
        ("recurrent_kernel", draw(UNITS, UNITS)),
        ("bias", draw(UNITS)),
        ("peepholes", draw(4, UNITS)),
    ):
        with pytest.raises(ValueError, match=rf"^{name}: expected the shape"):
            dataclasses.replace(given, **{name: wrong})
    inputs = draw(BATCH, TIME, DIM)
    for name, calls in {
        "inputs": lambda: lstm_equations.forward(given, draw(BATCH, TIME, DIM + 1)),
        "inputs:": lambda: lstm_equations.forward(given, draw(TIME, DIM)),
        "mask": lambda: lstm_equations.forward(given, inputs, mask=PADDED[:1]),
        "lengths": lambda: lstm_equations.forward(given, inputs, lengths=LENGTHS[:1]),
        "d_hidden": lambda: lstm_equations.backward(
            lstm_equations.forward(given, inputs), draw(BATCH, TIME, 1)
        ),
        "expected lengths or a mask": lambda: lstm_equations.forward(
            given, inputs, lengths=LENGTHS, mask=PADDED
        ),
    }.items():
        with pytest.raises(ValueError, match=name):
            calls()
