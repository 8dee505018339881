"""Progress of training on stderr: a bar on a terminal, a line now and then in logs and CI."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lstm_cli.cli.output import print_note, stderr_console
from lstm_cli.io.progress import Epoch, Reporter, Step, perplexity
from lstm_cli.io.text_format import clean, duration, excerpt, number

if TYPE_CHECKING:
    from rich.progress import Progress

_SECONDS_BETWEEN_LINES = 10.0


def make_reporter() -> LineReporter:
    """Return a reporter for work that takes long: a bar on a terminal, else lines."""
    live = sys.stderr.isatty() and not os.environ.get("CI")
    return BarReporter() if live else LineReporter()


@contextmanager
def training_reporter() -> Iterator[Reporter]:
    """Give a reporter whose bar is removed when the block ends, however it ends."""
    reporter = make_reporter()
    try:
        yield reporter
    finally:
        reporter.close()


class LineReporter:
    """Prints a line now and then: for logs."""

    def __init__(self) -> None:
        self._next_line = 0.0

    def note(self, text: str) -> None:
        """Print what is going on."""
        print_note(text)

    def warn(self, text: str) -> None:
        """Print what a person should look at."""
        print_note(f"Warning: {text}")

    def step(self, step: Step) -> None:
        """Print a line at most every ten seconds."""
        now = time.monotonic()
        self._next_line = self._next_line or now + _SECONDS_BETWEEN_LINES
        if now >= self._next_line:
            self._next_line = now + _SECONDS_BETWEEN_LINES
            print_note(progress_line(step))

    def epoch(self, epoch: Epoch) -> None:
        """Print the results of an epoch."""
        print_note(epoch_line(epoch))

    def close(self) -> None:
        """Leave the terminal as it was."""


class BarReporter(LineReporter):
    """Draws a bar below the lines: for terminals."""

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None
        self._task: Any = None
        self._epoch = "", 0

    def note(self, text: str) -> None:
        """Print what is going on, above the bar."""
        stderr_console().print(clean(excerpt(text)), style="dim")

    def warn(self, text: str) -> None:
        """Print what a person should look at, above the bar and in colour."""
        stderr_console().print(f"Warning: {clean(excerpt(text))}", style="yellow")

    def step(self, step: Step) -> None:
        """Move the bar."""
        if self._progress is None:
            self._progress = _progress_bar()
            self._progress.start()
        if (step.stage, step.epoch) != self._epoch:
            self._epoch = step.stage, step.epoch
            self._remove_task()
            self._task = self._progress.add_task("", total=step.steps)
        self._progress.update(self._task, completed=step.step, description=_bar_text(step))

    def epoch(self, epoch: Epoch) -> None:
        """Replace the bar by the line of the epoch."""
        self._remove_task()
        stderr_console().print(epoch_line(epoch))

    def close(self) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._remove_task()
            self._progress.stop()
            self._progress = None

    def _remove_task(self) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


def _progress_bar() -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.completed}/{task.total}", markup=False),
        console=stderr_console(),
        transient=True,
        expand=True,
    )


def _bar_text(step: Step) -> str:
    return (
        f"{_place(step)}/{step.epochs}  {_step_scores(step)}  "
        f"{step.rate:,.0f}/s  {duration(step.seconds_left)} left"
    )


def _place(step: Step) -> str:
    """Return the stage, if it has a name, and the epoch."""
    stage = f"{step.stage.capitalize()}, epoch" if step.stage else "Epoch"
    return f"{stage} {step.epoch}"


def progress_line(step: Step) -> str:
    """Describe a training step in at most 80 columns."""
    return (
        f"{_place(step)}/{step.epochs}, {step.step}/{step.steps}: "
        f"{_step_scores(step)}, {step.rate:,.0f}/s, "
        f"{duration(step.seconds_left)} left"
    )


def epoch_line(epoch: Epoch) -> str:
    """Describe an epoch in at most 80 columns."""
    best = ", best" if epoch.best else ""
    if epoch.val_loss is None:
        results = _scores(epoch.loss, epoch.accuracy, 4)
        best = ""
    elif epoch.val_accuracy is None:
        results = (
            f"loss {number(epoch.loss)}, held-out {number(epoch.val_loss)}, "
            f"perplexity {number(perplexity(epoch.val_loss), ',.1f')}"
        )
    else:
        results = (
            f"{_scores(epoch.loss, epoch.accuracy, 4)}, "
            f"val {_scores(epoch.val_loss, epoch.val_accuracy, 4)}"
        )
    return f"Epoch {epoch.epoch}: {results}, {duration(epoch.seconds)}{best}"


def _step_scores(step: Step) -> str:
    """Format the loss of a step; that of a region embedding has neither accuracy nor perplexity."""
    if step.accuracy is None and step.stage:
        return f"loss {number(step.loss, '.3f')}"
    return _scores(step.loss, step.accuracy, 3)


def _scores(loss: float, accuracy: float | None, digits: int) -> str:
    """Format a loss with the accuracy, or with the perplexity of a language model."""
    spec = f".{digits}f"
    if accuracy is not None:
        return f"loss {number(loss, spec)} acc {number(accuracy, spec)}"
    return f"loss {number(loss, spec)} perplexity {number(perplexity(loss), ',.1f')}"
