"""Everything printed: tables, progress, plain mode for CI; the only user of rich."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from lstm_cli.errors import LstmError
from lstm_cli.io.progress import Epoch, Reporter, Step, perplexity
from lstm_cli.io.text_format import clean, duration, excerpt, number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

_PLAIN_SECONDS = 10.0
# What JSON does not escape by itself.
_NOT_ESCAPED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Shades of blue and orange, told apart with every kind of colour vision; black on them is legible
# whatever the colours of the terminal are.
_SHADES = {
    "for": ("#dcebf5", "#b5d5ea", "#86bbdd", "#56a3d0"),
    "against": ("#fbe5d6", "#f6c8a8", "#efa675", "#e88747"),
}
_STYLES = {
    f"{side}{level}": f"#000000 on {colour}"
    for side, colours in _SHADES.items()
    for level, colour in enumerate(colours, 1)
}
_HEAT = (
    "#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#084594",
)  # fmt: skip
_STYLES |= {f"heat{level}": f"on {colour}" for level, colour in enumerate(_HEAT)}


@cache
def _stdout() -> Console:
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False)


@cache
def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def is_terminal() -> bool:
    """Tell whether a person reads stdout."""
    return sys.stdout.isatty()


def print_line(text: str) -> None:
    """Print lines of results for people."""
    sys.stdout.write("\n".join(map(clean, text.split("\n"))) + "\n")


def write_data(text: str) -> None:
    """Write results for programs: as they are, but for what a terminal would act on."""
    if is_terminal():
        text = "\n".join("\t".join(map(clean, line.split("\t"))) for line in text.split("\n"))
    sys.stdout.write(text)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print one JSON object, indented, and nothing else."""
    sys.stdout.write(json_text(value, indent) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """Return JSON for stdout, in which nothing but text stands that is safe on a terminal.

    A number that is NaN or infinite, for which JSON has no word, is null. Controls, marks of
    direction and halves of surrogate pairs are escaped, and all that is not ASCII where stdout has
    another encoding than UTF-8.
    """
    is_utf8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    options: Any = {"indent": indent, "ensure_ascii": not is_utf8, "allow_nan": False}
    try:
        text = json.dumps(value, **options)
    except ValueError:
        text = json.dumps(_finite(value), **options)
    return _NOT_ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _finite(value: Any) -> Any:
    """Replace the numbers that JSON cannot hold by None."""
    if isinstance(value, Mapping):
        return {key: _finite(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_error(error: LstmError) -> None:
    """Say on stderr what went wrong and what to do next."""
    from rich.text import Text

    console = _stderr()
    console.print(
        Text.assemble(("Error: ", "bold red"), clean(excerpt(error.message))), soft_wrap=True
    )
    if error.hint:
        console.print(Text.assemble(("Try: ", "bold"), clean(excerpt(error.hint))), soft_wrap=True)


def print_note(text: str) -> None:
    """Say on stderr what is going on."""
    sys.stderr.write(clean(excerpt(text)) + "\n")
    sys.stderr.flush()


def print_heading(text: str) -> None:
    """Print a heading above a table of results."""
    _stdout().print(clean(text), style="bold")


def print_text(text: str) -> None:
    """Print data over as many lines as it takes, wrapped between words."""
    for line in text.split("\n"):
        _stdout().print(clean(line))


def print_styled(lines: Iterable[Sequence[tuple[str, str]]]) -> None:
    """Print lines made of pieces, wrapped between words.

    Args:
        lines: For each its pieces, text and style: a name of `_STYLES`, or any style of rich. Text
            is data; a line break in it is kept.
    """
    from rich.text import Text

    for pieces in lines:
        line = Text(overflow="fold")
        for text, style in pieces:
            kept = "\n".join(clean(part) for part in text.split("\n"))
            line.append(kept, _STYLES.get(style, style))
        _stdout().print(line)


def has_colour() -> bool:
    """Tell whether colours on stdout will be seen."""
    console = _stdout()
    return console.color_system is not None and not console.no_color


def width() -> int:
    """Return how many columns stdout has."""
    return _stdout().width


def print_rows(
    rows: Iterable[Sequence[object]],
    columns: Sequence[str],
    right: Sequence[str] = (),
    title: str | None = None,
) -> None:
    """Print a table of results.

    Args:
        rows: Cells; data among them is shown as it is, never as markup.
        columns: Headings.
        right: Headings of the columns set flush right.
        title: Above the table.
    """
    if title:
        print_heading(title)
    table = _table(columns, right)
    for row in rows:
        table.add_row(*(clean(str(cell)) for cell in row))
    _stdout().print(table)


def print_key_values(pairs: Mapping[str, object], title: str | None = None) -> None:
    """Print names and values, one pair a line."""
    from rich.table import Table

    if title:
        print_heading(title)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs.items():
        table.add_row(clean(name), clean(str(value)))
    _stdout().print(table)


def reporter(quiet: bool = False) -> _Reporter:
    """Return a reporter for training: a bar on a terminal, rare lines in CI and logs.

    Args:
        quiet: Say only warnings.
    """
    if quiet:
        return _Reporter()
    live = sys.stderr.isatty() and not os.environ.get("CI")
    return _Bar() if live else _Plain()


class _Reporter:
    """Says warnings, and nothing else."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say what a person should look at."""
        print_note(f"Warning: {text}")

    def step(self, step: Step) -> None:
        """Say nothing."""

    def epoch(self, epoch: Epoch) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class _Plain(_Reporter):
    """A line now and then: for logs."""

    def __init__(self) -> None:
        self._next = 0.0

    def note(self, text: str) -> None:
        """Say it as a line."""
        print_note(text)

    def step(self, step: Step) -> None:
        """Say a line at most every ten seconds."""
        import time

        now = time.monotonic()
        self._next = self._next or now + _PLAIN_SECONDS
        if now >= self._next:
            self._next = now + _PLAIN_SECONDS
            print_note(_progress_line(step))

    def epoch(self, epoch: Epoch) -> None:
        """Say how the epoch ended."""
        print_note(_epoch_line(epoch))


class _Bar(_Reporter):
    """A live bar below the lines: for terminals."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: Any = None
        self._epoch = 0

    def note(self, text: str) -> None:
        """Say it above the bar."""
        _stderr().print(clean(excerpt(text)), style="dim")

    def warn(self, text: str) -> None:
        """Say it above the bar, in colour."""
        _stderr().print(f"Warning: {clean(excerpt(text))}", style="yellow")

    def step(self, step: Step) -> None:
        """Move the bar."""
        if self._progress is None:
            self._progress = _progress_bar(_stderr())
            self._progress.start()
        if step.epoch != self._epoch:
            self._epoch = step.epoch
            self._remove_task()
            self._task = self._progress.add_task("", total=step.steps)
        self._progress.update(self._task, completed=step.step, description=_short_line(step))

    def epoch(self, epoch: Epoch) -> None:
        """Replace the bar by the epoch's line."""
        self._remove_task()
        _stderr().print(_epoch_line(epoch))

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._remove_task()
            self._progress.stop()
            self._progress = None

    def _remove_task(self) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


@contextmanager
def training_reporter(quiet: bool = False) -> Iterator[Reporter]:
    """Give a reporter whose bar is gone when the block ends, however it ends."""
    told = reporter(quiet)
    try:
        yield told
    finally:
        told.close()


def _progress_bar(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.completed}/{task.total}", markup=False),
        console=console,
        transient=True,
        expand=True,
    )


def _short_line(step: Step) -> str:
    return (
        f"Epoch {step.epoch}/{step.epochs}  {_reached(step.loss, step.accuracy, 3, '  ')}  "
        f"{step.rate:,.0f}/s  {duration(step.seconds_left)} left"
    )


def _progress_line(step: Step) -> str:
    unit = "words" if step.accuracy is None else "examples"
    return (
        f"Epoch {step.epoch}/{step.epochs}, step {step.step}/{step.steps}: "
        f"{_reached(step.loss, step.accuracy)}, "
        f"{step.rate:,.0f} {unit}/s, {duration(step.seconds_left)} left"
    )


def _epoch_line(epoch: Epoch) -> str:
    best = ", the best so far" if epoch.best else ""
    split = "held-out" if epoch.val_accuracy is None else "validation"
    return (
        f"Epoch {epoch.epoch}: {_reached(epoch.loss, epoch.accuracy)}; "
        f"{split} {_reached(epoch.val_loss, epoch.val_accuracy)}; "
        f"{duration(epoch.seconds)}{best}"
    )


def _reached(loss: float, accuracy: float | None, digits: int = 4, between: str = ", ") -> str:
    """Write a loss, and beside it the accuracy, or the perplexity of a language model."""
    spec = f".{digits}f"
    if accuracy is not None:
        return f"loss {number(loss, spec)}{between}accuracy {number(accuracy, spec)}"
    return f"loss {number(loss, spec)}{between}perplexity {number(perplexity(loss), ',.1f')}"


def _table(columns: Sequence[str], right: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        # A heading may be a label: data, with whatever is in it.
        heading = Text(clean(column))
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    return table
