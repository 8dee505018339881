"""The learning curve of a data set: accuracy by the number of rows to train on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data import DataSource, load_labeled
from lstm_cli.data.dataset import Split
from lstm_cli.data.readers.read_options import TableFormat
from lstm_cli.data.splits import TRAIN_SAMPLE, stratified_folds, stratified_sample
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.linear_folds import chosen_settings
from lstm_cli.evaluation.power_law import Forecast, PowerLaws, fit_power_laws
from lstm_cli.io.progress import Reporter
from lstm_cli.models.linear import predict_held_out
from lstm_cli.runs.directory import json_line
from lstm_cli.text.corpus import fit_and_encode

FRACTIONS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
NUM_FOLDS = 5
# Rows to train on in the smallest part; with fewer, the curve says nothing.
_MIN_ROWS = 60


@dataclass(frozen=True)
class CurvePoint:
    """The scores with one number of rows.

    Attributes:
        num_rows: Rows to train on.
        fraction: The same as a fraction of all rows that could be trained on.
        accuracy: Mean over the folds.
        accuracy_std: Standard deviation over the folds.
        f1: Mean macro F1.
        f1_std: Its standard deviation.
    """

    num_rows: int
    fraction: float
    accuracy: float
    accuracy_std: float
    f1: float
    f1_std: float


@dataclass(frozen=True)
class LearningCurve:
    """The learning curve of a data set.

    Attributes:
        source: The data.
        num_rows: All labeled rows.
        num_folds: Number of folds.
        points: One for each fraction, the smallest first.
        forecasts: What twice and four times as many rows as there are would probably bring.
        laws: The power laws that they are based on.
    """

    source: str
    num_rows: int
    num_folds: int
    points: tuple[CurvePoint, ...]
    forecasts: tuple[Forecast, ...]
    laws: PowerLaws

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the laws as plain JSON types."""
        return {
            "source": self.source,
            "num_rows": self.num_rows,
            "num_folds": self.num_folds,
            "model": "linear",
            "points": [asdict(point) for point in self.points],
            "forecasts": [_accuracy_forecast(forecast) for forecast in self.forecasts],
        }


def _accuracy_forecast(forecast: Forecast) -> dict[str, Any]:
    """Return a forecast with accuracies in place of errors, and the bounds of its interval."""
    return {
        "num_rows": forecast.num_rows,
        "accuracy": 1 - forecast.error,
        "interval_90": [1 - forecast.high, 1 - forecast.low],
    }


def measure_curve(source: DataSource, reporter: Reporter | None = None) -> LearningCurve:
    """Cross-validate the linear model with growing parts of the training rows.

    Args:
        source: What to read.
        reporter: Receives the remarks on the data.

    Raises:
        LstmError: The data is missing, malformed, not text, or has too few rows.
    """
    dataset = load_labeled(source)
    if reporter is not None:
        for note in dataset.notes:
            reporter.note(f"Note: {note}")
    if dataset.is_multi_label:
        raise LstmError(
            f"{dataset.source} has several labels for a text; learning curves are of one label.",
            "Compare runs with --limit instead.",
            ExitCode.USAGE,
        )
    split = dataset.splits["train"]
    if isinstance(split.inputs, np.ndarray):
        raise LstmError(
            f"{dataset.name} holds images; learning curves are of texts only.",
            "Compare runs with --limit instead.",
            ExitCode.USAGE,
        )
    if len(split) < _MIN_ROWS:
        raise LstmError(
            f"{dataset.source} has {len(split)} rows; a learning curve needs {_MIN_ROWS} or more.",
            "Label more rows first.",
        )
    scores, sizes = score_parts(split, len(dataset.labels))
    return summarize(dataset.source, len(split), scores, sizes)


def summarize(
    source: str, num_rows: int, scores: NDArray[np.float64], sizes: NDArray[np.int64]
) -> LearningCurve:
    """Return the curve of measured scores.

    Args:
        source: The data.
        num_rows: All labeled rows.
        scores: Accuracy and macro F1, `<float64>[folds, sizes, 2]`.
        sizes: Rows to train on, `<int64>[sizes]`.
    """
    means, stds = scores.mean(axis=0), scores.std(axis=0, ddof=1)
    points = tuple(
        CurvePoint(size, round(size / int(sizes[-1]), 4), *(float(x) for x in values))
        for size, values in zip(
            sizes.tolist(), np.stack([means, stds], axis=2).reshape(-1, 4), strict=True
        )
    )
    std_errors = stds[:, 0] / np.sqrt(len(scores))
    laws = fit_power_laws(sizes, 1 - means[:, 0], std_errors)
    forecasts = tuple(laws.forecast(factor * num_rows) for factor in (2, 4))
    return LearningCurve(source, num_rows, len(scores), points, forecasts, laws)


def score_parts(split: Split, num_classes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Predict held-out rows with growing parts of the others.

    Args:
        split: Labeled texts.
        num_classes: At least 2.

    Returns:
        Accuracy and macro F1, `<float64>[folds, sizes, 2]`, and the rows that were trained on,
        `<int64>[sizes]`.
    """
    assert not isinstance(split.inputs, np.ndarray)
    text_settings, settings = chosen_settings(split.inputs, num_classes)
    tokenizer, corpus = fit_and_encode(split.inputs, text_settings, settings.num_char_buckets)
    parts = list(_parts(split.labels))
    predictions = predict_held_out(
        corpus, split.labels, num_classes, tokenizer.words, settings, parts
    )
    scores = [
        (np.mean(predicted == split.labels[test]), _macro_f1(split.labels[test], predicted))
        for predicted, (_, test) in zip(predictions, parts, strict=True)
    ]
    sizes = [len(train) for train, _ in parts]
    shape = (NUM_FOLDS, len(FRACTIONS))
    return (
        np.array(scores).reshape(*shape, 2),
        np.array(sizes).reshape(shape).mean(axis=0).round().astype(np.int64),
    )


def _macro_f1(labels: NDArray[np.int32], predicted: NDArray[np.int64]) -> float:
    """Return the mean F1 of the classes that occur or are predicted."""
    size = 1 + int(max(labels.max(), predicted.max()))
    groups = (labels[labels == predicted], predicted, labels)
    correct, num_predicted, support = (np.bincount(group, minlength=size) for group in groups)
    present = num_predicted + support > 0
    return float(np.mean(2 * correct[present] / (num_predicted + support)[present]))


def _parts(
    labels: NDArray[np.int32],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield, for each fold and fraction, the rows to train on and the rows that are held out."""
    fold_of = stratified_folds(labels, NUM_FOLDS, 0)
    for fold in range(NUM_FOLDS):
        train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        rows = Split([""] * len(train), labels[train], train)
        for fraction in FRACTIONS:
            num = round(fraction * len(train))
            yield stratified_sample(rows, num, fold, TRAIN_SAMPLE).row_numbers, test


def to_table(curve: LearningCurve, format_: TableFormat) -> str:
    """Return the points as CSV, TSV or JSON Lines."""
    rows = [asdict(point) for point in curve.points]
    if format_ == "jsonl":
        return "".join(json_line(row) for row in rows)
    stream = io.StringIO()
    delimiter = "\t" if format_ == "tsv" else ","
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
