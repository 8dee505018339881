"""Own data: `lstm train` at its defaults compared with quick baselines, on a folder of data sets.

The folder holds `NAME/train.csv` and `NAME/test.csv` with the columns text and label. Each training
is one `lstm train NAME/train.csv --test NAME/test.csv --seed S` in a new process with an
empty cache; seconds and memory are those of the whole process. The baselines are three linear SVMs
of scikit-learn, and fastText if it is installed (`pip install fasttext-numpy2-wheel`); seconds are
those of features, training and prediction. To choose settings, take `--folds 3`, which measures on
folds of `train.csv` and never reads `test.csv`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import child, own_goals, own_tables, report
from benchmarks.own_data import Part, TextSet, find_sets, fingerprint, is_unspaced, split_parts
from benchmarks.report import Option, Outcome
from lstm_cli.errors import ExitCode, LstmError

OPTIONS = (
    Option("folder", "folder with NAME/train.csv and NAME/test.csv", kind="argument"),
    Option("sets", "names of data sets, separated by commas (all)", "", ""),
    Option("seeds", "seeds of lstm and fastText, separated by commas", "0,1,2", "0"),
    Option("folds", "cross-validate on train with so many folds; 0: use test.csv", 0, 0),
    Option("skip_baselines", "train lstm only", False, False, "flag"),
    Option("only_baselines", "train the baselines only", False, False, "flag"),
    Option("baselines", "JSON of an earlier run with baselines of the same tables", "", ""),
    Option("set", "KEY=VALUE for lstm train; repeatable", (), (), "list"),
    Option("jobs", "data sets to measure at the same time; times are exact with 1", 1, 1),
)
_QUICK = ("--limit", "64", "--epochs", "1", "--set", "data.folds=0", "--set", "train.refit=false")


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure each data set; one that fails is reported, and the others go on."""
    seeds = report.parse_numbers(settings.seeds)
    _check(settings)
    names = settings.sets.split(",") if settings.sets else []
    sets, skipped = find_sets(Path(settings.folder), names, settings.folds)
    earlier = _read_baselines(settings)
    with ThreadPoolExecutor(settings.jobs) as pool:
        measured = list(pool.map(lambda s: _measure_set(s, seeds, settings, earlier), sets))
    results = {s.name: result for s, result in zip(sets, measured, strict=True)}
    failed = {name: result["failed"] for name, result in results.items() if "failed" in result}
    results = {name: result for name, result in results.items() if name not in failed}
    summary = own_goals.summarize(results)
    notes = _notes(settings, results, skipped, failed)
    return Outcome(
        {"sets": results, "skipped": skipped, "failed": failed, "summary": summary},
        own_tables.tables(results, settings.folds),
        [] if settings.quick else own_goals.goals(results, len(failed), settings.folds),
        notes,
    )


def _check(settings: argparse.Namespace) -> None:
    """Raise an error if the options contradict each other."""
    if settings.skip_baselines and (settings.only_baselines or settings.baselines):
        raise report.usage_error("--skip-baselines excludes --only-baselines and --baselines.")
    if settings.only_baselines and settings.baselines:
        raise report.usage_error("--only-baselines excludes --baselines.")
    if settings.folds < 0 or settings.folds == 1:
        raise report.usage_error(f"Expected 0 or at least 2 folds; found {settings.folds}.")
    if settings.jobs < 1:
        raise report.usage_error(f"Expected at least 1 job; found {settings.jobs}.")


def _read_baselines(settings: argparse.Namespace) -> dict[str, Any]:
    """Return the data sets of an earlier run with the same number of folds, by name."""
    if not settings.baselines:
        return {}
    try:
        record = json.loads(Path(settings.baselines).read_text(encoding="utf-8"))
        folds, sets = record["settings"]["folds"], record["measurements"]["sets"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LstmError(
            f"Cannot read the baselines in {settings.baselines}: {error!r}.",
            "Make the file: python -m benchmarks.own FOLDER --only-baselines --json FILE",
            ExitCode.DATA,
        ) from None
    if folds != settings.folds:
        raise report.usage_error(
            f"Expected baselines with --folds {settings.folds}; {settings.baselines} has {folds}."
        )
    return dict(sets)


def _measure_set(
    text_set: TextSet,
    seeds: Sequence[int],
    settings: argparse.Namespace,
    earlier: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure one data set; if something fails, return the message as `failed`."""
    result: dict[str, Any] = {
        "num_train": len(text_set.rows.texts),
        "num_classes": text_set.num_classes,
        "unspaced": is_unspaced(text_set.rows.texts),
        "fingerprint": fingerprint(text_set, settings.folds),
    }
    try:
        with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
            parts = split_parts(text_set, settings.folds, Path(temp_dir))
            if not settings.skip_baselines:
                result["baselines"] = _baselines(text_set.name, result, parts, seeds, earlier)
            if not settings.only_baselines:
                runs = [_train(text_set.name, parts, seed, settings) for seed in seeds]
                result["lstm"] = _summarize(runs)
    except LstmError as error:
        report.log(f"{text_set.name} failed: {error.message}")
        return {"failed": error.message}
    return {**result, **own_goals.compare(result)}


def _baselines(
    name: str,
    described: Mapping[str, Any],
    parts: Sequence[Part],
    seeds: Sequence[int],
    earlier: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure the baselines, or return those of an earlier run on the same tables."""
    if name in earlier and earlier[name]["fingerprint"] == described["fingerprint"]:
        return dict(earlier[name]["baselines"])
    kinds = [kind for kind in own_tables.BASELINES if kind != "fasttext" or _has_fasttext()]
    results = {}
    for kind in kinds:
        # The SVMs hardly depend on a seed.
        runs = [_fit(name, kind, parts, s) for s in (seeds if kind == "fasttext" else seeds[:1])]
        results[kind] = _summarize(runs)
    return results


def _has_fasttext() -> bool:
    return importlib.util.find_spec("fasttext") is not None


def _fit(name: str, kind: str, parts: Sequence[Part], seed: int) -> dict[str, float]:
    """Train and measure a baseline on each part."""
    paths = [(str(part.train), str(part.test)) for part in parts]
    runs = [child.run_script("text_baseline", kind, str(seed), *both) for both in paths]
    run = _over_parts(runs)
    report.log(f"{name}, {kind}: {run['accuracy']:.4f} in {run['seconds']:.1f} s")
    return run


def _train(
    name: str, parts: Sequence[Part], seed: int, settings: argparse.Namespace
) -> dict[str, float]:
    """Train `lstm` on each part with the command line, from a cold start."""
    runs = []
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
            command = [child.lstm_command(), "train", str(part.train), "--seed", str(seed)]
            command += ["--set", f"data.test_file={part.test}", "--json", "--runs-dir", temp_dir]
            command += [word for change in settings.set for word in ("--set", change)]
            command += _QUICK if settings.quick else ()
            process = child.run(command, {"LSTM_CACHE_DIR": str(Path(temp_dir, "cache"))})
        test = json.loads(process.stdout)["metrics"]["test"]
        runs.append(
            {
                "accuracy": test["accuracy"],
                "macro_f1": test["f1"],
                "ece": test["calibration_error"],
                "loss": test["loss"],
                "seconds": process.seconds,
                "peak_mb": process.peak_mb,
            }
        )
    run = _over_parts(runs)
    report.log(f"{name}, lstm, seed {seed}: {run['accuracy']:.4f} in {run['seconds']:.1f} s")
    return run


def _over_parts(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over the parts, and the maximum of memory."""
    mean = {key: statistics.fmean(run[key] for run in runs) for key in runs[0]}
    return {**mean, "peak_mb": max(run["peak_mb"] for run in runs)}


def _summarize(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the spread of each metric over the seeds."""
    return {key: report.spread([run[key] for run in runs]) for key in runs[0]}


def _notes(
    settings: argparse.Namespace,
    results: Mapping[str, Any],
    skipped: Mapping[str, str],
    failed: Mapping[str, str],
) -> list[str]:
    """Return what a reader of the tables must know."""
    notes = [own_tables.summary_line(own_goals.summarize(results))]
    if settings.jobs > 1:
        notes.append(f"{settings.jobs} data sets at the same time: the times are too long.")
    if not settings.skip_baselines and not settings.baselines and not _has_fasttext():
        notes.append("fastText is not installed and was left out.")
    notes += [f"Skipped {name}: {why}." for name, why in skipped.items()]
    notes += [f"Failed {name}: {message}" for name, message in failed.items()]
    return [note for note in notes if note]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("own", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
