"""The network and the linear model of finished text runs, each alone, on the test split.

The logits of a run are those of the network (LSTM and regions) plus those of its linear model. Each
part is also asked alone, by the class of its highest logit. Training is over: this chooses nothing.

`lstm eval` scores the linear model beside the run. What that costs is measured in turns with the
prediction of the same texts, in processor time of all threads.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.report import Goal, Option, Outcome, Table
from benchmarks.run_logits import own_scales, run_logits
from lstm_cli import data
from lstm_cli.data.source import from_config
from lstm_cli.models.calibration import SplitLogits, log_probabilities
from lstm_cli.prediction.linear_part import read_linear_logits
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.corpus import encode

OPTIONS = (
    Option("runs", "finished text runs with one label a text, separated by commas", "imdb", "demo"),
    Option("limit", "largest number of texts; 0 means all of test", 0, 100),
)
_MIN_NETWORK = 0.905
_NUM_TIMED, _NUM_TURNS = 2500, 3


def measure(settings: argparse.Namespace) -> Outcome:
    """Score the parts of each run."""
    results = {name: _score(name, settings.limit) for name in settings.runs.split(",")}
    goals = [] if settings.quick else _goals(results)
    return Outcome(results, [_table(results)], goals)


def _score(name: str, limit: int) -> dict[str, float]:
    run = RunDir(find.find(runs.runs_root(), name).path.absolute())
    config = run.config()
    if config.text is None:
        raise report.usage_error(f"Run {run.name} classifies images; this measures texts.")
    report.require_data(config.data.name)
    test = data.load(from_config(config, None, run.labels()), ("test",)).splits["test"]
    texts, labels = list(test.inputs), test.labels
    if limit:
        texts, labels = texts[:limit], labels[:limit]
    scores = accuracies(run_logits(run, texts), labels)
    if config.linear is not None:
        scores["linear_time"] = _linear_time(run, texts[:_NUM_TIMED])
    return scores


def _linear_time(run: RunDir, texts: Sequence[str]) -> float:
    """Return the time of scoring the linear model over that of encoding and predicting texts."""
    predictor = Predictor.load(run)
    assert predictor.tokenizer is not None
    shares = []
    for _ in range(_NUM_TURNS):
        start = time.process_time()
        corpus = encode(texts, predictor.tokenizer)
        predictor.probabilities(corpus)
        predicted = time.process_time()
        read_linear_logits(predictor, corpus)
        shares.append((time.process_time() - predicted) / (predicted - start))
    return float(np.median(shares))


def accuracies(logits: SplitLogits, labels: NDArray[np.int32]) -> dict[str, float]:
    """Return the accuracy of `whole`, and with a linear model of `network` and `linear` alone.

    Args:
        logits: The logits of texts, as the run adds them.
        labels: Their class ids, `<int32>[num]`.
    """
    parts: dict[str, NDArray[np.floating]] = {"whole": logits.scaled(*own_scales(logits))}
    if logits.linear is not None:
        parts.update(network=logits.lstm, linear=logits.linear)
    return {
        name: float((log_probabilities(part).argmax(axis=1) == labels).mean())
        for name, part in parts.items()
    }


def _table(results: Mapping[str, Mapping[str, float]]) -> Table:
    names = ("whole", "network", "linear")
    rows = [
        (run, *(f"{parts[name]:.4f}" if name in parts else "" for name in names))
        for run, parts in results.items()
    ]
    rows = [
        (*row, f"{parts['linear_time']:.1%}" if "linear_time" in parts else "")
        for row, parts in zip(rows, results.values(), strict=True)
    ]
    columns = ("run", "whole", "network alone", "linear model alone", "its time in eval")
    return Table("Accuracy on the test split", columns, rows)


def _goals(results: Mapping[str, Mapping[str, float]]) -> list[Goal]:
    alone = [parts["network"] for parts in results.values() if "network" in parts]
    if not alone:
        return []
    mean = float(np.mean(alone))
    return [report.at_least("accuracy of the network alone", mean, _MIN_NETWORK, 4)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("parts", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
