"""Checks of checkpoints before a run is resumed from one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import fields
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from lstm_cli.config import load as configs
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Epoch, Reporter
from lstm_cli.models import process_group
from lstm_cli.runs import directory as runs
from lstm_cli.runs.decode import MAX_EPOCHS, Number, Seconds, Text
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import EpochLine, check_history
from lstm_cli.training import checkpoint
from lstm_cli.training.checkpoint import Checkpoint


class _FinishedStage(msgspec.Struct):
    """A finished stage in a checkpoint, as `stages.to_checkpoint` writes it."""

    history: list[EpochLine]
    best_epoch: Annotated[int, Meta(ge=1, le=MAX_EPOCHS)]
    stop_reason: Text


class _Progress(msgspec.Struct):
    """`Checkpoint.progress`, as `TrainingLoop.checkpoint` writes it."""

    epoch: Annotated[int, Meta(ge=0, le=MAX_EPOCHS)]
    step: Annotated[int, Meta(ge=0, lt=2**31)]
    sums: tuple[Annotated[float, Meta(ge=0, le=2**53)], Number, Number]
    best_loss: Number | None
    best_epoch: Annotated[int, Meta(ge=0, le=MAX_EPOCHS)]
    stop_requested: bool
    history: list[EpochLine]
    seconds: Seconds
    epoch_seconds: Seconds
    settings: dict[str, Any]
    stages: Annotated[list[_FinishedStage], Meta(max_length=100)]


def newest_checkpoint(run: RunDir, reporter: Reporter) -> Checkpoint | None:
    """Read the newest valid checkpoint of a run; damaged ones are reported and skipped.

    Args:
        run: The run, its lock held.
        reporter: Receives a warning for each damaged checkpoint.

    Returns:
        None without a valid checkpoint.

    Raises:
        LstmError: The folder cannot be read, or the run contains a link (exit code 5).
    """
    run.names()
    folder, removes = run.file(runs.CHECKPOINTS), process_group.is_first()
    return checkpoint.newest(folder, reporter, check_progress, removes)


def fitting_checkpoint(
    run: RunDir,
    newest: Checkpoint,
    num_steps: int,
    step_size: int,
    num_finished: int,
    reporter: Reporter,
) -> Checkpoint:
    """Return the newest checkpoint whose position fits the number of steps.

    Args:
        run: The run, its lock held.
        newest: As `newest_checkpoint` returns it.
        num_steps: Steps per epoch.
        step_size: Maximum number of examples or words in a step.
        num_finished: Number of stages that are finished.
        reporter: Receives a warning for each checkpoint that is skipped.

    Raises:
        LstmError: No checkpoint fits (exit code 5).
    """

    def check(candidate: Checkpoint) -> None:
        check_progress(candidate)
        if len(candidate.progress["stages"]) != num_finished:
            raise ValueError("it is of another stage")
        check_position(candidate, num_steps, step_size)

    with contextlib.suppress(ValueError):
        check(newest)
        return newest
    removes = process_group.is_first()
    fitting = checkpoint.newest(run.file(runs.CHECKPOINTS), reporter, check, removes)
    if fitting is None:
        raise LstmError(
            f"Run {run.name} has no checkpoint whose position is within its {num_steps:,} steps "
            "per epoch.",
            f"To train from the beginning, remove {run.file(runs.CHECKPOINTS)} and resume the run.",
            ExitCode.INTEGRITY,
        )
    return fitting


def check_progress(candidate: Checkpoint) -> None:
    """Check that training could have written the progress of a checkpoint.

    Raises:
        ValueError: It could not.
    """
    progress = msgspec.convert(candidate.progress, _Progress)
    names = {field.name for field in fields(Epoch)}
    histories = [stage["history"] for stage in candidate.progress["stages"]]
    for line in chain(candidate.progress["history"], *histories):
        if set(line) != names:
            raise ValueError("a line of its history is not valid")
    sections = {key.split(".")[0] for key in configs.all_keys() if "." in key}
    if not all(isinstance(progress.settings.get(name, {}), dict) for name in sections):
        raise ValueError("its settings are not valid")
    epochs = progress.settings.get("train", {}).get("epochs")
    if type(epochs) is not int or not 1 <= epochs <= MAX_EPOCHS:
        raise ValueError("its settings have no valid train.epochs")
    if progress.epoch > epochs or (progress.epoch == epochs and progress.step):
        raise ValueError(f"it is past the last epoch, {epochs}")
    _check_stages(progress, candidate.tensors)
    _check_best(progress, any(name.startswith("best/") for name in candidate.tensors))
    _check_sums(progress)
    for name in ("objective/epoch_lstm", "objective/epoch_linear_scales"):
        array = candidate.tensors.get(name)
        if array is not None and (not array.ndim or len(array) != progress.epoch):
            raise ValueError("its logits of each epoch do not fit its epoch")
    pseudo_labels = candidate.tensors.get("objective/pseudo_labels")
    if pseudo_labels is not None and not ((pseudo_labels >= 0) & (pseudo_labels <= 1)).all():
        raise ValueError("its pseudo-labels are not probabilities")


def _check_stages(progress: _Progress, tensors: Mapping[str, Any]) -> None:
    """Check the histories of all stages, and the logits of those that are finished.

    Raises:
        ValueError: They are not those of a training.
    """
    lines = [line for stage in progress.stages for line in stage.history] + progress.history
    try:
        check_history(lines)
    except ValueError as error:
        raise ValueError(f"its history{error}") from None
    number = len(progress.stages) + 1
    if any(line.stage != number for line in progress.history):
        raise ValueError(f"a line of its history is not of stage {number}")
    for number, stage in enumerate(progress.stages, 1):
        if any(line.stage != number or line.val_loss is None for line in stage.history):
            raise ValueError(f"the history of stage {number} is not valid")
        best = max((line.epoch for line in stage.history if line.best), default=0)
        if stage.best_epoch != best:
            raise ValueError(f"the best epoch of stage {number} is not {stage.best_epoch}")
        names = [f"stage/{number}/{name}" for name in ("lstm", "linear_scales", "linear")]
        if any(name not in tensors for name in names[:2]):
            raise ValueError(f"the logits of stage {number} are missing")
        if any(tensors[name].dtype != np.float32 for name in names if name in tensors):
            raise ValueError(f"the logits of stage {number} are not valid")


def _check_best(progress: _Progress, has_best_weights: bool) -> None:
    """Check that history, best epoch, best loss and best weights agree.

    Raises:
        ValueError: They contradict each other.
    """
    if len(progress.history) != progress.epoch:
        raise ValueError("the length of its history is not its epoch")
    best = max((line.epoch for line in progress.history if line.best), default=0)
    if progress.best_epoch != best:
        raise ValueError(f"its best epoch is {progress.best_epoch}, but {best} in its history")
    loss = progress.history[best - 1].val_loss if best else None
    if progress.best_loss != loss or has_best_weights != bool(best):
        raise ValueError("its best epoch, best loss and best weights do not agree")


def _check_sums(progress: _Progress) -> None:
    """Check the sums of the epoch against the step, and the accuracies against the task.

    Raises:
        ValueError: They contradict each other.
    """
    num, _, correct = progress.sums
    if (progress.step > 0) != (num > 0) or (not progress.step and any(progress.sums)):
        raise ValueError("its sums do not fit its step")
    if num != int(num) or not 0 <= correct <= num * 1.001:
        raise ValueError("its sums are not valid")
    is_language = progress.settings.get("language") is not None
    for line in progress.history:
        has_val_accuracy = not is_language and line.val_loss is not None
        if is_language != (line.accuracy is None) or has_val_accuracy == (
            line.val_accuracy is None
        ):
            raise ValueError("a line of its history is of another kind of run")


def check_position(candidate: Checkpoint, num_steps: int, step_size: int) -> None:
    """Check the position of a checkpoint against the number of steps.

    Args:
        candidate: A checkpoint that passes `check_progress`.
        num_steps: Steps per epoch.
        step_size: Maximum number of examples or words in a step.

    Raises:
        ValueError: The position does not fit.
    """
    progress = msgspec.convert(candidate.progress, _Progress)
    if progress.step > num_steps:
        raise ValueError(f"it is at step {progress.step} of {num_steps} in an epoch")
    for line in progress.history[:1]:
        if line.steps != num_steps:
            raise ValueError(f"its history has {line.steps} steps per epoch, expected {num_steps}")
    if progress.sums[0] > progress.step * step_size:
        raise ValueError(f"its sums are of more than {progress.step} steps")
    # The first variable of a Keras optimizer counts its steps.
    num_done = candidate.tensors.get("optimizer/0")
    expected = progress.epoch * num_steps + progress.step
    if num_done is not None and (num_done.ndim or int(num_done) != expected):
        raise ValueError(f"its optimizer has not done {expected} steps")
