"""Pseudo-labels of a teacher: what another run predicts for unlabeled texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Reporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import find

_CHUNK = 2048


def resolve_teacher(config: Config, root: Path) -> Config:
    """Return settings in which `train.teacher` is the absolute path of a run.

    Args:
        config: Settings; `train.teacher` may be a name.
        root: Folder of all runs.

    Raises:
        LstmError: There is no such run, or it is not finished.
    """
    if config.train.teacher is None:
        return config
    path = find.find(root, config.train.teacher).location.absolute()
    return replace(config, train=replace(config.train, teacher=str(path)))


def without_teacher(config: Config) -> Config:
    """Return settings without `train.teacher`."""
    return replace(config, train=replace(config.train, teacher=None))


def teacher_labels(
    config: Config,
    labels: Sequence[str],
    texts: Sequence[str],
    reporter: Reporter,
) -> NDArray[np.float32] | None:
    """Predict the pseudo-labels of unlabeled texts with the run of `train.teacher`.

    Source: Xie et al. 2020, "Self-training with Noisy Student improves ImageNet classification",
        section 2: the teacher is a classifier of the labeled examples, and its labels are soft.

    Args:
        config: As `resolve_teacher` returns it.
        labels: Class names of the training.
        texts: The unlabeled texts.
        reporter: Receives a note.

    Returns:
        Probabilities in the shape of training targets: `<float32>[num, 1]` of class 1 with two
        classes, else `<float32>[num, classes]`. None without a teacher.

    Raises:
        LstmError: The run is damaged, or its classes are others (exit code 2).
    """
    if config.train.teacher is None:
        return None
    path = Path(config.train.teacher)
    predictor = Predictor.load(find.find(path.parent.parent, str(path)))
    order = _class_order(predictor, labels)
    reporter.note(f"Teacher: run {path.name} predicts labels of {len(texts):,} unlabeled texts.")
    chunks = [
        predictor.text_probabilities(texts[start : start + _CHUNK])[:, order]
        for start in range(0, len(texts), _CHUNK)
    ]
    probabilities = np.concatenate(chunks)
    return probabilities[:, 1:] if len(labels) == 2 else probabilities


def _class_order(predictor: Predictor, labels: Sequence[str]) -> list[int]:
    """Return the class id in the teacher of each class.

    Raises:
        LstmError: The teacher has other classes, several labels a text, or images (exit code 2).
    """
    found = predictor.labels
    if predictor.kind == "text" and predictor.thresholds is None and set(found) == set(labels):
        return [found.index(label) for label in labels]
    kind = "a class"
    if predictor.thresholds is not None:
        kind = "any number of labels"
    raise LstmError(
        f"--teacher (train.teacher) expects a run that predicts one of the classes "
        f"{_names(labels)} for a text; run {predictor.run.name} predicts {kind} for each "
        f"{predictor.kind}: {_names(found)}.",
        "Train the teacher on the same labeled data, or leave out --teacher.",
        ExitCode.USAGE,
    )


def _names(labels: Sequence[str]) -> str:
    """Return the first class names, and how many more there are."""
    shown, more = ", ".join(labels[:5]), len(labels) - 5
    return f"{shown} and {more} more" if more > 0 else shown
