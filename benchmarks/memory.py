"""How far back an LSTM and a simple recurrent network can learn, for the figures of docs/lstm.md.

The adding problem: the input is a sequence of numbers, of which two are marked, one in each half.
The target is the sum of the two. The constant output 1 has a mean squared error of 1/6. A simple
recurrent network and an LSTM with the same number of units are trained at several lengths, with
Keras' default initialization (forget bias 1) and Adam, until their error is below 0.005 or the
number of updates is reached.

The second measurement is the gradient at steps before the output, relative to the last step: the
derivative of the output with respect to the state. It is measured before training with several
forget biases, and after training, at one of the lengths.

Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", section 5.4, for the task; Le,
    Jaitly & Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
    section 4.1, for its form with one mark in each half.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.report import Option, Outcome, Table
from lstm_cli.models import lstm_equations

OPTIONS = (
    Option("lengths", "lengths of the sequences, separated by commas", "50,100,200,400", "5,8"),
    Option("gradient_length", "the length at which gradients are measured", 200, 8),
    Option(
        "forget_biases", "forget biases of untrained LSTMs, separated by commas", "0,1,3,5", "1,5"
    ),
    Option("seeds", "seeds, separated by commas", "0,1,2", "0"),
    Option("updates", "largest number of updates", 2500, 4),
    Option("units", "units of each network", 32, 4),
    Option("batch_size", "sequences in a batch", 50, 3),
    Option("learning_rate", "learning rate of Adam", "0.01", "0.01"),
    Option("kinds", "kinds of networks, separated by commas", "simple,lstm", "simple,lstm"),
)
_CLIP_NORM = 1.0
_SOLVED = 0.005
_WINDOW = 50  # updates over which the error is averaged
_NUM_TEST = 1000
_NUM_DISTANCES = 20  # distances at which the gradient is recorded

Array = NDArray[Any]


@dataclass(frozen=True)
class TrainingResult:
    """The result of training one network.

    Attributes:
        error: Mean squared error on new sequences.
        updates: Number of updates.
        curve: Training error, averaged over 50 updates at a time.
        seconds: Duration of training.
        gradients: The relative gradients before and after training, as `relative_gradients` returns
            them; None at other lengths.
    """

    error: float
    updates: int
    curve: list[float]
    seconds: float
    gradients: dict[str, list[float]] | None


def measure(settings: argparse.Namespace) -> Outcome:
    """Train each network at each length with each seed."""
    from lstm_cli.training.device import load_keras

    lengths, seeds = report.parse_numbers(settings.lengths), report.parse_numbers(settings.seeds)
    if settings.gradient_length not in lengths:
        raise report.usage_error("--gradient-length must be one of --lengths.")
    load_keras("cpu")
    adding: list[dict[str, Any]] = []
    gradients: dict[str, list[list[float]]] = {}
    for length in lengths:
        for kind in settings.kinds.split(","):
            results = [train(kind, length, seed, settings) for seed in seeds]
            adding.append(_summarize(kind, length, results))
            report.log(f"{kind}, length {length}: {[round(t.error, 4) for t in results]}")
            for result in results:
                for name, norms in (result.gradients or {}).items():
                    gradients.setdefault(f"{kind}, {name}", []).append(norms)
    return Outcome(
        {
            "adding": adding,
            "distances": distances(settings.gradient_length),
            "fading": gradients,
        },
        [_adding_table(adding), _gradient_table(gradients, settings.gradient_length)],
    )


def train(kind: str, length: int, seed: int, settings: argparse.Namespace) -> TrainingResult:
    """Train a network until the adding problem is solved or the number of updates is reached."""
    import keras

    keras.utils.set_random_seed(seed)
    layer = {"simple": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}[kind]
    model = keras.Sequential(
        [keras.Input((length, 2)), layer(settings.units), keras.layers.Dense(1)]
    )
    rate = float(settings.learning_rate)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=_CLIP_NORM)
    # XLA halves the time of a step of such a small network, but compiling takes seconds.
    model.compile(optimizer, loss="mse", jit_compile=not settings.quick)
    batches = draw(length, settings.batch_size, seed)
    test_inputs, test_targets = next(draw(length, _NUM_TEST, seed + 1_000_000))
    is_measured = length == settings.gradient_length
    gradients = None
    if is_measured:
        gradients = _untrained_gradients(kind, model, test_inputs[:50], settings)
    start, errors = time.monotonic(), list[float]()
    for inputs, targets in batches:
        model.reset_metrics()
        errors.append(float(model.train_on_batch(inputs, targets)))
        if np.mean(errors[-_WINDOW:]) < _SOLVED or len(errors) == settings.updates:
            break
    seconds = time.monotonic() - start
    if gradients is not None:
        gradients["trained"] = _model_gradients(kind, model, test_inputs[:50])
    error = np.mean((model.predict(test_inputs, 500, verbose=0) - test_targets) ** 2)
    curve = [float(np.mean(errors[i : i + _WINDOW])) for i in range(0, len(errors), _WINDOW)]
    return TrainingResult(float(error), len(errors), curve, seconds, gradients)


def draw(length: int, batch_size: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """Yield endless batches: `<float32>[batch, length, 2]` and the sums, `<float32>[batch, 1]`."""
    rng = np.random.default_rng([seed, length])
    rows = np.arange(batch_size)
    while True:
        inputs = np.zeros((batch_size, length, 2), np.float32)
        inputs[:, :, 0] = rng.random((batch_size, length))
        half = length // 2
        marks = rng.integers(0, half, batch_size), rng.integers(half, length, batch_size)
        for positions in marks:
            inputs[rows, positions, 1] = 1
        yield inputs, (inputs[:, :, 0] * inputs[:, :, 1]).sum(axis=1, keepdims=True)


def relative_gradients(kind: str, arrays: Sequence[Array], inputs: Array, d_last: Array) -> Array:
    """Measure how strongly the output depends on each earlier state.

    Args:
        kind: `simple` or `lstm`.
        arrays: Kernel, recurrent kernel and bias, in the layout of Keras.
        inputs: `<float>[batch, time, dim]`.
        d_last: Derivative of the output with respect to the last hidden state, `<float>[units]`.

    Returns:
        Norm of the derivative of the output with respect to the cell state (`lstm`) or the hidden
        state (`simple`), averaged over the batch, by distance from the last step,
        `<float64>[time]`; 1 at distance 0.
    """
    kernel, recurrent, bias = (array.astype(np.float64) for array in arrays)
    if kind == "simple":
        by_state = simple_gradients(kernel, recurrent, bias, inputs, d_last)
    else:
        trace = lstm_equations.forward(lstm_equations.Weights(kernel, recurrent, bias), inputs)
        d_hidden = np.zeros_like(trace.hidden)
        d_hidden[:, -1] = d_last
        by_state = lstm_equations.backward(trace, d_hidden).cell
    norms = np.linalg.norm(by_state, axis=2).mean(axis=0)[::-1]
    return np.asarray(norms / norms[0])


def simple_gradients(
    kernel: Array, recurrent: Array, bias: Array, inputs: Array, d_last: Array
) -> Array:
    """Return the derivative of the output with respect to every state h(t).

    h(t) = tanh(W x(t) + U h(t-1) + b)

    Source: Elman 1990, "Finding Structure in Time", with tanh.

    Args:
        kernel: W, `<float>[dim, units]`.
        recurrent: U, `<float>[units, units]`.
        bias: b, `<float>[units]`.
        inputs: x, `<float>[batch, time, dim]`.
        d_last: Derivative of the output with respect to the last state, `<float>[units]`.
    """
    batch, time, _ = inputs.shape
    hidden = np.zeros((batch, time + 1, len(recurrent)))
    for t in range(time):
        hidden[:, t + 1] = np.tanh(inputs[:, t] @ kernel + hidden[:, t] @ recurrent + bias)
    gradients = np.zeros((batch, time, len(recurrent)))
    gradients[:, -1] = d_last
    for t in reversed(range(time - 1)):
        through = gradients[:, t + 1] * (1 - hidden[:, t + 2] ** 2)
        gradients[:, t] = through @ recurrent.T
    return gradients


def distances(length: int) -> list[int]:
    """Return the distances from the last step at which gradients are recorded."""
    return [int(d) for d in np.unique(np.linspace(0, length - 1, _NUM_DISTANCES + 1).round())]


def _untrained_gradients(
    kind: str, model: Any, inputs: Array, settings: argparse.Namespace
) -> dict[str, list[float]]:
    """Measure the gradients of an untrained network; of an LSTM with each forget bias."""
    if kind == "simple":
        return {"untrained": _model_gradients(kind, model, inputs)}
    biases = report.parse_numbers(settings.forget_biases)
    return {f"forget bias {bias}": _model_gradients(kind, model, inputs, bias) for bias in biases}


def _model_gradients(
    kind: str, model: Any, inputs: Array, forget_bias: float | None = None
) -> list[float]:
    kernel, recurrent, bias = model.layers[0].get_weights()
    if forget_bias is not None:
        units = len(recurrent)
        bias[units : 2 * units] = forget_bias
    d_last = model.layers[1].get_weights()[0][:, 0]
    norms = relative_gradients(kind, (kernel, recurrent, bias), inputs, d_last)
    return [float(f"{norms[d]:.3g}") for d in distances(inputs.shape[1])]


def _summarize(kind: str, length: int, results: Sequence[TrainingResult]) -> dict[str, Any]:
    return {
        "kind": kind,
        "length": length,
        "error": report.spread([round(t.error, 5) for t in results]),
        "updates": report.spread([t.updates for t in results]),
        "solved": sum(t.error < 2 * _SOLVED for t in results),
        "seconds": report.spread([round(t.seconds, 1) for t in results]),
        "curves": [[round(e, 4) for e in t.curve] for t in results],
    }


def _adding_table(adding: Sequence[dict[str, Any]]) -> Table:
    rows = [
        (
            f"{a['kind']}, {a['length']}",
            report.format_spread(a["error"], 4),
            f"{a['solved']} of {len(a['curves'])}",
            report.format_spread(a["updates"], 0),
            report.format_spread(a["seconds"], 0),
        )
        for a in adding
    ]
    return Table(
        "The adding problem (constant output 1: 0.1667)",
        ("network, length", "mean squared error", "solved", "updates", "s"),
        rows,
    )


def _gradient_table(gradients: dict[str, list[list[float]]], length: int) -> Table:
    indices = [
        distances(length).index(d) for d in distances(length)[1 :: max(1, _NUM_DISTANCES // 4)]
    ]
    rows = [
        (name, *(f"{_geometric_mean([norms[i] for norms in runs]):.1e}" for i in indices))
        for name, runs in gradients.items()
    ]
    columns = ("network", *(f"{distances(length)[i]} steps" for i in indices))
    return Table("Relative gradient, geometric mean over seeds", columns, rows)


def _geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean; zeros count as the smallest positive number."""
    return float(np.exp(np.mean(np.log(np.maximum(values, np.finfo(np.float64).tiny)))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("memory", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
