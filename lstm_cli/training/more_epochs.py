"""Training that ends while validation still improves: a note with the command that goes on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from lstm_cli.errors import command_line
from lstm_cli.io.progress import Epoch, selection_curve
from lstm_cli.io.text_format import number, pluralize
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir

# With a learning rate that decays to 0 the last epoch changes little, so the second half of
# training counts: how much of the loss it removed, and how much of what all epochs removed.
_MIN_IMPROVEMENT = 0.01
_MIN_SHARE = 0.1
# Options of a command that a new training must not repeat.
_LEFT_OUT = ("--name", "--epochs")


def still_improves(history: Sequence[Epoch], best_epoch: int, num_epochs: int) -> bool:
    """Return whether the limit of epochs ended a training whose validation loss was still falling.

    Args:
        history: The epochs of all stages.
        best_epoch: The epoch whose weights are used.
        num_epochs: The limit.

    Returns:
        Whether the best epoch is the last one allowed, and the loss fell in the second half of
        training by over 1%, and by over a tenth of what it fell since the first epoch. False for a
        training of one epoch: nothing can be seen there.
    """
    curve = selection_curve(history)
    if not curve or best_epoch < num_epochs or len(curve) < max(2, num_epochs):
        return False
    losses = [line.val_loss or 0.0 for line in curve]
    first, middle, last = losses[0], losses[(len(losses) - 1) // 2], losses[-1]
    return middle - last > max(_MIN_IMPROVEMENT * middle, _MIN_SHARE * (first - last))


def describe(
    run: RunDir, history: Sequence[Epoch], num_epochs: int, new_run: bool, command: str | None
) -> str:
    """Return the note on a training that still improves.

    Args:
        run: The run.
        history: The epochs of all stages.
        num_epochs: The limit.
        new_run: Whether the run cannot be resumed with more epochs.
        command: The command line of the training; None if it was started from Python.
    """
    curve = selection_curve(history)
    middle = curve[(len(curve) - 1) // 2]
    more = 2 * num_epochs
    if not new_run:
        next_command = f"{find.resume_command(run, runs.runs_root())} --epochs {more}"
    elif command is not None:
        next_command = command_line(*_without_options(shlex.split(command)), "--epochs", str(more))
    else:
        next_command = f"train.epochs={more}"
    return (
        f"The validation loss was still falling when training reached its limit of "
        f"{pluralize(num_epochs, 'epoch')} ({number(middle.val_loss)} at epoch {middle.epoch}, "
        f"{number(curve[-1].val_loss)} at the end). More epochs may help: {next_command}"
    )


def _without_options(words: Sequence[str]) -> list[str]:
    """Return the words of a command without the options that a new training must not repeat."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _LEFT_OUT:
            skip = True
        elif not word.startswith(tuple(f"{name}=" for name in _LEFT_OUT)):
            kept.append(word)
    return kept
