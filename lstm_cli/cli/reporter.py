"""Progress of training on stderr: a table, on a terminal with a bar below it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lstm_cli.cli import progress_table as table
from lstm_cli.cli.output import print_note, stderr_console
from lstm_cli.cli.styles import style
from lstm_cli.io.progress import Epoch, Fold, Reporter, Step, perplexity
from lstm_cli.io.text_format import clean, duration, excerpt, number

if TYPE_CHECKING:
    from rich.live import Live

# Logs get a line for each epoch; one in between only if an epoch takes longer than this.
_SECONDS_BETWEEN_LINES = 60.0
_REFRESHES_PER_SECOND = 8
# Narrower terminals see no rate beside the bar.
_MIN_WIDTH_FOR_RATE = 60


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
    """Prints a table, one row an epoch, and a line now and then: for logs."""

    def __init__(self) -> None:
        self._next_line = 0.0
        self._step: Step | None = None
        # Columns of the last row, and its stage: another table has a header of its own.
        self._columns: tuple[table.Columns, str] = (), ""

    def note(self, text: str) -> None:
        """Print what is going on."""
        print_note(text)

    def warn(self, text: str) -> None:
        """Print what a person should look at."""
        print_note(f"Warning: {text}")

    def step(self, step: Step) -> None:
        """Print a line at most once a minute."""
        self._step = step
        now = time.monotonic()
        self._next_line = self._next_line or now + _SECONDS_BETWEEN_LINES
        if now >= self._next_line:
            self._next_line = now + _SECONDS_BETWEEN_LINES
            print_note(progress_line(step))

    def epoch(self, epoch: Epoch) -> None:
        """Print the row of an epoch."""
        columns = table.epoch_columns(epoch.accuracy is not None, epoch.val_loss is not None)
        step = self._step
        cells = table.epoch_cells(epoch, step.epochs if step else 0)
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        self._row(columns, cells, step.stage if step else "")

    def fold(self, fold: Fold) -> None:
        """Print the row of a fold."""
        self._row(table.fold_columns(), table.fold_cells(fold), "")

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _row(self, columns: table.Columns, cells: Mapping[str, str], stage: str) -> None:
        """Print a row, and before the first one of a table, its stage and the header."""
        columns = self._fitting(columns)
        if (columns, stage) != self._columns:
            self._columns = columns, stage
            if stage:
                self.note(f"{stage.capitalize()}:")
            self._print(table.header(columns), "bold")
        self._print(table.row(columns, cells), "")

    def _fitting(self, columns: table.Columns) -> table.Columns:
        """Return the columns that fit on a terminal; a log has space for all."""
        return table.fit(columns, stderr_console().width) if sys.stderr.isatty() else columns

    def _print(self, line: str, emphasis: str) -> None:
        """Print a line of the table; logs have no styles."""
        print_note(line)


class BarReporter(LineReporter):
    """Draws the running epoch and a bar below the table: for terminals."""

    def __init__(self) -> None:
        super().__init__()
        self._live: Live | None = None
        self._is_running = False

    def note(self, text: str) -> None:
        """Print what is going on, above the bar."""
        stderr_console().print(clean(excerpt(text)), style="dim")

    def warn(self, text: str) -> None:
        """Print what a person should look at, above the bar and in colour."""
        stderr_console().print(f"Warning: {clean(excerpt(text))}", style="yellow")

    def step(self, step: Step) -> None:
        """Move the bar."""
        from rich.live import Live

        self._step, self._is_running = step, True
        if self._live is None:
            # What is printed on stdout are results: they must not move to stderr.
            self._live = Live(
                get_renderable=self._draw,
                console=stderr_console(),
                transient=True,
                redirect_stdout=False,
                refresh_per_second=_REFRESHES_PER_SECOND,
            )
            self._live.start()

    def epoch(self, epoch: Epoch) -> None:
        """Replace the bar by the row of the epoch."""
        self._is_running = False
        super().epoch(epoch)

    def fold(self, fold: Fold) -> None:
        """Replace the bar by the row of the fold."""
        self._is_running = False
        super().fold(fold)

    def close(self) -> None:
        """Remove the bar."""
        self._is_running = False
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, line: str, emphasis: str) -> None:
        stderr_console().print(line, style=emphasis, no_wrap=True, crop=True)

    def _draw(self) -> Any:
        """Return the epoch that is running, and its bar; nothing between epochs."""
        from rich.console import Group
        from rich.text import Text

        step = self._step
        if step is None or not self._is_running:
            return Group()
        lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in self._running(step)]
        return Group(*lines, _bar(step, stderr_console().width))

    def _running(self, step: Step) -> list[str]:
        """Return the row of the epoch that is running; in a stage with a name, its line."""
        if step.stage:
            return [_running_line(step)]
        columns = self._fitting(table.epoch_columns(step.accuracy is not None, True))
        headers = [] if (columns, "") == self._columns else [table.header(columns)]
        return [*headers, table.row(columns, table.step_cells(step))]


def _bar(step: Step, width: int) -> Any:
    """Return a bar with the number of steps, the rate and the time left."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    system = stderr_console().color_system
    done, rest = style("for1", system), style("area", system)
    bar = ProgressBar(step.steps, step.step, style=rest, complete_style=done, finished_style=done)
    grid.add_row(bar, _bar_text(step, width))
    return grid


def _bar_text(step: Step, width: int) -> str:
    steps = f"{step.step:,}/{step.steps:,}"
    rate = f"  {step.rate:,.0f}/s" if width >= _MIN_WIDTH_FOR_RATE else ""
    return f"{steps}{rate}  {duration(step.seconds_left)} left"


def _place(step: Step) -> str:
    """Return the stage, if it has a name, and the epoch."""
    stage = f"{step.stage.capitalize()}, epoch" if step.stage else "Epoch"
    return f"{stage} {step.epoch}/{step.epochs}"


def _running_line(step: Step) -> str:
    return f"{_place(step)}: {_step_scores(step)}"


def progress_line(step: Step) -> str:
    """Describe a training step in at most 80 columns."""
    return (
        f"{_place(step)}, {step.step}/{step.steps}: {_step_scores(step)}, {step.rate:,.0f}/s, "
        f"{duration(step.seconds_left)} left"
    )


def _step_scores(step: Step) -> str:
    """Format the scores of a step; a region embedding has neither accuracy nor perplexity."""
    loss = f"loss {number(step.loss, '.3f')}"
    if step.accuracy is not None:
        return f"{loss} acc {number(step.accuracy, '.3f')}"
    return loss if step.stage else f"{loss} perplexity {number(perplexity(step.loss), ',.1f')}"
