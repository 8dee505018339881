"""What `lstm runs rm` and `prune` remove, for people or as JSON, and the question before it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lstm_cli.cli import output
from lstm_cli.cli.print_runs import score
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import duration, file_size, pluralize

if TYPE_CHECKING:
    from lstm_cli.runs.prune import Removable

_DAY = 86_400


@dataclass(frozen=True)
class Outcome:
    """What a command has removed.

    Attributes:
        found: What it was asked to remove.
        removed: What was removed.
        untouched: Runs that stay, by name, with the reason.
        num_leftovers: Number of removals that were killed before and are finished now.
        dry_run: Whether nothing was to be removed.
    """

    found: Sequence[Removable]
    removed: Sequence[Removable]
    untouched: dict[str, str]
    num_leftovers: int
    dry_run: bool


def print_removable(found: Sequence[Removable]) -> None:
    """Print a table of the runs to remove, and which others started from them."""
    if not found:
        return
    rows = [
        (
            each.run.name,
            each.summary.status,
            score(each.summary.accuracy, each.summary.perplexity),
            file_size(each.num_bytes),
            _age(each.age),
        )
        for each in found
    ]
    columns = ("run", "status", "accuracy", "size", "age")
    least = ("accuracy", "status")
    output.print_rows(rows, columns, right=columns[2:], unfolded=columns, least=least)
    for each in found:
        if each.referred_by:
            output.print_text(
                f"{', '.join(each.referred_by)} started from {each.run.name}, or had it as "
                "teacher: without it, 'lstm runs replay' cannot repeat them. They work as before."
            )


def ask(found: Sequence[Removable], with_names: bool) -> bool:
    """Ask on the terminal whether to remove runs; the default is no.

    Args:
        found: The runs.
        with_names: Whether to name them first, on stderr: they were not printed before.

    Raises:
        LstmError: There is no terminal (exit code 2).
    """
    import typer

    if not is_terminal():
        raise LstmError(
            f"{_sum(found)} would be removed, and without a terminal nobody can be asked.",
            "--yes removes them, --dry-run only prints them.",
            ExitCode.USAGE,
        )
    if with_names:
        for each in found:
            output.print_note(f"{each.run.name} ({each.summary.status})")
    try:
        return typer.confirm(f"Remove {_sum(found)}?", default=False, err=True)
    except typer.Abort:
        return False


def is_terminal() -> bool:
    """Return whether a person can read a question and answer it."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def print_outcome(outcome: Outcome, as_json: bool) -> None:
    """Print what was removed."""
    if as_json:
        output.print_json(_to_dict(outcome))
        return
    if outcome.num_leftovers:
        num = pluralize(outcome.num_leftovers, "run")
        output.print_note(f"Deleted the rest of {num} whose removal had been interrupted.")
    if outcome.removed:
        output.print_line(f"Removed: {_sum(outcome.removed)}")
    elif outcome.dry_run and outcome.found:
        output.print_line(f"Would be removed: {_sum(outcome.found)}")
    else:
        output.print_line("Nothing was removed.")


def _sum(runs: Sequence[Removable]) -> str:
    return f"{pluralize(len(runs), 'run')}, {file_size(sum(run.num_bytes for run in runs))}"


def _age(seconds: float | None) -> str:
    if seconds is None or seconds < _DAY:
        return duration(seconds)
    return pluralize(int(seconds // _DAY), "day")


def _to_dict(outcome: Outcome) -> dict[str, Any]:
    removed = {each.run.name for each in outcome.removed}
    return {
        "runs": [
            {
                "name": each.run.name,
                "path": str(each.run.path),
                "status": each.summary.status,
                "accuracy": each.summary.accuracy,
                "perplexity": each.summary.perplexity,
                "bytes": each.num_bytes,
                "age_seconds": None if each.age is None else round(each.age),
                "referred_by": list(each.referred_by),
                "removed": each.run.name in removed,
            }
            for each in outcome.found
        ],
        "bytes": sum(each.num_bytes for each in outcome.removed),
        "untouched": outcome.untouched,
        "leftovers": outcome.num_leftovers,
        "dry_run": outcome.dry_run,
    }
