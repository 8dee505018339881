"""Keras' LSTM and `BlockLSTM`: milliseconds of result and gradients, both directions.

This is what the limit in `lstm_cli/models/block_lstm.py` was chosen by.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.report import Option, Outcome, Table

OPTIONS = (
    Option(
        "sizes",
        "BATCHxLENGTHxDIMxUNITS, separated by commas",
        "64x12x64x48,64x30x64x48,64x60x64x48,64x100x64x48,64x200x64x48,32x60x64x48,128x60x64x48,"
        "64x200x64x64,128x200x128x64",
        "2x3x4x5",
    ),
    Option("steps", "timed steps of each layer, alternating, after two warm-up steps", 20, 2),
)
_WARM_UP = 2


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure both layers for each size."""
    from lstm_cli.training import device

    device.load_keras("cpu")
    results = []
    for size in settings.sizes.split(","):
        report.log(size)
        batch, length, dim, units = (int(number) for number in size.split("x"))
        results.append(_compare(batch, length, dim, units, settings.steps))
    return Outcome({"sizes": results}, [_table(results)])


def _compare(batch: int, length: int, dim: int, units: int, steps: int) -> dict[str, Any]:
    """Time both layers in turn on the same random inputs."""
    from keras import layers

    from lstm_cli.models.block_lstm import BlockLSTM

    inputs = np.random.default_rng(0).normal(size=(batch, length, dim)).astype(np.float32)
    pairs = {
        "keras": [layers.LSTM(units, return_sequences=True) for _ in range(2)],
        "block": [BlockLSTM(units, f"lstm_{direction}") for direction in range(2)],
    }
    functions = {name: _gradients(pair, inputs) for name, pair in pairs.items()}
    times: dict[str, list[float]] = {name: [] for name in pairs}
    for step in range(_WARM_UP + steps):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if step >= _WARM_UP:
                times[name].append(1000 * (time.perf_counter() - start))
    products = batch * (dim + units) * 4 * units
    size = {"batch": batch, "length": length, "dim": dim, "units": units, "products": products}
    return {**size, **{name: report.spread(values) for name, values in times.items()}}


def _gradients(directions: Sequence[Any], inputs: Any) -> Callable[[], Any]:
    """Return a compiled function: the gradients of both directions by weights and inputs."""
    import tensorflow as tf

    x = tf.constant(inputs)
    for layer in directions:
        layer.build(inputs.shape)
    weights = [weight for layer in directions for weight in layer.trainable_variables]

    def gradients() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.add_n([tf.reduce_sum(tf.square(layer(x))) for layer in directions])
        return tape.gradient(total, [x, *weights])

    function: Callable[[], Any] = tf.function(gradients, input_signature=[], autograph=False)
    return function


def _table(results: Sequence[dict[str, Any]]) -> Table:
    columns = (
        "batch",
        "length",
        "dim",
        "units",
        "million products a step",
        "Keras ms",
        "block ms",
        "ratio",
    )
    rows = [
        [
            *(str(r[key]) for key in ("batch", "length", "dim", "units")),
            f"{r['products'] / 1e6:.2f}",
            f"{r['keras']['median']:.1f}",
            f"{r['block']['median']:.1f}",
            f"{r['block']['median'] / r['keras']['median']:.2f}",
        ]
        for r in results
    ]
    return Table("LSTM in two directions, forward and backward, medians", columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("kernels", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
