"""A training step compared with the matrix products in it, and the fraction of padding.

The model of a preset takes training steps on random tokens, for several batch sizes and lengths.
Each is compared with its floor: the time of the matrix products of LSTM and regions alone, at the
highest rate that NumPy reaches in the same run. The fraction of padding is computed for the batches
of real training.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import floor, report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.config.load import load_preset
from lstm_cli.config.schema import Config
from lstm_cli.text import batching
from lstm_cli.text.corpus import fit_and_encode

OPTIONS = (
    Option("preset", "preset of the model and the batches", "imdb", "demo"),
    Option("batch_sizes", "batch sizes, separated by commas", "16,32,64,128", "4,8"),
    Option("lengths", "lengths in tokens, separated by commas", "100,200,400", "16"),
    Option("steps", "timed steps for each, after two warm-up steps", 10, 2),
    Option("epochs", "epochs over which padding is averaged", 3, 1),
)
_WARM_UP = 2
_MAX_PADDING = 0.05
_MAX_RATIO = 3


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure the floor, the steps, and the padding."""
    config = load_preset(settings.preset)
    if config.text is None:
        raise report.usage_error(f"'{settings.preset}' classifies images; this measures texts.")
    report.require_data(config.data.name)
    report.log("matrix products")
    rates = {"large": floor.gemm_rate()}
    for size in report.parse_numbers(settings.batch_sizes):
        # The matrix product of one time step is too small for the rate of large products.
        inner = floor.input_dim(config) + config.model.units
        rates[f"batch {size}"] = floor.gemm_rate(size, inner, 4 * config.model.units, 200)
    steps = _steps(config, max(rates.values()), settings)
    report.log("padding")
    padding = _padding(config, settings.epochs)
    return Outcome(
        {"gemm_gflops": rates, "steps": steps, "padding": padding},
        [_rate_table(rates), _step_table(settings.preset, steps), _padding_table(padding)],
        [] if settings.quick else _goals(padding, steps),
        [
            "The floor is the time of the matrix products of the LSTM, and of the regions once, at "
            "the highest of these rates. A step also looks up words, computes gates, and updates "
            "every row of the embeddings."
        ],
    )


def _steps(config: Config, rate: float, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Time training steps for each batch size and length."""
    from lstm_cli.training import device

    device.load_keras("cpu")
    from lstm_cli.models import classifier

    if config.train.deterministic:
        device.make_deterministic()
    assert config.text is not None
    model = classifier.build_classifier(config, 2, config.text.vocab_size, None)
    classifier.compile_classifier(model, config.train, 2)
    results = []
    for batch_size in report.parse_numbers(settings.batch_sizes):
        for length in report.parse_numbers(settings.lengths):
            report.log(f"batch {batch_size}, length {length}")
            times = _time(model, config, batch_size, length, settings.steps)
            flops = floor.training_flops(config) * batch_size * length
            floor_ms = flops / rate / 1e6
            results.append(
                {
                    "batch_size": batch_size,
                    "length": length,
                    "ms": report.spread(times),
                    "floor_ms": floor_ms,
                    "tokens_per_second": 1000 * batch_size * length / float(np.median(times)),
                }
            )
    return results


def _time(model: Any, config: Config, batch_size: int, length: int, steps: int) -> list[float]:
    """Return the milliseconds of each step on random texts without padding."""
    assert config.text is not None
    rng = np.random.default_rng(0)
    times = []
    for step in range(_WARM_UP + steps):
        inputs: Any = rng.integers(2, config.text.vocab_size, (batch_size, length), np.int32)
        if config.linear is not None:
            inputs = [inputs, np.zeros((batch_size, 1), np.float32)]
        labels = rng.integers(0, 2, (batch_size, 1)).astype(np.float32)
        start = time.perf_counter()
        logs = model.train_on_batch(inputs, labels, return_dict=True)
        float(logs["loss"])
        if step >= _WARM_UP:
            times.append(1000 * (time.perf_counter() - start))
    return times


def _padding(config: Config, epochs: int) -> dict[str, Any]:
    """Return the fraction of padding in the batches of training, with and without bucketing."""
    from lstm_cli.training.prepare import load_data, vocabulary_texts

    assert config.text is not None
    texts = vocabulary_texts(load_data(config, ("train", "validation"), None))
    lengths = fit_and_encode(texts, config.text, config.char_buckets)[1].lengths
    size = config.train.batch_size
    fractions = [
        batching.padding_fraction(
            lengths, batching.training_batches(lengths, size, config.seed, epoch)
        )
        for epoch in range(epochs)
    ]
    order = np.random.default_rng(config.seed).permutation(len(lengths))
    shuffled = [order[i : i + size] for i in range(0, len(order), size)]
    return {
        "batch_size": size,
        "examples": len(lengths),
        "bucketed": report.spread(fractions),
        "shuffled": batching.padding_fraction(lengths, shuffled),
        "to_longest": 1 - float(lengths.mean()) / int(lengths.max()),
    }


def _rate_table(rates: dict[str, float]) -> Table:
    rows = [(name, f"{rate:,.0f}") for name, rate in rates.items()]
    return Table("Matrix products, NumPy, float32", ("", "GFLOP/s"), rows)


def _step_table(preset: str, steps: Sequence[dict[str, Any]]) -> Table:
    rows = [
        (
            str(s["batch_size"]),
            str(s["length"]),
            f"{s['ms']['median']:.1f}",
            f"{s['ms']['min']:.1f} to {s['ms']['max']:.1f}",
            f"{s['floor_ms']:.1f}",
            f"{s['floor_ms'] / s['ms']['median']:.0%}",
            f"{s['tokens_per_second']:,.0f}",
        )
        for s in steps
    ]
    columns = (
        "batch",
        "length",
        "ms a step, median",
        "from, to",
        "floor",
        "floor / median",
        "tokens/s",
    )
    return Table(f"Training steps, model of preset {preset}", columns, rows)


def _padding_table(padding: dict[str, Any]) -> Table:
    rows = [
        ("in training: bucketed by length", f"{padding['bucketed']['mean']:.1%}"),
        ("shuffled, each batch padded to its longest text", f"{padding['shuffled']:.1%}"),
        ("all padded to the longest text", f"{padding['to_longest']:.1%}"),
    ]
    return Table(f"Padding in batches of {padding['batch_size']}", ("", "fraction"), rows)


def _goals(padding: dict[str, Any], steps: Sequence[dict[str, Any]]) -> list[Goal]:
    fraction = padding["bucketed"]["mean"]
    goals = [report.at_most("fraction of padding in training", fraction, _MAX_PADDING, 3)]
    for step in steps:
        if (step["batch_size"], step["length"]) == (128, 200):
            ratio = step["ms"]["median"] / step["floor_ms"]
            goals.append(
                report.at_most("step of 128 texts of 200 tokens / floor", ratio, _MAX_RATIO)
            )
    return goals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("step", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
