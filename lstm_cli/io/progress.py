"""The reporter: core modules report progress to it and never print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lstm_cli.io.text_format import number

# What `selection_curve` averages over folds.
_MEANS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


@dataclass(frozen=True)
class Step:
    """Progress after a training step.

    Attributes:
        epoch: Number of the epoch, from 1.
        epochs: Maximum number of epochs.
        step: Number of the step in this epoch, from 1.
        steps: Steps in this epoch.
        loss: Mean over the epoch so far.
        accuracy: Mean over the epoch so far, 0 to 1; None for a language model or a region
            embedding.
        rate: Examples per second; words per second for a language model or a region embedding.
        seconds_left: Estimated time to the end of the last epoch.
        stage: Name of the stage of training, for people; empty if there is nothing to tell.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float | None
    rate: float
    seconds_left: float
    stage: str = ""


@dataclass(frozen=True)
class Epoch:
    """Result of an epoch; one line of `history.jsonl`.

    Attributes:
        epoch: Number of the epoch, from 1.
        steps: Training steps in the epoch.
        loss: Mean training loss.
        accuracy: Mean training accuracy, 0 to 1; None for a language model.
        val_loss: Loss on the validation split; None in a stage without validation.
        val_accuracy: Accuracy on the validation split; None without one and for a language model.
        learning_rate: Learning rate at the last step.
        seconds: Wall time, validation included.
        best: Whether no earlier epoch of the stage had a lower validation loss; without
            validation, always.
        stage: Number of the stage of training, from 1.
    """

    epoch: int
    steps: int
    loss: float
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    seconds: float
    best: bool
    stage: int = 1


@dataclass(frozen=True)
class Fold:
    """Result of a fold of a cross-validation.

    Attributes:
        number: Number of the fold, from 1.
        num_folds: Number of folds.
        num_train: Rows that the fold trained on.
        num_held_out: Rows that the fold held out, to validate on.
        best_epoch: Its epoch with the lowest validation loss, from 1.
        num_epochs: Epochs trained.
        val_loss: Loss on the rows held out, at the best epoch.
        val_accuracy: Accuracy on them, 0 to 1.
        seconds: Wall time of its epochs.
    """

    number: int
    num_folds: int
    num_train: int
    num_held_out: int
    best_epoch: int
    num_epochs: int
    val_loss: float
    val_accuracy: float | None
    seconds: float


def selection_curve(history: Sequence[Epoch]) -> list[Epoch]:
    """Return the epochs with validation of a training in one stage or several.

    With folds these are the means of the folds that had this epoch. After a refit, `best` marks the
    epoch that is its number of epochs.
    """
    validated = [line for line in history if line.val_loss is not None]
    if not validated or validated[-1].stage == 1:
        return validated
    num_refit = len(history) - len(validated)
    by_epoch: dict[int, list[Epoch]] = {}
    for line in validated:
        by_epoch.setdefault(line.epoch, []).append(line)
    return [_mean_epoch(lines, epoch == num_refit) for epoch, lines in sorted(by_epoch.items())]


def describe_only_epoch(history: Sequence[Epoch]) -> str:
    """Say the loss and accuracy of a training that was validated after one epoch.

    Args:
        history: Of a classifier.

    Returns:
        A sentence; empty if there are several epochs, which are better drawn.
    """
    curve = selection_curve(history)
    if len(curve) != 1:
        return ""
    (line,) = curve
    values = [
        number(value) for value in (line.loss, line.accuracy, line.val_loss, line.val_accuracy)
    ]
    return (
        f"One epoch was trained: loss {values[0]} and accuracy {values[1]} on training, loss "
        f"{values[2]} and accuracy {values[3]} on validation."
    )


def _mean_epoch(lines: Sequence[Epoch], best: bool) -> Epoch:
    means: dict[str, Any] = {name: _mean([getattr(e, name) for e in lines]) for name in _MEANS}
    return replace(lines[0], **means, best=best)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def perplexity(loss: float) -> float:
    """Return the perplexity of a loss in nats: exp(loss), limited to what a float can hold."""
    return math.exp(min(loss, 700.0))


class Reporter(Protocol):
    """Receives the progress of core modules."""

    def note(self, text: str) -> None:
        """Report what happens, in one sentence."""

    def warn(self, text: str) -> None:
        """Report a problem that the user should look at."""

    def step(self, step: Step) -> None:
        """Report the end of a training step."""

    def epoch(self, epoch: Epoch) -> None:
        """Report the end of an epoch, after validation."""

    def fold(self, fold: Fold) -> None:
        """Report the end of a fold."""


class SilentReporter:
    """A reporter that ignores everything."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Do nothing."""

    def step(self, step: Step) -> None:
        """Do nothing."""

    def epoch(self, epoch: Epoch) -> None:
        """Do nothing."""

    def fold(self, fold: Fold) -> None:
        """Do nothing."""
