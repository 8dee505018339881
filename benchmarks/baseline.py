"""Time to accuracy on IMDB: `lstm` compared with alternatives.

The alternatives are the Keras tutorial script, scikit-learn (TF-IDF of words and bigrams, logistic
regression), and fastText if it is installed. They run one after the other, each in its own process,
and the time counts from the start of the process. The neural models write snapshots of their
weights during training; their test accuracies are computed afterwards.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table

OPTIONS = (
    Option("seeds", "seeds, separated by commas", "0,1,2", "0"),
    Option("tutorial_epochs", "epochs of the Keras script; each takes 80 to 100 s", 5, 1),
)
# The best test accuracy of the tutorial script in ten epochs; its fourth epoch reaches it.
TARGET = 0.859
_QUICK_LIMIT = 200
_MIN_SPEEDUP = 8.0


def measure(settings: argparse.Namespace) -> Outcome:
    """Run each system with each seed, one after the other."""
    seeds = report.parse_numbers(settings.seeds)
    data = "demo" if settings.quick else "imdb"
    report.require_data(data)
    results: dict[str, list[Any]] = {"Keras tutorial": [], "lstm": [], "TF-IDF + logistic": []}
    if importlib.util.find_spec("fasttext"):
        results["fastText bigrams"] = []
    for seed in seeds:
        for name in results:
            # Logistic regression on all of train does not depend on a seed.
            if name != "TF-IDF + logistic" or seed == seeds[0]:
                report.log(f"{name}, seed {seed}")
                results[name].append({"seed": seed, **_run(name, data, seed, settings)})
                report.log(f"  best {best(results[name][-1]):.4f}")
    ratios = [ratio(k, o) for k, o in zip(results["Keras tutorial"], results["lstm"], strict=True)]
    goals = [] if settings.quick else _goals(ratios)
    summaries = {name: _summarize(runs) for name, runs in results.items()}
    measurements = {
        "target": TARGET,
        "seeds": seeds,
        "systems": results,
        "summaries": summaries,
        "ratios": ratios,
    }
    notes = [
        "Seconds count from the start of the process, including imports and reading. 'own best' is "
        "the best test accuracy of the Keras script with the same seed.",
    ]
    if "fastText bigrams" not in results:
        notes.append("fastText is not installed and was left out.")
    return Outcome(measurements, [_table(summaries), _ratio_table(ratios)], goals, notes)


def best(run: Mapping[str, Any]) -> float:
    """Return the best test accuracy among a run's snapshots."""
    return max(float(snapshot["accuracy"]) for snapshot in run["snapshots"])


def seconds_to(run: Mapping[str, Any], accuracy: float) -> float | None:
    """Return the seconds to the first snapshot with this test accuracy; None if there is none."""
    reached = [s["seconds"] for s in run["snapshots"] if s["accuracy"] >= accuracy]
    return min(reached, default=None)


def ratio(keras: Mapping[str, Any], lstm: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the seconds of two runs to an accuracy of 0.859 and to the best one of Keras.

    If Keras never reaches 0.859, its total seconds are used, as a lower bound.
    """
    keras_best = best(keras)
    compared: dict[str, Any] = {"seed": keras["seed"], "keras_best": keras_best}
    for name, accuracy in (("target", TARGET), ("keras_best", keras_best)):
        keras_seconds, lstm_seconds = (seconds_to(run, accuracy) for run in (keras, lstm))
        bound = keras["total_seconds"] if keras_seconds is None else keras_seconds
        compared |= {
            f"keras_seconds_to_{name}": keras_seconds,
            f"lstm_seconds_to_{name}": lstm_seconds,
            f"ratio_to_{name}": None if lstm_seconds is None else bound / lstm_seconds,
        }
    return compared


def _run(name: str, data: str, seed: int, settings: argparse.Namespace) -> Any:
    """Run one system, with an empty cache."""
    if name == "Keras tutorial":
        return child.run_script("keras_tutorial", data, str(seed), str(settings.tutorial_epochs))
    if name == "TF-IDF + logistic":
        return child.run_script("tfidf", data)
    if name == "fastText bigrams":
        return child.run_script("fasttext_bigrams", data, str(seed))
    limit = str(_QUICK_LIMIT if settings.quick else 0)
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as cache:
        return child.run_script(
            "lstm_preset", data, str(seed), limit, environment={"LSTM_CACHE_DIR": cache}
        )


def _summarize(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarize the runs of a system; seconds to the target only of runs that reached it."""
    times = [t for run in runs if (t := seconds_to(run, TARGET)) is not None]
    return {
        "runs": len(runs),
        "best_accuracy": report.spread([best(run) for run in runs]),
        "reached_target": len(times),
        "seconds_to_target": report.spread(times) if times else None,
        "total_seconds": report.spread([run["total_seconds"] for run in runs]),
        "peak_mb": report.spread([run["peak_mb"] for run in runs]),
    }


def _table(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    for name, results in summaries.items():
        times = results["seconds_to_target"]
        reached = report.format_spread(times) if times else "never"
        if times and results["reached_target"] < results["runs"]:
            reached += f" ({results['reached_target']} of {results['runs']})"
        rows.append(
            (
                name,
                str(results["runs"]),
                report.format_spread(results["best_accuracy"], 4),
                reached,
                report.format_spread(results["total_seconds"]),
                report.format_spread(results["peak_mb"], 0),
            )
        )
    columns = ("", "runs", "best test accuracy", f"s to {TARGET}", "total s", "peak MiB")
    return Table("IMDB, mean ± sd", columns, rows)


def _ratio_table(ratios: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            f"seed {r['seed']}",
            *(
                _seconds(r[f"{who}_seconds_to_{what}"])
                for what in ("target", "keras_best")
                for who in ("keras", "lstm")
            ),
            *(_seconds(r[f"ratio_to_{what}"]) for what in ("target", "keras_best")),
        )
        for r in ratios
    ]
    columns = (
        "", f"Keras s to {TARGET}", "lstm", "Keras s to own best", "lstm", f"ratio at {TARGET}",
        "ratio at own best",
    )  # fmt: skip
    return Table("Keras tutorial against lstm", columns, rows)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:,.1f}"


def _goals(ratios: Sequence[Mapping[str, Any]]) -> list[Goal]:
    goals = []
    for what, label in (("target", str(TARGET)), ("keras_best", "the script's own best")):
        values = [r[f"ratio_to_{what}"] for r in ratios]
        # A run that never reached the accuracy counts as a ratio of 0.
        mean = sum(value or 0.0 for value in values) / len(values)
        goals.append(report.at_least(f"speed-up over Keras to {label}", mean, _MIN_SPEEDUP))
    return goals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("baseline", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
