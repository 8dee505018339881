"""Whether the forecasts of `lstm data curve` come true, on a folder of data sets.

The points with at most half of the rows are extrapolated to all rows, and compared with what was
measured there. `test.csv` is not read.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.own_data import TextSet, find_sets
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.data.dataset import Split
from lstm_cli.data.source import sort_labels
from lstm_cli.evaluation.learning_curve import FRACTIONS, score_parts
from lstm_cli.evaluation.power_law import fit_power_laws

OPTIONS = (
    Option("folder", "folder with NAME/train.csv", kind="argument"),
    Option("sets", "names of data sets, separated by commas (all)", "", ""),
    Option("known", "the largest fraction of the rows that is extrapolated from", 0.5, 0.5),
)
_QUICK_ROWS = 200


def measure(settings: argparse.Namespace) -> Outcome:
    """Extrapolate the curve of each data set."""
    names = settings.sets.split(",") if settings.sets else []
    sets, skipped = find_sets(Path(settings.folder), names, 2)
    results = {text_set.name: _measure_set(text_set, settings) for text_set in sets}
    num_inside = sum(result["inside"] for result in results.values())
    is_met = num_inside >= 0.9 * len(results)
    goal = Goal("in the interval", ">= 90%", f"{num_inside} of {len(results)}", is_met)
    return Outcome(
        {"sets": results, "skipped": skipped},
        [_table(results)],
        [] if settings.quick else [goal],
        [f"Skipped {name}: {why}." for name, why in skipped.items()],
    )


def _measure_set(text_set: TextSet, settings: argparse.Namespace) -> dict[str, Any]:
    report.log(text_set.name)
    names = sort_labels(text_set.rows.labels)
    ids = {name: i for i, name in enumerate(names)}
    num = _QUICK_ROWS if settings.quick else None
    labels = np.array([ids[label] for label in text_set.rows.labels[:num]], np.int32)
    scores, sizes = score_parts(Split(text_set.rows.texts[:num], labels), len(names))
    accuracies = scores[:, :, 0]
    errors = 1 - accuracies.mean(axis=0)
    std_errors = accuracies.std(axis=0, ddof=1) / np.sqrt(len(accuracies))
    known = np.array(FRACTIONS) <= float(settings.known)
    laws = fit_power_laws(sizes[known], errors[known], std_errors[known])
    forecast = laws.forecast(int(sizes[-1]))
    return {
        "rows": sizes.tolist(),
        "accuracies": (1 - errors).tolist(),
        "std_errors": std_errors.tolist(),
        "known": 1 - float(errors[known][-1]),
        "forecast": 1 - forecast.error,
        "interval": [1 - forecast.high, 1 - forecast.low],
        "measured": 1 - float(errors[-1]),
        "inside": forecast.low <= float(errors[-1]) <= forecast.high,
    }


def _table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [
        (
            f"{name} ({result['rows'][-1]:,})",
            f"{result['known']:.3f}",
            f"{result['forecast']:.3f}",
            "{:.3f} to {:.3f}".format(*result["interval"]),
            f"{result['measured']:.3f}",
            "yes" if result["inside"] else "no",
        )
        for name, result in results.items()
    ]
    columns = ("data set (rows)", "accuracy with a part", "forecast", "90%", "measured", "inside")
    return Table("Learning curves, extrapolated to all rows", columns, rows)


if __name__ == "__main__":
    raise SystemExit(report.main("curve", __doc__, OPTIONS, measure))
