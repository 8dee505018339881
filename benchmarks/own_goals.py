"""The comparison of `lstm train` with the baselines on own data, and its goals."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import report
from benchmarks.report import Goal

# Against the best baseline: the lowest difference of a set, the fraction of sets above it, and the
# mean difference.
_MIN_DIFFERENCE, _MIN_FRACTION_ABOVE, _MIN_MEAN = -0.002, 2 / 3, 0.007
# The calibration error of sets with so many training texts.
_MAX_ECE, _ECE_SIZE = 0.03, 5000


@dataclass(frozen=True)
class _Target:
    """The goals of a data set: test accuracy, seconds on 2 idle cores, and memory in MiB."""

    accuracy: float | None = None
    seconds: float | None = None
    peak_mb: float | None = None


_TARGETS = {
    "banking77": _Target(0.925, 45),
    "trec6": _Target(0.912, 15),
    "cr": _Target(0.815),
    "mr": _Target(0.802),
    "subj": _Target(0.937),
    "waimai": _Target(0.906),
    "germeval18": _Target(0.757),
    "sent_arabic": _Target(0.508),
    "sent_french": _Target(0.615),
    "large": _Target(seconds=300, peak_mb=2560),
}


def compare(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the best baseline and the difference of `lstm` to it; empty if one was not measured.

    Args:
        result: `baselines` and `lstm`, each with its accuracy as a spread.
    """
    baselines = result.get("baselines")
    if not baselines:
        return {}
    best = max(baselines, key=lambda kind: baselines[kind]["accuracy"]["mean"])
    accuracy = baselines[best]["accuracy"]["mean"]
    if "lstm" not in result:
        return {"best": best}
    return {"best": best, "difference": result["lstm"]["accuracy"]["mean"] - accuracy}


def summarize(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the worst and the mean difference, and how many sets are above; empty if none is."""
    differences = {n: r["difference"] for n, r in results.items() if "difference" in r}
    if not differences:
        return {}
    worst = min(differences, key=lambda name: differences[name])
    return {
        "num_sets": len(differences),
        "num_above": sum(difference > 0 for difference in differences.values()),
        "worst_set": worst,
        "worst_difference": differences[worst],
        "mean_difference": statistics.fmean(differences.values()),
    }


def goals(results: Mapping[str, Any], num_failed: int, folds: int) -> list[Goal]:
    """Return the goals. Those for accuracy and time of single sets apply to the test split only."""
    found = [report.at_most("data sets that failed", num_failed, 0, 0)]
    if summary := summarize(results):
        worst, above = summary["worst_difference"], summary["num_above"] / summary["num_sets"]
        mean = summary["mean_difference"]
        worst_name = f"worst difference ({summary['worst_set']})"
        found += [
            Goal(worst_name, f">= {_MIN_DIFFERENCE}", f"{worst:+.4f}", worst >= _MIN_DIFFERENCE),
            Goal("fraction of sets above", ">= 2/3", f"{above:.2f}", above >= _MIN_FRACTION_ABOVE),
            Goal("mean difference", f">= {_MIN_MEAN}", f"{mean:+.4f}", mean >= _MIN_MEAN),
        ]
    for name, result in results.items():
        if "lstm" in result and not folds:
            found += _set_goals(name, result)
    return found


def _set_goals(name: str, result: Mapping[str, Any]) -> list[Goal]:
    """Return the goals of one data set."""
    lstm, target, found = result["lstm"], _TARGETS.get(name, _Target()), []
    if target.accuracy:
        accuracy = lstm["accuracy"]["mean"]
        found.append(report.at_least(f"{name}: test accuracy", accuracy, target.accuracy, 4))
    if result["num_train"] >= _ECE_SIZE:
        found.append(report.at_most(f"{name}: calibration error", lstm["ece"]["mean"], _MAX_ECE, 3))
    if target.seconds:
        seconds = lstm["seconds"]["mean"]
        found.append(report.at_most(f"{name}: seconds", seconds, target.seconds))
    if target.peak_mb:
        peak = lstm["peak_mb"]["max"]
        found.append(report.at_most(f"{name}: peak MiB", peak, target.peak_mb, 0))
    return found
