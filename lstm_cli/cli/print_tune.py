"""The result of a search, for people or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstm_cli.cli import output, print_training
from lstm_cli.errors import command_line
from lstm_cli.io.text_format import duration, number

if TYPE_CHECKING:
    from lstm_cli.tune.study import Found


def print_found(found: Found, as_json: bool) -> None:
    """Print the best settings, how many trials there were, and the results of the winner."""
    from lstm_cli.tune.metrics import LABELS

    if as_json:
        output.print_json(found.to_dict())
        return
    trials, label = found.trials, LABELS[found.metric]
    settings = found.best.user_attrs["overrides"]
    shown = ", ".join(f"{key}={value}" for key, value in settings.items())
    failed = f", {trials.failed} failed" if trials.failed else ""
    output.print_key_values(
        {
            "trials": f"{trials.ended} ({trials.complete} to the end, {trials.pruned} pruned"
            f"{failed}) in {duration(found.seconds)}",
            f"default {label}": f"{number(found.default)} on validation",
            f"best {label}": f"{number(found.best.value)} on validation (trial "
            f"{found.best.number})",
            "best settings": shown or "the default settings",
        },
        f"Study {found.study}",
    )
    if found.winner is not None:
        output.print_line("")
        print_training.print_classifier(found.winner, False)
    output.print_line(f"Continue the search: {found.resume} --time ...")
    output.print_line(command_line("lstm", "tune", "show", found.study))
