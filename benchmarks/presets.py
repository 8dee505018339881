"""Train the presets with the command line, from a cold start.

Each training is one `lstm train PRESET --seed S` in a new process with an empty cache: load,
tokenize, train, validate, export, test. Seconds and memory are those of the whole process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.config.load import load_preset

OPTIONS = (
    Option("presets", "presets, separated by commas", "imdb,mnist,demo,digits", "demo"),
    Option("seeds", "seeds, separated by commas", "0,1,2", "0"),
    Option("runs_dir", "folder in which to keep the runs, as DATASET/PRESET-SEED", "", ""),
)
_QUICK = ("--limit", "64", "--epochs", "1")


@dataclass(frozen=True)
class _Target:
    """The goals of a preset on 2 cores: test accuracy, seconds, and memory in MiB."""

    accuracy: float
    seconds: float
    peak_mb: float | None = None


_TARGETS = {
    "imdb": _Target(0.92, 240, 2560),
    "mnist": _Target(0.994, 300),
    "demo": _Target(0.95, 60),
}


def measure(settings: argparse.Namespace) -> Outcome:
    """Train every preset with every seed, one after the other."""
    presets, seeds = settings.presets.split(","), report.parse_numbers(settings.seeds)
    report.require_data(*(load_preset(preset).data.name for preset in presets))
    results = {}
    for preset in presets:
        runs = [_train(preset, seed, settings) for seed in seeds]
        results[preset] = {
            "runs": runs,
            **{key: report.spread([run[key] for run in runs]) for key in _METRICS},
        }
    return Outcome(
        {"seeds": seeds, "presets": results},
        [_table(results, len(seeds))],
        [] if settings.quick else _goals(results),
        ["The goals apply to the mean of accuracy and seconds, and to the maximum of memory."],
    )


_METRICS = ("accuracy", "seconds", "peak_mb", "epochs")


def _train(preset: str, seed: int, settings: argparse.Namespace) -> dict[str, Any]:
    report.log(f"lstm train {preset} --seed {seed}")
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        runs_dir = str(Path(settings.runs_dir).absolute()) if settings.runs_dir else temp_dir
        command = [child.lstm_command(), "train", preset, "--seed", str(seed), "--json"]
        command += ["--runs-dir", runs_dir, "--name", f"{preset}-{seed}"]
        command += _QUICK if settings.quick else ()
        process = child.run(command, {"LSTM_CACHE_DIR": str(Path(temp_dir, "cache"))})
    result = json.loads(process.stdout)
    report.log(f"  {result['metrics']['test']['accuracy']:.4f} in {process.seconds:.1f} s")
    return {
        "seed": seed,
        "accuracy": result["metrics"]["test"]["accuracy"],
        "validation_accuracy": result["metrics"]["validation"]["accuracy"],
        "seconds": process.seconds,
        "peak_mb": process.peak_mb,
        "epochs": result["epochs"],
        "best_epoch": result["best_epoch"],
        "parts": result["seconds"],
    }


def _table(results: Mapping[str, Any], num_seeds: int) -> Table:
    rows = [
        (
            preset,
            report.format_spread(values["accuracy"], 4),
            f"{values['accuracy']['min']:.4f} to {values['accuracy']['max']:.4f}",
            report.format_spread(values["seconds"]),
            report.format_spread(values["peak_mb"], 0),
            report.format_spread(values["epochs"], 0),
        )
        for preset, values in results.items()
    ]
    columns = ("preset", "test accuracy", "min to max", "seconds", "peak MiB", "epochs")
    return Table(f"lstm train PRESET, {num_seeds} seed(s), mean ± sd", columns, rows)


def _goals(results: Mapping[str, Any]) -> list[Goal]:
    goals = []
    for preset, target in _TARGETS.items():
        if preset not in results:
            continue
        values = results[preset]
        goals += [
            report.at_least(
                f"{preset}: test accuracy", values["accuracy"]["mean"], target.accuracy, 4
            ),
            report.at_most(f"{preset}: seconds", values["seconds"]["mean"], target.seconds),
        ]
        if target.peak_mb:
            peak = values["peak_mb"]["max"]
            goals.append(report.at_most(f"{preset}: peak MiB", peak, target.peak_mb, 0))
    return goals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("presets", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
