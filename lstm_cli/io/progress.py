"""Who is told how the work goes: core modules never print, they tell a reporter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Step:
    """Where training stands after a step.

    Attributes:
        epoch: Counted from 1.
        epochs: How many there will be at most.
        step: Of this epoch, counted from 1.
        steps: Of this epoch.
        loss: Mean over the epoch so far.
        accuracy: Mean over the epoch so far, 0 to 1; None for a language model.
        rate: Examples a second; words for a language model.
        seconds_left: Until the last epoch ends, by the rate so far.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float | None
    rate: float
    seconds_left: float


@dataclass(frozen=True)
class Epoch:
    """How an epoch ended; one line of `history.jsonl`.

    Attributes:
        epoch: Counted from 1.
        steps: Training steps in it.
        loss: Mean training loss.
        accuracy: Mean training accuracy, 0 to 1; None for a language model.
        val_loss: On the validation split.
        val_accuracy: On the validation split; None for a language model.
        learning_rate: At the last step.
        seconds: Wall time, validation included.
        best: Whether no earlier epoch had a lower validation loss.
    """

    epoch: int
    steps: int
    loss: float
    accuracy: float | None
    val_loss: float
    val_accuracy: float | None
    learning_rate: float
    seconds: float
    best: bool


def perplexity(loss: float) -> float:
    """Return among how many equally likely words a language model of this loss is undecided."""
    return math.exp(min(loss, 700.0))


class Reporter(Protocol):
    """What core modules say while they work."""

    def note(self, text: str) -> None:
        """Say what is going on, as one sentence."""

    def warn(self, text: str) -> None:
        """Say what a person should look at."""

    def step(self, step: Step) -> None:
        """Tell that a training step is done."""

    def epoch(self, epoch: Epoch) -> None:
        """Tell that an epoch is done and validated."""


class SilentReporter:
    """A reporter that keeps everything to itself."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""

    def step(self, step: Step) -> None:
        """Say nothing."""

    def epoch(self, epoch: Epoch) -> None:
        """Say nothing."""
