"""How far back an LSTM and a simple recurrent network can learn: docs/lstm.md's figures.

The adding problem: a sequence of numbers, two of them marked, one in each half; after the last
number the network has to say the sum of the two. Who always says 1 has a mean squared error of
1/6. A simple recurrent network and an LSTM of the same width learn it at several lengths from
Keras' usual initialisation, forget bias 1, with Adam, until their error is below 0.005 or their
updates are used up.

And how much of a gradient is left that many steps before the output, relative to what it is at the
last step: the derivative of the answer by the state, before training, at several forget biases,
and after training at one of the lengths.

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
    Option("lengths", "of the sequences, with commas between", "50,100,200,400", "5,8"),
    Option("gradient_length", "one of them: where gradients are taken", 200, 8),
    Option("forget_biases", "of untrained LSTMs, with commas between", "0,1,3,5", "1,5"),
    Option("seeds", "with commas between", "0,1,2", "0"),
    Option("updates", "at most", 2500, 4),
    Option("units", "of each network", 32, 4),
    Option("batch_size", "sequences in an update", 50, 3),
    Option("learning_rate", "of Adam", "0.01", "0.01"),
    Option("kinds", "of networks, with commas between", "simple,lstm", "simple,lstm"),
)
_CLIP_NORM = 1.0
_SOLVED = 0.005
_WINDOW = 50  # updates over which the error is averaged
_TESTED = 1000
_POINTS = 20  # distances at which a gradient is noted

Array = NDArray[Any]


@dataclass(frozen=True)
class Trained:
    """A network that has had its updates.

    Attributes:
        error: Mean squared, on sequences it has not seen.
        updates: It took.
        curve: Error in training, averaged over 50 updates at a time.
        seconds: Of training.
        fading: What is left of the gradient before and after, as `fading` returns it; None where
            it was not asked for.
    """

    error: float
    updates: int
    curve: list[float]
    seconds: float
    fading: dict[str, list[float]] | None


def measure(settings: argparse.Namespace) -> Outcome:
    """Train every network at every length with every seed."""
    from lstm_cli.training.device import load_keras

    lengths, seeds = report.numbers(settings.lengths), report.numbers(settings.seeds)
    if settings.gradient_length not in lengths:
        raise report.usage("--gradient-length has to be one of --lengths.")
    load_keras("cpu")
    adding: list[dict[str, Any]] = []
    fades: dict[str, list[list[float]]] = {}
    for length in lengths:
        for kind in settings.kinds.split(","):
            found = [train(kind, length, seed, settings) for seed in seeds]
            adding.append(_summary(kind, length, found))
            report.say(f"{kind}, length {length}: {[round(t.error, 4) for t in found]}")
            for trained in found:
                for when, fade in (trained.fading or {}).items():
                    fades.setdefault(f"{kind}, {when}", []).append(fade)
    return Outcome(
        {
            "adding": adding,
            "distances": distances(settings.gradient_length),
            "fading": fades,
        },
        [_adding_table(adding), _fading_table(fades, settings.gradient_length)],
    )


def train(kind: str, length: int, seed: int, settings: argparse.Namespace) -> Trained:
    """Train a network on the adding problem until it is solved or the updates are used up."""
    import keras

    keras.utils.set_random_seed(seed)
    layer = {"simple": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}[kind]
    model = keras.Sequential(
        [keras.Input((length, 2)), layer(settings.units), keras.layers.Dense(1)]
    )
    rate = float(settings.learning_rate)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=_CLIP_NORM)
    # Compiled, a step of so small a network takes half the time; compiling takes seconds.
    model.compile(optimizer, loss="mse", jit_compile=not settings.quick)
    problems = draw(length, settings.batch_size, seed)
    tested = next(draw(length, _TESTED, seed + 1_000_000))
    wanted = length == settings.gradient_length
    fade = _fades(kind, model, tested[0][:50], settings) if wanted else None
    began, errors = time.monotonic(), list[float]()
    for inputs, sums in problems:
        model.reset_metrics()
        errors.append(float(model.train_on_batch(inputs, sums)))
        if np.mean(errors[-_WINDOW:]) < _SOLVED or len(errors) == settings.updates:
            break
    seconds = time.monotonic() - began
    if fade is not None:
        fade["trained"] = _fade(kind, model, tested[0][:50])
    error = np.mean((model.predict(tested[0], 500, verbose=0) - tested[1]) ** 2)
    curve = [float(np.mean(errors[i : i + _WINDOW])) for i in range(0, len(errors), _WINDOW)]
    return Trained(float(error), len(errors), curve, seconds, fade)


def draw(length: int, batch_size: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """Yield problems without end: `<float32>[batch, length, 2]` and their sums, `[batch, 1]`."""
    rng = np.random.default_rng([seed, length])
    rows = np.arange(batch_size)
    while True:
        inputs = np.zeros((batch_size, length, 2), np.float32)
        inputs[:, :, 0] = rng.random((batch_size, length))
        half = length // 2
        marked = rng.integers(0, half, batch_size), rng.integers(half, length, batch_size)
        for places in marked:
            inputs[rows, places, 1] = 1
        yield inputs, (inputs[:, :, 0] * inputs[:, :, 1]).sum(axis=1, keepdims=True)


def fading(kind: str, arrays: Sequence[Array], inputs: Array, d_last: Array) -> Array:
    """Measure how strongly an output depends on each state before it.

    Args:
        kind: Of the network: `simple` or `lstm`.
        arrays: Its kernel, recurrent kernel and bias, as Keras lays them out.
        inputs: `<float>[batch, time, dim]`.
        d_last: The output by the last hidden state, `<float>[units]`.

    Returns:
        Norm of the output's derivative by the cell state (`lstm`) or the hidden state (`simple`),
        mean over the batch, by distance from the last step, `<float64>[time]`; 1 at distance 0.
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
    """Return an output's derivative by every state of h(t) = tanh(W x(t) + U h(t-1) + b).

    Source: Elman 1990, "Finding Structure in Time", with tanh.

    Args:
        kernel: W, `<float>[dim, units]`.
        recurrent: U, `<float>[units, units]`.
        bias: b, `<float>[units]`.
        inputs: x, `<float>[batch, time, dim]`.
        d_last: The output by the last state, `<float>[units]`.
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
    """List the distances from the last step at which gradients are noted."""
    return [int(d) for d in np.unique(np.linspace(0, length - 1, _POINTS + 1).round())]


def _fades(
    kind: str, model: Any, inputs: Array, settings: argparse.Namespace
) -> dict[str, list[float]]:
    """Measure the gradient of an untrained network; of an LSTM at each forget bias."""
    if kind == "simple":
        return {"untrained": _fade(kind, model, inputs)}
    biases = report.numbers(settings.forget_biases)
    return {f"forget bias {bias}": _fade(kind, model, inputs, bias) for bias in biases}


def _fade(kind: str, model: Any, inputs: Array, forget_bias: float | None = None) -> list[float]:
    kernel, recurrent, bias = model.layers[0].get_weights()
    if forget_bias is not None:
        units = len(recurrent)
        bias[units : 2 * units] = forget_bias
    d_last = model.layers[1].get_weights()[0][:, 0]
    norms = fading(kind, (kernel, recurrent, bias), inputs, d_last)
    return [float(f"{norms[d]:.3g}") for d in distances(inputs.shape[1])]


def _summary(kind: str, length: int, found: Sequence[Trained]) -> dict[str, Any]:
    return {
        "kind": kind,
        "length": length,
        "error": report.spread([round(t.error, 5) for t in found]),
        "updates": report.spread([t.updates for t in found]),
        "solved": sum(t.error < 2 * _SOLVED for t in found),
        "seconds": report.spread([round(t.seconds, 1) for t in found]),
        "curves": [[round(e, 4) for e in t.curve] for t in found],
    }


def _adding_table(adding: Sequence[dict[str, Any]]) -> Table:
    rows = [
        (
            f"{a['kind']}, {a['length']}",
            report.shown(a["error"], 4),
            f"{a['solved']} of {len(a['curves'])}",
            report.shown(a["updates"], 0),
            report.shown(a["seconds"], 0),
        )
        for a in adding
    ]
    return Table(
        "The adding problem (always saying 1: 0.1667)",
        ("network, length", "mean squared error", "solved", "updates", "s"),
        rows,
    )


def _fading_table(fades: dict[str, list[list[float]]], length: int) -> Table:
    places = [distances(length).index(d) for d in distances(length)[1 :: max(1, _POINTS // 4)]]
    rows = [
        (name, *(f"{_middle([fade[p] for fade in found]):.1e}" for p in places))
        for name, found in fades.items()
    ]
    columns = ("network", *(f"{distances(length)[p]} steps" for p in places))
    return Table("Gradient left, geometric mean over seeds", columns, rows)


def _middle(values: Sequence[float]) -> float:
    """Return the geometric mean; what is too small for a number counts as the smallest there is."""
    return float(np.exp(np.mean(np.log(np.maximum(values, np.finfo(np.float64).tiny)))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("memory", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
