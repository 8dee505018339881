"""Priors of the calibration: the loss on new texts with each, on a folder of data sets.

The folder holds `NAME/train.csv` with the columns text and label; `test.csv` is not read. Each set
is cross-validated: a classifier is trained on `--rows` rows outside a fold. A tenth of these are
its validation split, from which the factors on the logits of LSTM and linear model are fitted with
each pair of priors. The loss is that of the rows in the fold. A classifier is trained once for all
pairs.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.own_data import TextSet, find_sets, write_table
from benchmarks.report import Option, Outcome, Table
from benchmarks.unlabeled import stratified_rows
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.data.splits import stratified_folds
from lstm_cli.models import calibration
from lstm_cli.models.calibration import Prior, SplitLogits

OPTIONS = (
    Option("folder", "folder with NAME/train.csv", kind="argument"),
    Option("sets", "names of data sets, separated by commas (all)", "", ""),
    Option("folds", "number of folds", 5, 2),
    Option("rows", "rows to train and calibrate on", 1200, 60),
)
_SEED = 16
_VALIDATION = 0.1
_FIXED = {"data.folds": 0, "train.refit": False, "data.validation_fraction": _VALIDATION}
_LSTM = [Prior(*both) for both in itertools.product((0.15, 0.3, 0.6, 1.0), (0.25, 0.5, 1.0))]
_LINEAR = [Prior(0.8, 0.2), Prior(1.0, 0.2), Prior(0.8, 0.5)]
PAIRS = {
    f"LSTM {lstm.center}, {lstm.std}; linear {linear.center}, {linear.std}": (lstm, linear)
    for lstm in _LSTM
    for linear in _LINEAR
}
_IN_USE = (calibration.LSTM_BESIDE_LINEAR, calibration.LINEAR)

# Logits and labels: of the rows to calibrate on, and of the new ones.
Fold = tuple[SplitLogits, NDArray[np.int32], SplitLogits, NDArray[np.int32]]


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure each pair of priors on each data set."""
    names = settings.sets.split(",") if settings.sets else []
    sets, skipped = find_sets(Path(settings.folder), names, settings.folds)
    results = {text_set.name: _measure_set(text_set, settings) for text_set in sets}
    notes = [f"Skipped {name}: {why}." for name, why in skipped.items()]
    return Outcome({"sets": results, "skipped": skipped}, [_table(results)], [], notes)


def _measure_set(text_set: TextSet, settings: argparse.Namespace) -> dict[str, float]:
    """Return the mean loss over the folds, by pair of priors."""
    labels = np.array(text_set.rows.labels)
    ids = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    fold_of = stratified_folds(ids, settings.folds, _SEED)
    losses = []
    for fold in range(settings.folds):
        report.log(f"{text_set.name}, fold {fold + 1} of {settings.folds}")
        rest = np.flatnonzero(fold_of != fold)
        num = min(settings.rows, len(rest))
        rows = rest[stratified_rows(labels[rest], num, np.random.default_rng([_SEED, fold]))]
        losses.append(losses_of(train(text_set, rows, np.flatnonzero(fold_of == fold))))
    return {name: float(np.mean([each[name] for each in losses])) for name in losses[0]}


def losses_of(fold: Fold) -> dict[str, float]:
    """Return the loss on new rows: not calibrated, and with each pair of priors."""
    seen, seen_labels, new, new_labels = fold
    losses = {"not calibrated": calibration.loss_and_accuracy(new.uncalibrated, new_labels)[0]}
    assert seen.linear is not None
    for name, pair in PAIRS.items():
        scales = calibration.fit_scales([seen.lstm, seen.linear], pair, seen_labels)
        losses[name] = calibration.loss_and_accuracy(new.scaled(*scales), new_labels)[0]
    return losses


def train(text_set: TextSet, rows: NDArray[np.int64], new_rows: NDArray[np.int64]) -> Fold:
    """Train on some rows; return the logits of those for validation, and of the new rows."""
    from lstm_cli.training import device

    device.load_keras("cpu")
    from lstm_cli.io.progress import SilentReporter
    from lstm_cli.models import classifier
    from lstm_cli.training.auto_settings import with_auto_settings
    from lstm_cli.training.init_weights import read_initial_weights
    from lstm_cli.training.loop import TrainingLoop
    from lstm_cli.training.objectives.classification import predict, split_logits
    from lstm_cli.training.options import TrainOptions
    from lstm_cli.training.prepare import encode, load_data, load_training_data
    from lstm_cli.training.prepare_classifier import prepare_classifier

    reporter, options = SilentReporter(), TrainOptions(device="cpu")
    texts, labels = text_set.rows.texts, text_set.rows.labels
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        paths = [Path(temp_dir, name) for name in ("train.csv", "test.csv")]
        for path, indices in zip(paths, (rows, new_rows), strict=True):
            write_table(path, [(texts[i], labels[i]) for i in indices.tolist()])
        config = dataset_settings(str(paths[0]), None, {**_FIXED, "data.test_file": str(paths[1])})
        dataset = load_training_data(config, None)
        new_dataset = load_data(config, ("test",), None)
    config, dataset = with_auto_settings(config, dataset, None, reporter)
    device_info = device.configure_backend(config, "cpu", reporter)
    init = read_initial_weights(config)
    task = prepare_classifier(config, dataset, init, device_info, options)
    result = TrainingLoop(task.model, config, task.make_objective(reporter), reporter).run()
    classifier.set_weights(task.model, result.weights)
    new = encode(config, new_dataset, "test", task.tokenizer)
    new = type(new)(new.inputs, new.labels, task.linear_logits(new.inputs))
    seen = task.validation
    assert seen is not None
    seen_logits, new_logits = (
        split_logits(task.model, examples, predict(task.model, examples))
        for examples in (seen, new)
    )
    return seen_logits, seen.labels, new_logits, new.labels


def _table(results: Mapping[str, Mapping[str, float]]) -> Table:
    """List the pairs, the one with the lowest mean loss first."""
    names = ["not calibrated", *PAIRS]
    means = {name: np.mean([losses[name] for losses in results.values()]) for name in names}
    rows = []
    for name in sorted(names, key=means.__getitem__):
        lstm, linear = PAIRS.get(name, (None, None))
        prior = [f"{p.center:g}, {p.std:g}" if p else "-" for p in (lstm, linear)]
        mark = "in use" if (lstm, linear) == _IN_USE else ""
        losses = [f"{losses[name]:.4f}" for losses in results.values()]
        rows.append([*prior, *losses, f"{means[name]:.4f}", mark])
    columns = ("LSTM: center, std", "linear: center, std", *results, "mean", "")
    return Table("Loss on new rows, by prior of the factors", columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("calibration", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
