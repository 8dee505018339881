"""Several labels a text: `lstm train` compared with one-vs-rest linear models on TF-IDF features.

The folder holds `train.csv` and `test.csv` with the columns text and label; labels are separated by
a vertical bar. Each linear model is measured twice: with the threshold 0 of its margins, and with a
threshold for each label that is chosen on a tenth of train for its F1. `lstm train` chooses its own
thresholds. To choose settings, take `--held-out`: it measures on a fifth of train and never reads
`test.csv`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from benchmarks.scripts.text_baseline import vectorizer
from lstm_cli.data import Dataset, DataSource, load
from lstm_cli.evaluation.label_set_metrics import choose_thresholds

OPTIONS = (
    Option("folder", "folder with train.csv and test.csv", kind="argument"),
    Option("kinds", "linear models: words, chars, both", "words,chars,both", "words"),
    Option("held_out", "measure on a fifth of train, not on test.csv", kind="flag"),
    Option("set", "KEY=VALUE for lstm train; repeatable", (), (), "list"),
)
_QUICK = ("--limit", "64", "--epochs", "1")
_MIN_MICRO, _MIN_MACRO = 0.52, 0.42

_Labels = NDArray[np.int32]


@dataclass(frozen=True)
class _Scores:
    """Micro F1, macro F1, the fraction of texts that are exactly right, and the seconds."""

    micro_f1: float
    macro_f1: float
    accuracy: float
    seconds: float


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure the linear models, and `lstm train`."""
    train_file, test_file = _files(settings)
    dataset = load(DataSource(str(train_file), test_file=test_file))
    results: dict[str, _Scores] = {}
    for kind in settings.kinds.split(","):
        for name, scores in measure_linear(kind, dataset).items():
            results[name] = scores
            report.log(f"{name}: micro F1 {scores.micro_f1:.4f}, macro F1 {scores.macro_f1:.4f}")
    results["lstm train"] = _train(train_file, test_file, settings)
    where = "a fifth of train" if settings.held_out else "test.csv"
    return Outcome(
        {"results": {name: vars(scores) for name, scores in results.items()}, "measured_on": where},
        [_table(results, where)],
        [] if settings.quick else _goals(results["lstm train"]),
        [],
    )


def _files(settings: argparse.Namespace) -> tuple[Path, Path | None]:
    """Return the training table, and the test table unless a part of train takes its place."""
    folder = Path(settings.folder).absolute()
    return folder / "train.csv", None if settings.held_out else folder / "test.csv"


def measure_linear(kind: str, dataset: Dataset) -> Mapping[str, _Scores]:
    """Measure one kind of features with linear support vector machines, one for each label."""
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    start = time.perf_counter()
    train, validation, test = (dataset.splits[name] for name in ("train", "validation", "test"))
    svm = OneVsRestClassifier(LinearSVC(C=0.5 if kind == "both" else 1.0, random_state=0))
    model = make_pipeline(vectorizer(kind, unspaced=False), svm)
    model.fit(train.inputs, train.labels)
    margins = {split: model.decision_function(part.inputs) for split, part in (
        ("validation", validation), ("test", test)
    )}  # fmt: skip
    # `choose_thresholds` takes probabilities; any increasing function of the margins will do.
    probabilities = {split: _logistic(values) for split, values in margins.items()}
    thresholds = choose_thresholds(validation.labels, probabilities["validation"])
    seconds = time.perf_counter() - start
    chosen = {
        f"linear, {kind}": margins["test"] >= 0,
        f"linear, {kind}, chosen thresholds": probabilities["test"] >= thresholds,
    }
    return {name: _score(test.labels, found, seconds) for name, found in chosen.items()}


def _logistic(margins: NDArray[np.float64]) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-2 * margins))).astype(np.float32)


def _score(labels: _Labels, predicted: NDArray[np.bool_], seconds: float) -> _Scores:
    from sklearn.metrics import accuracy_score, f1_score

    micro, macro = (
        float(f1_score(labels, predicted, average=average, zero_division=0))
        for average in ("micro", "macro")
    )
    return _Scores(micro, macro, float(accuracy_score(labels, predicted)), seconds)


def _train(train: Path, test: Path | None, settings: argparse.Namespace) -> _Scores:
    """Train with the command line, from a cold start."""
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        command = [child.lstm_command(), "train", str(train), "--json", "--runs-dir", temp_dir]
        command += ["--set", f"data.test_file={test}"] if test is not None else []
        command += [word for change in settings.set for word in ("--set", change)]
        command += _QUICK if settings.quick else ()
        process = child.run(command, {"LSTM_CACHE_DIR": str(Path(temp_dir, "cache"))})
    found: Any = json.loads(process.stdout)["metrics"]["test"]
    return _Scores(found["micro"]["f1"], found["f1"], found["accuracy"], process.seconds)


def _table(results: Mapping[str, _Scores], where: str) -> Table:
    columns = ("model", "micro F1", "macro F1", "exactly right", "s")
    rows = [
        [
            name,
            f"{scores.micro_f1:.4f}",
            f"{scores.macro_f1:.4f}",
            f"{scores.accuracy:.4f}",
            f"{scores.seconds:.1f}",
        ]
        for name, scores in results.items()
    ]
    return Table(f"Several labels a text, measured on {where}", columns, rows)


def _goals(scores: _Scores) -> list[Goal]:
    return [
        report.at_least("micro F1", scores.micro_f1, _MIN_MICRO, 4),
        report.at_least("macro F1", scores.macro_f1, _MIN_MACRO, 4),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("multi_label", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
