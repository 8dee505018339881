"""How many wrong labels `lstm data issues` finds: labels of `NAME/train.csv` are changed at random.

Of each data set of the folder, a fraction of the labels is replaced by another class. Then the rows
are listed as for a file, by cross-validation of the linear model. `test.csv` is not read.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.own_data import TextSet, find_sets
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.data.source import sort_labels
from lstm_cli.evaluation.label_issues import rank_issues
from lstm_cli.evaluation.linear_folds import out_of_fold_probabilities

OPTIONS = (
    Option("folder", "folder with NAME/train.csv", kind="argument"),
    Option("sets", "names of data sets, separated by commas (all)", "", ""),
    Option("wrong", "fraction of the labels to change", 0.05, 0.05),
    Option("listed", "fraction of all rows that is looked at, from the top of the list", 0.1, 0.1),
    Option("seeds", "number of draws", 3, 1),
)
_QUICK_ROWS = 200
_MIN_FOUND = 0.7


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure each data set."""
    names = settings.sets.split(",") if settings.sets else []
    sets, skipped = find_sets(Path(settings.folder), names, 2)
    results = {text_set.name: _measure_set(text_set, settings) for text_set in sets}
    goals = [
        report.at_least(f"{name}, found", result["found"]["mean"], _MIN_FOUND, 3)
        for name, result in results.items()
    ]
    return Outcome(
        {"sets": results, "skipped": skipped},
        [_table(results, settings)],
        [] if settings.quick else _only(goals, "subj"),
        [f"Skipped {name}: {why}." for name, why in skipped.items()],
    )


def _only(goals: list[Goal], name: str) -> list[Goal]:
    return [goal for goal in goals if goal.metric.startswith(name)]


def _measure_set(text_set: TextSet, settings: argparse.Namespace) -> dict[str, Any]:
    """Change labels with each seed, and count which of them are listed."""
    report.log(text_set.name)
    names = sort_labels(text_set.rows.labels)
    ids = {name: i for i, name in enumerate(names)}
    labels = np.array([ids[label] for label in text_set.rows.labels], np.int32)
    texts = text_set.rows.texts
    if settings.quick:
        labels, texts = labels[:_QUICK_ROWS], texts[:_QUICK_ROWS]
    draws = [_measure_draw(texts, labels, len(names), seed, settings) for seed in _seeds(settings)]
    return {
        "rows": len(texts),
        "classes": len(names),
        **{key: report.spread([draw[key] for draw in draws]) for key in draws[0]},
    }


def _seeds(settings: argparse.Namespace) -> range:
    return range(int(settings.seeds))


def _measure_draw(
    texts: Sequence[str], labels: Any, num_classes: int, seed: int, settings: argparse.Namespace
) -> dict[str, float]:
    rng, num = np.random.default_rng(seed), len(labels)
    wrong = rng.permutation(num)[: round(float(settings.wrong) * num)]
    changed = labels.copy()
    changed[wrong] = (labels[wrong] + rng.integers(1, num_classes, len(wrong))) % num_classes
    start = time.perf_counter()
    probabilities = out_of_fold_probabilities(texts, changed, num_classes)
    rows, _, is_probable = rank_issues(changed, probabilities)
    seconds = time.perf_counter() - start
    is_wrong = np.isin(rows, wrong)
    num_top = round(float(settings.listed) * num)
    return {
        "found": is_wrong[:num_top].sum() / len(wrong),
        "num_probable": int(is_probable.sum()),
        "right_of_probable": float(is_wrong[is_probable].mean()) if is_probable.any() else 0.0,
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == changed)),
        "seconds": seconds,
    }


def _table(results: Mapping[str, Mapping[str, Any]], settings: argparse.Namespace) -> Table:
    rows = [
        (
            f"{name} ({result['rows']:,}, {result['classes']})",
            report.format_spread(result["found"], 3),
            report.format_spread(result["num_probable"], 0),
            report.format_spread(result["right_of_probable"], 2),
            report.format_spread(result["accuracy"], 3),
            report.format_spread(result["seconds"], 1),
        )
        for name, result in results.items()
    ]
    columns = (
        "data set (rows, classes)",
        f"changed labels in the first {float(settings.listed):.0%}",
        "listed as probably wrong",
        "changed, of these",
        "labels predicted",
        "seconds",
    )
    return Table(f"{float(settings.wrong):.0%} of the labels changed", columns, rows)


if __name__ == "__main__":
    raise SystemExit(report.main("label_issues", __doc__, OPTIONS, measure))
