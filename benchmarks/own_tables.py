"""The tables of `benchmarks.own`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks import report
from benchmarks.report import Table

# What `scripts/text_baseline.py` trains, and the column of the table.
BASELINES = {
    "words": "SVM words",
    "chars": "SVM chars",
    "both": "SVM both",
    "fasttext": "fastText",
}


def tables(results: Mapping[str, Any], folds: int) -> list[Table]:
    """Return the comparison, and what else was measured of `lstm` and of the baselines."""
    what = f"cross-validated on train, {folds} folds" if folds else "test split"
    found = [_comparison(results, f"Accuracy, {what}, mean ± sd over the seeds")]
    if any("lstm" in result for result in results.values()):
        found.append(_details(results))
    if any("baselines" in result for result in results.values()):
        found.append(_seconds(results))
    return found


def summary_line(summary: Mapping[str, Any]) -> str:
    """Return the summary of the differences as a sentence; empty if there are none."""
    if not summary:
        return ""
    return (
        f"Above the best baseline on {summary['num_above']} of {summary['num_sets']} sets; "
        f"mean difference {summary['mean_difference']:+.4f}, "
        f"worst {summary['worst_difference']:+.4f} ({summary['worst_set']})."
    )


def _comparison(results: Mapping[str, Any], title: str) -> Table:
    rows = []
    for name, result in results.items():
        baselines, lstm = result.get("baselines", {}), result.get("lstm")
        best = result.get("best")
        difference = f"{result['difference']:+.4f}" if "difference" in result else ""
        rows.append(
            (
                f"{name} ({result['num_train']:,}, {result['num_classes']})",
                _metric(lstm, "accuracy", 4),
                _metric(lstm, "seconds", 1),
                *(_metric(baselines.get(kind), "accuracy", 4) for kind in BASELINES),
                f"{BASELINES[best]} {baselines[best]['accuracy']['mean']:.4f}" if best else "",
                difference,
            )
        )
    columns = (
        "set (train texts, classes)", "lstm train", "seconds", *BASELINES.values(),
        "best baseline", "difference",
    )  # fmt: skip
    return Table(title, columns, rows)


def _details(results: Mapping[str, Any]) -> Table:
    digits = {"macro_f1": 4, "ece": 3, "loss": 3, "peak_mb": 0}
    rows = [
        (name, *(_metric(result.get("lstm"), key, digits[key]) for key in digits))
        for name, result in results.items()
    ]
    columns = ("set", "macro F1", "calibration error", "loss", "peak MiB")
    return Table("lstm train", columns, rows)


def _seconds(results: Mapping[str, Any]) -> Table:
    rows = [
        (name, *(_metric(result.get("baselines", {}).get(k), "seconds", 1) for k in BASELINES))
        for name, result in results.items()
    ]
    return Table("Seconds of the baselines", ("set", *BASELINES.values()), rows)


def _metric(measured: Mapping[str, Any] | None, key: str, digits: int) -> str:
    """Format the spread of a metric; empty if it was not measured."""
    return report.format_spread(measured[key], digits) if measured else ""
