"""Checks before a run is resumed, and the record of a run that fails."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Epoch, Reporter
from lstm_cli.io.signals import Interrupted
from lstm_cli.models import process_group
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.decode import MAX_EPOCHS, Number, Seconds, Text
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import Change, DatasetInfo, EpochLine, check_history
from lstm_cli.training import artifacts, checkpoint
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.device import DeviceInfo
from lstm_cli.training.file_vectors import changed_file, warn_of_changed_file
from lstm_cli.training.loop import NonFiniteError

# The number of epochs may grow. How often checkpoints are saved changes no step, nor do test rows:
# those in a file of their own. Whether there is such a file changes the fingerprint of the data.
_CHANGEABLE_SETTINGS = ("train.epochs", "train.checkpoint_seconds", "data.test_file")


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


# Checkpoints


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


# Settings, data, versions


def resumed_config(
    run: RunDir,
    newest: Checkpoint | None,
    epochs: int | None,
    test_file: str | None = None,
    score_test: bool = True,
) -> Config:
    """Return the settings of a run, with the number of epochs to train to.

    Args:
        run: The run.
        newest: Its newest valid checkpoint, which has the settings of the steps before it.
        epochs: A new number of epochs; None for the number of the last training.
        test_file: Another test file, for a run that has one.
        score_test: Whether a run that was not scored on test is to be scored now.

    Raises:
        LstmError: A setting has changed, the number of epochs is lower than before, or no epoch is
            left.
    """
    config = run.config()
    if config.data.test_file and test_file:
        config = replace(config, data=replace(config.data, test_file=test_file))
    before = config.train.epochs
    if newest is not None:
        settings = newest.progress["settings"]
        _check_settings(run, settings, configs.to_dict(config))
        before = max(before, settings["train"]["epochs"])
    if epochs is not None and epochs != before and config.is_refitted:
        raise LstmError(
            f"Run {run.name} ends with a refit (train.refit, data.folds), whose number of epochs "
            f"follows from train.epochs={before}: it cannot be resumed with --epochs {epochs}.",
            f"Start a new run with --epochs {epochs}, without --resume.",
            ExitCode.USAGE,
        )
    if epochs is not None and epochs < before:
        raise LstmError(
            f"Run {run.name} was started with train.epochs={before}, found --epochs {epochs}.",
            "A run can be resumed with more epochs, not with fewer.",
            ExitCode.USAGE,
        )
    new_epochs = epochs or before
    if run.status == "finished":
        is_to_score = score_test and runs.is_untested(run)
        if new_epochs == config.train.epochs and not is_to_score:
            hint = f"Extend it with --epochs {new_epochs + 2}, or start a new run without --resume."
            raise LstmError(
                f"Run {run.name} is finished: there is nothing to resume.",
                "Start a new run without --resume." if config.is_refitted else hint,
            )
        if newest is None:
            raise LstmError(
                f"Run {run.name} is finished, and {run.file(runs.CHECKPOINTS)} has no checkpoint "
                "to extend it from.",
                "Start a new run without --resume; the finished run is unchanged.",
            )
    return replace(config, train=replace(config.train, epochs=new_epochs))


def _check_settings(run: RunDir, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that settings are those of the checkpoint.

    Raises:
        LstmError: A setting differs; the message names it with both values (exit code 2).
    """
    changes = []
    for key in configs.all_keys():
        old, new = _value(before, key), _value(now, key)
        if old is not _MISSING and old != new and key not in _CHANGEABLE_SETTINGS:
            changes.append(f"{key} was {old!r}, now {'nothing' if new is _MISSING else repr(new)}")
    if changes:
        raise LstmError(
            f"{run.file(runs.CONFIG)} has changed since run {run.name} was trained: "
            f"{'; '.join(changes)}.",
            "Undo the change to resume the run, or start a new run without --resume.",
            ExitCode.USAGE,
        )


_MISSING = object()


def _value(settings: Mapping[str, Any], dotted_key: str) -> Any:
    section, _, name = dotted_key.rpartition(".")
    return (settings.get(section, {}) if section else settings).get(name, _MISSING)


def check_data(
    run: RunDir, record: Mapping[str, Any], dataset: Dataset, reporter: Reporter
) -> None:
    """Check that what training reads is still that of the start of the run.

    Training reads no test rows: if only they have changed, a note says so.

    Args:
        run: The run.
        record: Its `run.json`, a valid `StartedRunInfo`. The files are replaced by those of now.
        dataset: The data now.
        reporter: Receives the note.

    Raises:
        LstmError: The data has changed; the message has both fingerprints.
    """
    change = data_change(record["dataset"], dataset)
    if change is not None:
        raise _changed(run, change)
    other_test = test_change(record["dataset"], dataset)
    if other_test is not None:
        reporter.note(
            f"The test rows in {other_test.source} have changed since run {run.name} was started. "
            "Training has not read them: it goes on, and the run is scored on the rows of now."
        )
    record["dataset"]["files"] = {name: asdict(file) for name, file in dataset.files.items()}


def data_change(record: Mapping[str, Any], dataset: Dataset) -> Change | None:
    """Return what has changed of the data that training reads; None if nothing has.

    Args:
        record: `dataset` of `run.json`.
        dataset: The data now.
    """
    return msgspec.convert(record, DatasetInfo).learned_change(dataset)


def test_change(record: Mapping[str, Any], dataset: Dataset) -> Change | None:
    """Return what has changed of a file with test rows; None if nothing has.

    Args:
        record: `dataset` of `run.json`.
        dataset: The data now.
    """
    return msgspec.convert(record, DatasetInfo).test_change(dataset)


def check_vectors(
    run: RunDir, record: Mapping[str, Any], newest: Checkpoint | None, reporter: Reporter
) -> None:
    """Check the file of word vectors that a run started from.

    Args:
        run: The run.
        record: Its `run.json`.
        newest: Its newest valid checkpoint, which has the vectors.
        reporter: Receives a warning if the file has changed and is not needed any more.

    Raises:
        LstmError: The file has changed or is missing, and there is no checkpoint.
    """
    if newest is not None:
        warn_of_changed_file(record, reporter)
        return
    change = changed_file(record)
    if change is not None:
        raise _changed(run, change)


def _changed(run: RunDir, change: Change) -> LstmError:
    source, before, now = change
    return LstmError(
        f"{source} has changed since run {run.name} was started: its fingerprint was "
        f"{before[:12]} and is {now[:12]}.",
        "Restore the old data, or start a new run without --resume.",
    )


def warn_of_changes(record: Mapping[str, Any], device_info: DeviceInfo, reporter: Reporter) -> None:
    """Warn of another device or version, with which the run may end with other bits.

    Args:
        record: `run.json` of the run.
        device_info: The device now.
        reporter: Receives a warning for each change.
    """
    versions = record.get("versions")
    before = {"device": record.get("device"), **(versions if isinstance(versions, dict) else {})}
    now: dict[str, Any] = {"device": device_info.device, **artifacts.versions()}
    if "processes" in record:
        # A sum over processes is rounded in another order.
        before["processes"], now["processes"] = record["processes"], device_info.processes
    for name in now:
        if name in before and before[name] != now[name] and name != "lstm-cli":
            reporter.warn(
                f"This run was started with {name} {before[name]} and is resumed with {now[name]}: "
                "it may end with other bits."
            )


# Failures


@contextlib.contextmanager
def recording_failure(run: RunDir, record: dict[str, Any], new: bool = False) -> Iterator[None]:
    """Record in `run.json` that the run failed or was interrupted.

    Args:
        run: The run.
        record: Its `run.json`.
        new: Whether to remove the run if it fails before `run.json` is written.
    """
    try:
        yield
    except BaseException as error:
        if not run.file(runs.RUN).exists():
            if new:
                shutil.rmtree(run.path, ignore_errors=True)
            if isinstance(error, Interrupted):
                error.message = "Nothing was trained yet, and nothing is kept."
            raise
        if run.status != "finished":
            # On a full disk, report the first error and not this one.
            with contextlib.suppress(LstmError):
                run.write_json(runs.RUN, {**record, **_failure(error)})
        if isinstance(error, Interrupted):
            error.message = (
                f"{error.message} Resume: {find.resume_command(run, runs.runs_root())}".strip()
            )
        raise


def _failure(error: BaseException) -> dict[str, Any]:
    """Return what `run.json` says of an error."""
    is_interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
    failure: dict[str, Any] = {
        "status": "interrupted" if is_interrupted else "failed",
        "error": artifacts.truncate_text(getattr(error, "message", str(error))),
    }
    if isinstance(error, NonFiniteError):
        failure["non_finite"] = error.details
    return failure
