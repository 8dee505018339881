"""A search compared with the default settings, on a folder of data sets.

The folder holds `NAME/train.csv` and `NAME/test.csv` with the columns text and label. For each data
set, `lstm tune NAME/train.csv --test NAME/test.csv --time 20m` searches in a new process with an
empty cache. Then `lstm train` trains the default settings and the best ones with each seed; the
table has the test accuracy of both. The search itself reads no row of `test.csv` before its end.

Command:  python -m benchmarks.tune FOLDER --sets trec6,cr,sent_french
Time:     about 80 minutes on two idle cores
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import child, report
from benchmarks.own_data import TextSet, find_sets
from benchmarks.report import Goal, Option, Outcome, Table

# The mean gain of test accuracy that a search should bring.
_MIN_GAIN = 0.01
OPTIONS = (
    Option("folder", "folder with NAME/train.csv and NAME/test.csv", kind="argument"),
    Option("sets", "names of data sets, separated by commas (all)", "", ""),
    Option("time", "time of each search", "20m", "5s"),
    Option("jobs", "trials at once", 1, 1),
    Option("metric", "what the search optimizes", "accuracy", "accuracy"),
    Option("seeds", "seeds that both settings are trained with", "0,1,2", "0"),
)
# Settings of how rows are held out.
_HELD_OUT = ("data.folds", "data.validation_fraction", "train.refit")
_QUICK = ("--limit", "64", "--epochs", "1", "--set", "data.folds=0", "--set", "train.refit=false")


def measure(settings: argparse.Namespace) -> Outcome:
    """Search on each data set, and train both settings."""
    names = settings.sets.split(",") if settings.sets else []
    sets, skipped = find_sets(Path(settings.folder), names, 0)
    results = {each.name: _measure_set(Path(settings.folder), each, settings) for each in sets}
    gains = [result["gain"] for result in results.values()]
    goals = [] if settings.quick else _goals(results)
    return Outcome(
        {"sets": results, "mean_gain": statistics.fmean(gains)},
        [_table(results)],
        goals,
        [f"Skipped {name}: {why}." for name, why in skipped.items()],
    )


def _measure_set(folder: Path, text_set: TextSet, settings: argparse.Namespace) -> dict[str, Any]:
    """Measure one data set."""
    files = [str(folder / text_set.name / name) for name in ("train.csv", "test.csv")]
    data = [files[0], "--test", files[1], *(_QUICK if settings.quick else ())]
    found = _search(data, settings)
    # The winner trains on the rows that it was validated on too, if the search chose that.
    held_out = {key: found["shared"][key] for key in _HELD_OUT if key in found["shared"]}
    best = held_out | found["best"]["settings"]
    changes = [f"--set={key}={json.dumps(value)}" for key, value in best.items()]
    seeds = report.parse_numbers(settings.seeds)
    accuracies: dict[str, list[float]] = {"default": [], "best": []}
    # In turns, so that a busy machine slows both.
    for seed in seeds:
        accuracies["default"].append(_train([*data, "--seed", str(seed)]))
        accuracies["best"].append(_train([*_without(data, changes), "--seed", str(seed), *changes]))
    means = {name: statistics.fmean(values) for name, values in accuracies.items()}
    result = {
        "trials": found["trials"],
        "seconds": found["seconds"],
        "settings": best,
        "validation": {"default": found["default"], "best": found["best"]["value"]},
        "test": {name: report.spread(values) for name, values in accuracies.items()},
        "gain": means["best"] - means["default"],
    }
    report.log(f"{text_set.name}: {means['default']:.4f} to {means['best']:.4f}")
    return result


def _without(data: Sequence[str], changes: Sequence[str]) -> list[str]:
    """Return arguments without `--epochs` if the changes set the epochs."""
    if "--epochs" not in data or not any("train.epochs=" in change for change in changes):
        return list(data)
    position = data.index("--epochs")
    return [*data[:position], *data[position + 2 :]]


def _search(data: Sequence[str], settings: argparse.Namespace) -> dict[str, Any]:
    command = ["tune", *data, "--time", settings.time, "--jobs", str(settings.jobs)]
    return _run([*command, "--metric", settings.metric])


def _train(data: Sequence[str]) -> float:
    return float(_run(["train", *data])["metrics"]["test"]["accuracy"])


def _run(arguments: Sequence[str]) -> dict[str, Any]:
    """Run `lstm` with a folder of runs and a cache of its own; return its JSON."""
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        command = [child.lstm_command(), *arguments, "--json", "--runs-dir", temp_dir]
        process = child.run(command, {"LSTM_CACHE_DIR": str(Path(temp_dir, "cache"))})
    return dict(json.loads(process.stdout))


def _goals(results: Mapping[str, Any]) -> list[Goal]:
    gain = statistics.fmean(result["gain"] for result in results.values())
    found = [Goal("mean gain on test", f">= {_MIN_GAIN}", f"{gain:+.4f}", gain >= _MIN_GAIN)]
    for name, result in results.items():
        values = result["validation"]
        is_met = values["best"] >= values["default"]
        shown = f"{values['best']:.4f}"
        found.append(
            Goal(f"{name}: best on validation", f">= {values['default']:.4f}", shown, is_met)
        )
    return found


def _table(results: Mapping[str, Any]) -> Table:
    rows = [
        (
            name,
            f"{result['trials']['complete']} + {result['trials']['pruned']}",
            f"{result['validation']['default']:.4f}",
            f"{result['validation']['best']:.4f}",
            report.format_spread(result["test"]["default"], 4),
            report.format_spread(result["test"]["best"], 4),
            f"{result['gain']:+.4f}",
        )
        for name, result in results.items()
    ]
    columns = (
        "data set", "trials + pruned", "validation, default", "validation, best", "test, default",
        "test, best", "gain",
    )  # fmt: skip
    return Table("Accuracy of the default settings and of the best ones of a search", columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("tune", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
