"""What smaller weights cost: accuracy on the validation split, before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lstm_cli.errors import LstmError
from lstm_cli.evaluation.load_split import load_own
from lstm_cli.evaluation.scored_split import score
from lstm_cli.export.result import Accuracy
from lstm_cli.io.progress import SilentReporter
from lstm_cli.prediction.predictor import Predictor

_SPLIT = "validation"


def compare(before: Predictor, after: Predictor, data_dir: Path | None) -> Accuracy | str:
    """Score a run with its weights and with those of an export.

    Args:
        before: The run.
        after: The run with the weights of the export.
        data_dir: Where TFDS data sets are.

    Returns:
        The accuracies, or why they cannot be measured: the data is not here, or the run has
        learned from its validation split.
    """
    try:
        dataset = load_own(before, _SPLIT, data_dir)
    except LstmError as error:
        return f"Accuracy on validation was not measured: {error.message}"
    first, second = (score(one, dataset, _SPLIT, SilentReporter()) for one in (before, after))
    difference = np.abs(first.probabilities - second.probabilities).max()
    return Accuracy(
        len(first.labels), first.report.accuracy, second.report.accuracy, float(difference)
    )
