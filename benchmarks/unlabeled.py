"""Few labels and many texts: what `lstm train --unlabeled` brings, on a folder of data sets.

The folder holds `NAME/train.csv` and `NAME/test.csv` with the columns text and label. Each draw
takes some rows of train, stratified by class, as the labeled ones, and the texts of the others as
unlabeled ones. `lstm train` runs with and without the latter, each in a new process with an empty
cache. To choose settings, take `--held-out N`: it measures on N more rows of train, and never reads
`test.csv`.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import child, report
from benchmarks.own_data import TextSet, find_sets, write_table
from benchmarks.report import Goal, Option, Outcome, Table

OPTIONS = (
    Option("folder", "folder with NAME/train.csv and NAME/test.csv", kind="argument"),
    Option("sets", "names of data sets, separated by commas (all)", "", ""),
    Option("labels", "number of labeled rows", 500, 20),
    Option("draws", "number of draws", 5, 1),
    Option("held_out", "measure on so many rows of train; 0: use test.csv", 0, 0),
    Option("set", "KEY=VALUE for lstm train; repeatable", (), (), "list"),
)
_QUICK = ("--limit", "64", "--epochs", "1")
_MIN_MEAN, _MIN_DIFFERENCE = 0.015, -0.003
_SEED = 15


@dataclass(frozen=True)
class _Draw:
    """The tables of a draw: labeled rows, unlabeled texts, and rows to measure on."""

    labeled: Path
    unlabeled: Path
    test: Path


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure each data set with and without unlabeled texts."""
    names = settings.sets.split(",") if settings.sets else []
    sets, skipped = find_sets(Path(settings.folder), names, settings.held_out)
    results = {text_set.name: _measure_set(text_set, settings) for text_set in sets}
    return Outcome(
        {"sets": results, "skipped": skipped},
        [_table(results)],
        [] if settings.quick else _goals(results),
        [f"Skipped {name}: {why}." for name, why in skipped.items()],
    )


def _measure_set(text_set: TextSet, settings: argparse.Namespace) -> dict[str, Any]:
    """Train on all draws of a data set."""
    runs: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    for number in range(settings.draws):
        with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
            draw = _write_draw(text_set, number, settings, Path(temp_dir))
            for kind, extra in (("without", ()), ("with", ("--unlabeled", str(draw.unlabeled)))):
                run = _train(draw, extra, settings)
                runs[kind].append(run)
                report.log(
                    f"{text_set.name}, draw {number}, {kind} unlabeled texts: "
                    f"{run['accuracy']:.4f} in {run['seconds']:.1f} s"
                )
    pairs = zip(runs["with"], runs["without"], strict=True)
    gains = [more["accuracy"] - less["accuracy"] for more, less in pairs]
    spreads = {
        kind: {key: report.spread([run[key] for run in of_kind]) for key in of_kind[0]}
        for kind, of_kind in runs.items()
    }
    return {**spreads, "gain": report.spread(gains)}


def _write_draw(
    text_set: TextSet, number: int, settings: argparse.Namespace, folder: Path
) -> _Draw:
    """Write the tables of a draw.

    Raises:
        LstmError: Train has too few rows.
    """
    texts, labels = text_set.rows.texts, np.array(text_set.rows.labels)
    if len(texts) <= settings.held_out + settings.labels:
        raise report.usage_error(
            f"{text_set.name} has {len(texts):,} rows; expected more than "
            f"{settings.held_out + settings.labels:,} for --labels and --held-out."
        )
    rng = np.random.default_rng([_SEED, number])
    held_out = stratified_rows(labels, settings.held_out, rng)
    rest = np.setdiff1d(np.arange(len(texts)), held_out)
    labeled = rest[stratified_rows(labels[rest], settings.labels, rng)]
    draw = _Draw(folder / "labeled.csv", folder / "unlabeled.csv", folder / "test.csv")
    write_table(draw.labeled, [(texts[i], labels[i]) for i in labeled])
    with draw.unlabeled.open("w", encoding="utf-8", newline="") as file:
        rows = np.setdiff1d(rest, labeled)
        csv.writer(file).writerows([("text",), *((texts[i],) for i in rows)])
    if not settings.held_out:
        return _Draw(draw.labeled, draw.unlabeled, (text_set.folder / "test.csv").absolute())
    write_table(draw.test, [(texts[i], labels[i]) for i in held_out])
    return draw


def stratified_rows(
    labels: NDArray[np.str_], num: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw rows, of each class as many as its share; the rest goes to the largest remainders."""
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * num / len(labels)
    quota = np.floor(exact).astype(int)
    quota[np.argsort(quota - exact, kind="stable")[: num - quota.sum()]] += 1
    rows = [
        rng.permutation(np.flatnonzero(labels == name))[:size]
        for name, size in zip(classes, quota, strict=True)
    ]
    return np.sort(np.concatenate(rows))


def _train(draw: _Draw, extra: Sequence[str], settings: argparse.Namespace) -> dict[str, float]:
    """Train with the command line, from a cold start."""
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        command = [child.lstm_command(), "train", str(draw.labeled), *extra, "--json"]
        command += ["--set", f"data.test_file={draw.test}", "--runs-dir", temp_dir]
        command += [word for change in settings.set for word in ("--set", change)]
        command += _QUICK if settings.quick else ()
        process = child.run(command, {"LSTM_CACHE_DIR": str(Path(temp_dir, "cache"))})
    test = json.loads(process.stdout)["metrics"]["test"]
    return {
        "accuracy": test["accuracy"],
        "loss": test["loss"],
        "ece": test["calibration_error"],
        "seconds": process.seconds,
        "peak_mb": process.peak_mb,
    }


def _table(results: Mapping[str, Any]) -> Table:
    columns = ("set", "without", "with unlabeled texts", "gain", "smallest gain", "s", "s with")
    rows = [
        [
            name,
            report.format_spread(result["without"]["accuracy"], 4),
            report.format_spread(result["with"]["accuracy"], 4),
            f"{result['gain']['mean']:+.4f}",
            f"{result['gain']['min']:+.4f}",
            f"{result['without']['seconds']['mean']:.1f}",
            f"{result['with']['seconds']['mean']:.1f}",
        ]
        for name, result in results.items()
    ]
    return Table("Test accuracy with and without unlabeled texts", columns, rows)


def _goals(results: Mapping[str, Any]) -> list[Goal]:
    gains = [gain for result in results.values() for gain in result["gain"]["values"]]
    return [
        report.at_least("mean gain", statistics.fmean(gains), _MIN_MEAN, 4),
        report.at_least("smallest gain of a draw", min(gains), _MIN_DIFFERENCE, 4),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("unlabeled", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
