"""Predict a split, and compare the predictions with its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data import Dataset
from lstm_cli.data.images import has_other_border
from lstm_cli.errors import LstmError
from lstm_cli.evaluation import metrics
from lstm_cli.evaluation.label_set_metrics import is_correct
from lstm_cli.evaluation.load_split import check_kind
from lstm_cli.io.progress import Reporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.text import corpus_cache
from lstm_cli.text.corpus import Corpus


@dataclass(frozen=True)
class ScoredSplit:
    """The labels and predictions of a split.

    Attributes:
        labels: True class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.
        probabilities: `<float32>[num, classes]`.
        report: The metrics of both.
        answers: Predicted class ids, -1 for no answer, `<int64>[num]`; None for the most probable
            classes.
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    report: metrics.Report
    answers: NDArray[np.int64] | None = None

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """The thresholds of the labels of a multi-label run."""
        return np.array([each.threshold for each in self.report.classes], np.float64)

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """Whether the class, or exactly the true labels, are predicted, `<bool>[num]`."""
        if self.labels.ndim == 2:
            return is_correct(self.labels, self.probabilities, self.thresholds)
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)

    @property
    def is_answered_right(self) -> NDArray[np.bool_]:
        """Whether the answer is right; as `is_correct` if every example gets an answer."""
        return self.is_correct if self.answers is None else np.asarray(self.answers == self.labels)


def score(predictor: Predictor, dataset: Dataset, split: str, reporter: Reporter) -> ScoredSplit:
    """Predict a split and compare with the true labels; nothing is written.

    Args:
        predictor: Its labels are those of the data set, in the same order.
        dataset: Has this split.
        split: `train`, `validation` or `test`.
        reporter: Receives a note on what is evaluated.

    Raises:
        LstmError: The data is of the other kind than the model reads, or images of another size.
    """
    encoded = encode_split(predictor, dataset, split, reporter)
    return score_encoded(predictor, encoded, dataset.splits[split].labels)


def encode_split(
    predictor: Predictor, dataset: Dataset, split: str, reporter: Reporter
) -> Corpus | NDArray[np.uint8]:
    """Encode a split for the predictor; see `score`."""
    check_kind(predictor, dataset.kind, dataset.name)
    examples = dataset.splits[split]
    reporter.note(f"Evaluating {len(examples):,} examples of {dataset.source} ({split}).")
    encoded = _encode_examples(predictor, examples.inputs)
    if isinstance(encoded, np.ndarray):
        inverted = has_other_border(encoded, predictor.border)
        if note := predictor.describe_inverted(int(np.count_nonzero(inverted)), len(encoded)):
            reporter.note(note)
    return encoded


def score_encoded(
    predictor: Predictor, inputs: Corpus | NDArray[np.uint8], labels: NDArray[np.int32]
) -> ScoredSplit:
    """Predict encoded inputs and compare with the true labels."""
    probabilities = predictor.probabilities(inputs)
    return make_scored(labels, probabilities, predictor.labels, predictor.thresholds)


def make_scored(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    names: tuple[str, ...],
    thresholds: NDArray[np.float64] | None = None,
) -> ScoredSplit:
    """Compare probabilities with the true labels; see `metrics.compute`."""
    report = metrics.compute(labels, probabilities, names, thresholds)
    return ScoredSplit(labels, probabilities, report)


def _encode_examples(
    predictor: Predictor, examples: Sequence[str] | NDArray[np.uint8]
) -> Corpus | NDArray[np.uint8]:
    """Encode a split for the predictor.

    Raises:
        LstmError: The images are not of the size that the model reads.
    """
    if isinstance(examples, np.ndarray):
        if examples.shape[1:] != predictor.shape:
            raise LstmError(
                f"Run {predictor.run.name} reads images of {predictor.shape}, "
                f"found {examples.shape[1:]}.",
                "Train on images of this size, or evaluate on the run's own data set.",
            )
        return examples
    assert predictor.tokenizer is not None
    return corpus_cache.encode_cached(examples, predictor.tokenizer)
