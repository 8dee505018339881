"""Results of `lstm tune show`, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstm_cli.cli import output
from lstm_cli.io.text_format import duration, number, pluralize, shorten

if TYPE_CHECKING:
    from lstm_cli.tune.summary import StudySummary, TrialSummary

# Columns of a line beside the changed settings.
_OTHER_COLUMNS = 52
_MIN_COLUMNS = 24


def print_study(summary: StudySummary, num_trials: int) -> None:
    """Print what a study found, its best trials, and the importance of settings.

    Args:
        summary: The study.
        num_trials: How many trials to print, the best first.
    """
    from lstm_cli.tune.study_page import settings_header, settings_table

    output.print_key_values(_key_values(summary), summary.name)
    if shown := summary.trials[:num_trials]:
        output.print_line("")
        columns = ("trial", summary.label, "epochs", "time", "state", "changed")
        rows = [_row(summary, trial) for trial in shown]
        least = ("time", "epochs", "state")
        output.print_rows(rows, columns, right=columns[:4], unfolded=columns[:5], least=least)
        if len(summary.trials) > len(shown):
            rest = pluralize(len(summary.trials) - len(shown), "further trial")
            output.print_text(f"{rest}: see the page, --trials, or --json.")
    for trial in shown:
        if trial.error is not None:
            output.print_text(f"Trial {trial.number} failed: {trial.error}")
    if summary.settings:
        output.print_line("")
        header = settings_header(summary)
        output.print_rows(settings_table(summary), header, right=header[1:], unfolded=header[:1])


def _key_values(summary: StudySummary) -> dict[str, object]:
    from lstm_cli.tune.study_page import counts

    best, default = summary.best, summary.default
    pairs: dict[str, object] = {"data": summary.data, "trials": counts(summary)}
    if best is not None:
        pairs[f"best {summary.label}"] = f"{number(best.value)} on validation, trial {best.number}"
    if default is not None:
        pairs["default settings"] = number(default.value)
    if summary.seconds is not None:
        pairs["time"] = duration(summary.seconds)
    return pairs | {"winner": summary.winner or "not yet"}


def _row(summary: StudySummary, trial: TrialSummary) -> tuple[object, ...]:
    from lstm_cli.tune.summary import format_value

    # At most two lines.
    width = 2 * max(_MIN_COLUMNS, output.width() - _OTHER_COLUMNS)
    words = [f"{name} {format_value(value)}" for name, value in summary.changed(trial).items()]
    return (
        trial.number,
        number(trial.value),
        "-" if trial.epochs is None else trial.epochs,
        duration(trial.seconds),
        trial.state,
        "default settings" if trial.default else _join(words, width),
    )


def _join(words: list[str], width: int) -> str:
    """Join what fits into a width, and count the rest: `units 27, layers 2, +5`."""
    shown: list[str] = []
    for index, word in enumerate(words):
        text = ", ".join([*shown, word])
        if shown and len(text) + len(f", +{len(words)}") > width:
            return f"{', '.join(shown)}, +{len(words) - index}"
        shown.append(shorten(word, width))
    return ", ".join(shown)
