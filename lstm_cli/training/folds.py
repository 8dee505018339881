"""Cross-validation of a classifier: what is checked before, and what is written after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset, splits
from lstm_cli.data.dataset import class_counts
from lstm_cli.data.readers.columns import abbreviate, quote_name
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.cross_validation import score_folds
from lstm_cli.evaluation.scored_split import ScoredSplit
from lstm_cli.runs.metrics_schema import CrossValidation
from lstm_cli.runs.out_of_fold import OutOfFold

if TYPE_CHECKING:
    from lstm_cli.training.classifier_task import ClassifierTask


def check_folds(config: Config, dataset: Dataset) -> None:
    """Check that there are as many labeled rows as folds.

    Args:
        config: The settings.
        dataset: As `load_training_data` returns it.

    Raises:
        LstmError: There are fewer (exit code 2).
    """
    num = len(dataset.splits["train"]) + len(dataset.splits.get("validation", ()))
    num -= dataset.num_replayed
    if config.data.folds > num:
        raise LstmError(
            f"data.folds is {config.data.folds}, but {dataset.source} has only {num} rows to train "
            "and validate on.",
            f"Give --folds {num} or fewer; 5 or 10 are usual.",
            ExitCode.USAGE,
        )


def describe_small_classes(
    labels: NDArray[np.int32], class_names: tuple[str, ...], num_folds: int
) -> str:
    """Say which classes have fewer rows than there are folds; empty if none has.

    Args:
        labels: Class ids or label sets of all labeled rows, as in `Split`.
        class_names: The name of each class id.
        num_folds: Number of folds.
    """
    counts = class_counts(labels, len(class_names))
    small = np.flatnonzero((counts > 0) & (counts < num_folds))
    if not len(small):
        return ""
    names = [f"{quote_name(class_names[i])} {counts[i]}" for i in small.tolist()]
    text = f"Fewer rows than the {num_folds} folds: {abbreviate(names)}."
    if (counts == 1).any():
        text += " A class with one row is predicted by a model that has not seen the class."
    return text


def cross_validation(task: ClassifierTask, validation: ScoredSplit) -> CrossValidation | None:
    """Return the scores of the folds of a training; None without folds.

    Args:
        task: The task of the last stage.
        validation: The results on the rows that were held out.
    """
    if not task.config.data.folds:
        return None
    assert task.held_out is not None
    return score_folds(validation, task.held_out.stage_of, task.dataset.labels)


def out_of_fold(task: ClassifierTask, validation: ScoredSplit) -> OutOfFold:
    """Return the predictions for the rows that the folds held out.

    Args:
        task: The task of the last stage, with folds.
        validation: The results on the rows that were held out.
    """
    held_out = task.held_out
    assert held_out is not None
    parts = task.dataset.splits
    rows = splits.concatenate(parts["train"], parts["validation"])
    if isinstance(rows.inputs, np.ndarray):
        texts = [""] * len(held_out.rows)
    else:
        texts = [rows.inputs[i] for i in held_out.rows.tolist()]
    return OutOfFold(
        rows.row_numbers[held_out.rows],
        held_out.stage_of,
        texts,
        held_out.labels,
        validation.probabilities,
        None if rows.ids is None else [rows.ids[i] for i in held_out.rows.tolist()],
    )
