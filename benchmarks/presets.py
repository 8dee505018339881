"""The presets through the real command line, from cold.

Each training is one `lstm train PRESET --seed S` in a fresh process, with an empty cache: load,
tokenise, train, validate, export, test. Seconds and memory are those of the whole process.
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
    Option("presets", "presets, with commas between", "imdb,mnist,demo,digits", "demo"),
    Option("seeds", "seeds, with commas between", "0,1,2", "0"),
    Option("runs_dir", "keep the runs here, as DATASET/PRESET-SEED", "", ""),
)
_QUICK = ("--limit", "64", "--epochs", "1")


@dataclass(frozen=True)
class _Wanted:
    """What a preset should reach on 2 cores: test accuracy, seconds, and memory in MiB."""

    accuracy: float
    seconds: float
    peak_mb: float | None = None


_WANTED = {
    "imdb": _Wanted(0.905, 240, 2560),
    "mnist": _Wanted(0.992, 360),
    "demo": _Wanted(0.95, 60),
}


def measure(settings: argparse.Namespace) -> Outcome:
    """Train every preset with every seed, one after the other."""
    presets, seeds = settings.presets.split(","), report.numbers(settings.seeds)
    report.require_data(*(load_preset(preset).data.name for preset in presets))
    found = {}
    for preset in presets:
        runs = [_train(preset, seed, settings) for seed in seeds]
        found[preset] = {
            "runs": runs,
            **{key: report.spread([run[key] for run in runs]) for key in _FIGURES},
        }
    return Outcome(
        {"seeds": seeds, "presets": found},
        [_table(found, len(seeds))],
        [] if settings.quick else _goals(found),
        ["Accuracy and seconds are held to the goals by their means, memory by its maximum."],
    )


_FIGURES = ("accuracy", "seconds", "peak_mb", "epochs")


def _train(preset: str, seed: int, settings: argparse.Namespace) -> dict[str, Any]:
    report.say(f"lstm train {preset} --seed {seed}")
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as scratch:
        runs_dir = str(Path(settings.runs_dir).absolute()) if settings.runs_dir else scratch
        command = [child.lstm_command(), "train", preset, "--seed", str(seed), "--json"]
        command += ["--runs-dir", runs_dir, "--name", f"{preset}-{seed}"]
        command += _QUICK if settings.quick else ()
        ended = child.run(command, {"LSTM_CACHE_DIR": str(Path(scratch, "cache"))})
    told = json.loads(ended.stdout)
    report.say(f"  {told['metrics']['test']['accuracy']:.4f} in {ended.seconds:.1f} s")
    return {
        "seed": seed,
        "accuracy": told["metrics"]["test"]["accuracy"],
        "validation_accuracy": told["metrics"]["validation"]["accuracy"],
        "seconds": ended.seconds,
        "peak_mb": ended.peak_mb,
        "epochs": told["epochs"],
        "best_epoch": told["best_epoch"],
        "parts": told["seconds"],
    }


def _table(found: Mapping[str, Any], num_seeds: int) -> Table:
    rows = [
        (
            preset,
            report.shown(figures["accuracy"], 4),
            f"{figures['accuracy']['min']:.4f} to {figures['accuracy']['max']:.4f}",
            report.shown(figures["seconds"]),
            report.shown(figures["peak_mb"], 0),
            report.shown(figures["epochs"], 0),
        )
        for preset, figures in found.items()
    ]
    columns = ("preset", "test accuracy", "from, to", "seconds, cold", "peak MiB", "epochs")
    return Table(f"lstm train PRESET, {num_seeds} seed(s), mean ± sd", columns, rows)


def _goals(found: Mapping[str, Any]) -> list[Goal]:
    goals = []
    for preset, wanted in _WANTED.items():
        if preset not in found:
            continue
        figures = found[preset]
        goals += [
            report.at_least(
                f"{preset}: test accuracy", figures["accuracy"]["mean"], wanted.accuracy, 4
            ),
            report.at_most(f"{preset}: seconds", figures["seconds"]["mean"], wanted.seconds),
        ]
        if wanted.peak_mb:
            peak = figures["peak_mb"]["max"]
            goals.append(report.at_most(f"{preset}: peak MiB", peak, wanted.peak_mb, 0))
    return goals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("presets", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
