"""Does `lstm runs drift` stay quiet on inputs of the same kind, and speak up on others?

Texts of a run's own kind that it has not seen (a table, or the test split of a data set known by
name; labels are not used) and texts of other kinds are predicted once. Random draws of each size
are compared with the run's validation. The table has the share of draws in which each measure is
significant, and in which it has drifted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.report import Option, Outcome, Table
from lstm_cli.data import loading
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.records import open_records
from lstm_cli.data.source import from_config
from lstm_cli.evaluation import drift
from lstm_cli.prediction import input_stats
from lstm_cli.prediction.input_stats import InputStats
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.result import Prediction
from lstm_cli.runs.directory import VALIDATION_STATS, runs_root
from lstm_cli.runs.find import find

OPTIONS = (
    Option("run", "the run", kind="argument"),
    Option("fresh", "new inputs of the same kind: a table, or a data set known by name"),
    Option("other", "tables with inputs of other kinds", (), kind="list"),
    Option("draws", "random draws of each size", 200, 20),
    Option("sizes", "inputs in a draw", "100,300,1000", "100"),
    Option("limit", "texts of each source at most, drawn at random", 4000, 300),
)
_SEED = 20
_MEASURES = ("unknown words", "length", "labels", "confidence")


def measure(settings: argparse.Namespace) -> Outcome:
    """Compare draws of each source with the run's validation."""
    predictor = Predictor.load(find(runs_root(), settings.run))
    reference = _reference(predictor)
    rates: dict[str, dict[str, Any]] = {}
    for source in (settings.fresh, *settings.other):
        report.log(f"Predicting {source}.")
        predictions = predictor.predict(_texts(source, settings.limit))
        for size in report.parse_numbers(settings.sizes):
            if size <= len(predictions):
                key = f"{_name(source)}, {size:,}"
                rates[key] = _rates(predictor, reference, predictions, size, settings.draws)
    notes = [f"{settings.draws} draws each; validation has {reference.inputs:,} rows."]
    return Outcome({"rates": rates, "validation": reference.inputs}, [_table(rates)], [], notes)


def _name(source: str) -> str:
    path = Path(source)
    return f"{path.parent.name}/{path.name}" if path.is_file() else source


def _texts(source: str, limit: int) -> list[str]:
    """Read texts of a table or of the test split of a data set; of many a random part."""
    if Path(source).is_file():
        with open_records(Path(source), (), (), ReadOptions(), source) as records:
            texts = [record.text for record in records if record.error is None]
    else:
        config = dataset_settings(source)
        texts = list(loading.load(from_config(config), ("test",)).splits["test"].inputs)
    rng = np.random.default_rng(_SEED)
    return [texts[i] for i in rng.permutation(len(texts))[:limit].tolist()]


def _reference(predictor: Predictor) -> InputStats:
    """Return the statistics of validation: those of the run, or computed from its data."""
    run = predictor.run.with_manifest()
    if VALIDATION_STATS in (run.manifest or {}):
        return drift.read_reference(run)
    report.log("The run has no statistics: predicting its validation split.")
    data = loading.load(from_config(predictor.config), ("train", "validation"))
    return _stats(predictor, predictor.predict(list(data.splits["validation"].inputs)))


def _stats(predictor: Predictor, predictions: Sequence[Prediction]) -> InputStats:
    counter = input_stats.counter_for(predictor)
    for prediction in predictions:
        counter.add(prediction)
    return input_stats.result_of(counter, predictor)


def _rates(
    predictor: Predictor,
    reference: InputStats,
    predictions: Sequence[Prediction],
    size: int,
    num_draws: int,
) -> dict[str, Any]:
    """Return the share of draws in which each measure, and any, is significant and drifts."""
    rng = np.random.default_rng(_SEED)
    compared = []
    for _ in range(num_draws):
        drawn = rng.choice(len(predictions), size, replace=False)
        stats = _stats(predictor, [predictions[i] for i in drawn.tolist()])
        compared.append(drift.compare(predictor.run, reference, stats, "validation").measures)
    found: dict[str, Any] = {}
    for index, name in enumerate(_MEASURES):
        of_measure = [measures[index] for measures in compared]
        found[name] = {
            "significant": float(np.mean([m.is_significant for m in of_measure])),
            "drift": float(np.mean([m.is_drift for m in of_measure])),
            "moved": float(np.mean([m.moved for m in of_measure])),
        }
    any_ = [[m.is_drift for m in measures] for measures in compared]
    found["any"] = {"drift": float(np.mean([any(each) for each in any_]))}
    return found


def _table(rates: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    rows = []
    for name, found in rates.items():
        cells = [
            f"{found[m]['significant']:.0%}, {found[m]['drift']:.0%} ({found[m]['moved']:.0%})"
            for m in _MEASURES
        ]
        rows.append([name, *cells, f"{found['any']['drift']:.0%}"])
    title = "Draws in which a measure is significant, in which it drifts (and moves on average)"
    return Table(title, ["inputs", *_MEASURES, "any drift"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("drift", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
