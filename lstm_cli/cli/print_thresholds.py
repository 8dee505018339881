"""The thresholds of a run, for people or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lstm_cli.cli import output
from lstm_cli.io.text_format import number, percent, short_label

if TYPE_CHECKING:
    from lstm_cli.runs.thresholds import Choice, Scores, Thresholds

_MAX_CLASSES = 40
# An accuracy that is lower than wanted by no more than this is not worth a warning.
_TOLERANCE = 0.005


def to_dict(stored: Thresholds | None) -> dict[str, Any]:
    """Return thresholds for JSON: `thresholds`, `min_probabilities` and `choice`; None without."""
    from msgspec import to_builtins

    keys = ("thresholds", "min_probabilities", "choice")
    found: dict[str, Any] = {} if stored is None else to_builtins(stored)
    return {key: found.get(key) for key in keys}


def print_thresholds(stored: Thresholds, title: str) -> None:
    """Print the thresholds of each class, and what they give."""
    parts = {"threshold": stored.thresholds, "min probability": stored.min_probabilities}
    columns = {name: by_class for name, by_class in parts.items() if by_class is not None}
    labels = list(next(iter(columns.values()), {}))
    rows = [
        (short_label(label), *(f"{by_class[label]:.6g}" for by_class in columns.values()))
        for label in labels[:_MAX_CLASSES]
    ]
    if len(labels) > _MAX_CLASSES:
        title = f"{title}: the first {_MAX_CLASSES} of {len(labels):,} classes (--json has all)"
    output.print_rows(rows, ("class", *columns), right=tuple(columns), title=title)
    if stored.choice is not None:
        _print_choice(stored.choice)


def _print_choice(choice: Choice) -> None:
    goals = ["the best macro F1"] * choice.best_f1
    if choice.wanted_precision is not None:
        goals.append(f"a precision of {choice.wanted_precision:g}")
    output.print_line("")
    output.print_text(f"Chosen for {' and '.join(goals)} on {choice.source}.")
    rows = [
        _score_row("most probable class", choice.before),
        _score_row("with thresholds", choice.expected),
    ]
    columns = ("", "answered", "accuracy of the answers", "macro F1")
    output.print_rows(rows, columns, right=columns[1:])
    note = "With thresholds: cross-validated, each row with thresholds chosen on other rows."
    output.print_text(note)
    if warning := _warning(choice):
        output.print_text(warning)


def _warning(choice: Choice) -> str:
    """Say so where thresholds do not reach what they were chosen for; empty if they do."""
    expected, wanted = choice.expected, choice.wanted_precision
    if wanted is not None and (expected.accuracy or 0.0) < wanted - _TOLERANCE:
        return (
            f"Expect less than {wanted:g} on new texts: {choice.rows:,} rows are few to choose on."
        )
    if wanted is None and expected.f1 <= choice.before.f1:
        return (
            "These thresholds do not help: the most probable class has the same or a higher macro "
            "F1. --clear removes them."
        )
    return ""


def _score_row(name: str, scores: Scores) -> tuple[str, ...]:
    return name, percent(scores.answered), number(scores.accuracy), number(scores.f1)
