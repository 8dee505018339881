"""The cost of determinism: training steps with and without `train.deterministic`.

The setting for deterministic operations is permanent for a process. So each preset has two
processes, one with each setting, with the same model and the same random batches. They take a few
steps in turn, and one waits while the other computes, so that other load on the machine affects
both.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import report, step_worker
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.config.load import load_preset

OPTIONS = (
    Option(
        "presets",
        "presets, separated by commas",
        "imdb,mnist",
        "digits",
    ),
    Option("length", "length of the texts, in tokens", 200, 16),
    Option("rounds", "rounds of each process", 16, 3),
    Option("steps", "steps per round", 4, 2),
    Option("device", "auto, cpu or gpu", "auto", "cpu"),
)
_KINDS = ("off", "on")
_MAX_RATIO = 1.1


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure every preset."""
    presets = settings.presets.split(",")
    for preset in presets:
        # Reports a mistyped name before the measurement.
        load_preset(preset)
    results = {preset: _measure_preset(preset, settings) for preset in presets}
    return Outcome(
        {"presets": results},
        [_table(results)],
        [] if settings.quick else _goals(results),
        [
            "The ratio is that of the minima, because other load only makes steps longer. "
            "Batches are random, so no data is needed."
        ],
    )


def _measure_preset(preset: str, settings: argparse.Namespace) -> dict[str, Any]:
    """Run two processes in turn; return the milliseconds of each and their ratio."""
    report.log(f"{preset}: starting two processes")
    times: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    with contextlib.ExitStack() as stack:
        # The second process starts when the first has compiled, so that they do not compete.
        workers = {
            kind: stack.enter_context(
                step_worker.start(preset, kind, settings.length, settings.device)
            )
            for kind in _KINDS
        }
        report.log(f"{preset}: {settings.rounds} rounds of {settings.steps} steps")
        for number in range(settings.rounds):
            # Alternating, because the first process warms up the processor for the second.
            for kind in _KINDS if number % 2 else reversed(_KINDS):
                times[kind] += workers[kind].take(settings.steps)
    return compare(times["off"], times["on"])


def compare(off: Sequence[float], on: Sequence[float]) -> dict[str, Any]:
    """Return the spread of both, and how much longer a step takes with determinism.

    Args:
        off: Milliseconds of each step without determinism.
        on: Milliseconds of each step with determinism.
    """
    spreads = {"off_ms": report.spread(off), "on_ms": report.spread(on)}
    ratios = {
        f"ratio_of_{which}": spreads["on_ms"][key] / spreads["off_ms"][key]
        for which, key in (("minima", "min"), ("medians", "median"))
    }
    return {**spreads, **ratios}


def _table(results: Mapping[str, Any]) -> Table:
    rows = [
        (
            preset,
            f"{values['off_ms']['min']:.1f}",
            f"{values['on_ms']['min']:.1f}",
            f"{values['ratio_of_minima']:.3f}",
            f"{values['off_ms']['median']:.1f}",
            f"{values['on_ms']['median']:.1f}",
            f"{values['ratio_of_medians']:.3f}",
        )
        for preset, values in results.items()
    ]
    columns = ("preset", "ms, min", "with", "ratio", "ms, median", "with", "ratio")
    return Table("A training step without and with train.deterministic", columns, rows)


def _goals(results: Mapping[str, Any]) -> list[Goal]:
    return [
        report.at_most(f"{preset}: step with / without", values["ratio_of_minima"], _MAX_RATIO, 3)
        for preset, values in results.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("determinism", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
