"""What must hold before a run is gone on with."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Epoch, Reporter
from lstm_cli.io.signals import Interrupted
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import MAX_EPOCHS, EpochLine, Number, Seconds, check_history
from lstm_cli.training import artifacts, checkpoint
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.device import DeviceInfo
from lstm_cli.training.loop import NonFiniteError

# No step depends on how often it is saved; more epochs are what a run may be resumed for.
_MAY_CHANGE = ("train.epochs", "train.checkpoint_seconds")


class _Progress(msgspec.Struct):
    """What `fit.TrainingLoop.checkpoint` writes, and `restore` takes as it is."""

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


def newest(run: RunDir, reporter: Reporter) -> Checkpoint | None:
    """Read a run's newest checkpoint that can be gone on from; others are told and stepped over.

    Args:
        run: The run, its lock held.
        reporter: Told of each damaged checkpoint.

    Returns:
        None where there is no good one.

    Raises:
        LstmError: The folder cannot be read, or the run holds a link (exit code 5).
    """
    run.names()
    return checkpoint.newest(run.file(runs.CHECKPOINTS), reporter, check_progress)


def check_progress(found: Checkpoint) -> None:
    """Hold what a checkpoint says of its progress to what training could have written.

    Raises:
        ValueError: It says anything else.
    """
    progress = msgspec.convert(found.progress, _Progress)
    names = {field.name for field in fields(Epoch)}
    if any(set(line) != names for line in found.progress["history"]):
        raise ValueError("a line of its history is none")
    sections = {key.split(".")[0] for key in configs.all_keys() if "." in key}
    if not all(isinstance(progress.settings.get(name, {}), dict) for name in sections):
        raise ValueError("its settings are none")
    epochs = progress.settings.get("train", {}).get("epochs")
    if type(epochs) is not int or not 1 <= epochs <= MAX_EPOCHS:
        raise ValueError("its settings name no last epoch")
    if progress.epoch > epochs or (progress.epoch == epochs and progress.step):
        raise ValueError(f"it is past the last epoch, {epochs}")
    _check_best(progress, any(name.startswith("best/") for name in found.tensors))
    _check_sums(progress)
    pseudo_labels = found.tensors.get("objective/verdicts")
    if pseudo_labels is not None and not ((pseudo_labels >= 0) & (pseudo_labels <= 1)).all():
        raise ValueError("its pseudo-labels are not probabilities")


def _check_best(progress: _Progress, has_best: bool) -> None:
    """Hold history, best epoch, best loss and best weights to each other.

    Raises:
        ValueError: They contradict each other.
    """
    if len(progress.history) != progress.epoch:
        raise ValueError("its history is not that of its epoch")
    try:
        check_history(progress.history)
    except ValueError as error:
        raise ValueError(f"its history{error}") from None
    best = max((line.epoch for line in progress.history if line.best), default=0)
    if progress.best_epoch != best:
        raise ValueError(f"its best epoch is {progress.best_epoch}, {best} by its history")
    loss = progress.history[best - 1].val_loss if best else None
    if progress.best_loss != loss or has_best != bool(best):
        raise ValueError("its best epoch, loss and weights do not belong together")


def _check_sums(progress: _Progress) -> None:
    """Hold the sums over an epoch so far to its step, and accuracies to what is trained.

    Raises:
        ValueError: They contradict each other.
    """
    num, _, right = progress.sums
    if (progress.step > 0) != (num > 0) or (not progress.step and any(progress.sums)):
        raise ValueError("its sums are not those of its step")
    if num != int(num) or not 0 <= right <= num * 1.001:
        raise ValueError("its sums are none")
    is_language = progress.settings.get("language") is not None
    for line in progress.history:
        if is_language != (line.accuracy is None) or is_language != (line.val_accuracy is None):
            raise ValueError("a line of its history is of another kind of run")


def check_position(found: Checkpoint, num_steps: int, rate: int) -> None:
    """Hold a checkpoint's position to the plan of the training that it is to go on with.

    Args:
        found: Its progress is known to be right in itself.
        num_steps: Steps of an epoch.
        rate: Examples or words that a step learns from at most.

    Raises:
        ValueError: It is of another plan.
    """
    progress = msgspec.convert(found.progress, _Progress)
    if progress.step > num_steps:
        raise ValueError(f"it is at step {progress.step} of {num_steps} in an epoch")
    for line in progress.history[:1]:
        if line.steps != num_steps:
            raise ValueError(f"its history has {line.steps} steps an epoch, expected {num_steps}")
    if progress.sums[0] > progress.step * rate:
        raise ValueError(f"its sums are of more than {progress.step} steps")
    # Keras' optimizers count their steps in their first variable.
    taken, expected = found.tensors.get("optimizer/0"), progress.epoch * num_steps + progress.step
    if taken is not None and (taken.ndim or int(taken) != expected):
        raise ValueError(f"its optimizer has not taken {expected} steps")


def fitting(
    run: RunDir, found: Checkpoint | None, num_steps: int, rate: int, reporter: Reporter
) -> Checkpoint | None:
    """Return a checkpoint whose position is one of the plan, or the newest before it that is.

    Args:
        run: The run, its lock held.
        found: What `newest` returned.
        num_steps: As for `check_position`, as is `rate`.
        rate: See there.
        reporter: Told of each checkpoint that is stepped over.

    Raises:
        LstmError: There is none (exit code 5).
    """
    if found is None:
        return None

    def check(one: Checkpoint) -> None:
        check_progress(one)
        check_position(one, num_steps, rate)

    with contextlib.suppress(ValueError):
        check(found)
        return found
    found = checkpoint.newest(run.file(runs.CHECKPOINTS), reporter, check)
    if found is None:
        raise LstmError(
            f"Run {run.name} has no checkpoint whose position is within its plan of {num_steps:,} "
            "steps an epoch.",
            f"To begin it again, remove {run.file(runs.CHECKPOINTS)} and resume it.",
            ExitCode.INTEGRITY,
        )
    return found


def resumed_config(run: RunDir, found: Checkpoint | None, epochs: int | None) -> Config:
    """Return a run's settings, with the last epoch it is to be trained to.

    Args:
        run: The run.
        found: Its newest good checkpoint, which knows the settings of the steps before it.
        epochs: A new last epoch; None for the one it was last trained towards.

    Raises:
        LstmError: A setting has changed, fewer epochs are asked for than before, or nothing is
            left to do.
    """
    config = run.config()
    before = config.train.epochs
    if found is not None:
        settings = found.progress["settings"]
        _check_settings(run, settings, configs.to_dict(config))
        before = max(before, settings["train"]["epochs"])
    if epochs is not None and epochs < before:
        raise LstmError(
            f"Run {run.name} was started with train.epochs={before}, found --epochs {epochs}.",
            "A run can be resumed with more epochs, not with fewer.",
            ExitCode.USAGE,
        )
    wanted = epochs or before
    if run.status == "finished":
        if wanted == config.train.epochs:
            raise LstmError(
                f"Run {run.name} is finished: there is nothing to resume.",
                f"Train on with --epochs {wanted + 2}, or start a new run without --resume.",
            )
        if found is None:
            raise LstmError(
                f"Run {run.name} is finished, and {run.file(runs.CHECKPOINTS)} holds no checkpoint "
                "to train on from.",
                "Start a new run without --resume; the finished one is left as it is.",
            )
    return replace(config, train=replace(config.train, epochs=wanted))


def check_data(run: RunDir, record: Mapping[str, Any], dataset: Dataset) -> None:
    """Refuse to go on with other data than the run began with.

    Args:
        run: The run.
        record: Its `run.json`, known to be a `BegunRunInfo`.
        dataset: What is there now.

    Raises:
        LstmError: The data has changed; both fingerprints are named.
    """
    before = record["dataset"]["fingerprint"]
    if before != dataset.fingerprint:
        raise LstmError(
            f"{dataset.source} has changed since run {run.name} began: its fingerprint was "
            f"{before[:12]} and is {dataset.fingerprint[:12]}.",
            "Bring the old data back, or start a new run without --resume.",
        )


def warn_of_changes(record: Mapping[str, Any], device_info: DeviceInfo, reporter: Reporter) -> None:
    """Say where another machine or version may end with other bits.

    Args:
        record: `run.json` of the run.
        device_info: What it is trained on now.
        reporter: Told of each change.
    """
    versions = record.get("versions")
    before = {"device": record.get("device"), **(versions if isinstance(versions, dict) else {})}
    now = {"device": device_info.device, **artifacts.versions()}
    for name in now:
        if name in before and before[name] != now[name] and name != "lstm-cli":
            reporter.warn(
                f"This run began with {name} {before[name]} and goes on with {now[name]}: it may "
                "end with other bits than it would have."
            )


def command(run: RunDir, record: Mapping[str, Any]) -> str:
    """Return the command line that goes on with a run."""
    here = run.path.parent.parent == runs.runs_root()
    name = run.path.name if here else str(run.path)
    verb = "pretrain" if record.get("kind") == "language" else "train"
    return shlex.join(["lstm", verb, str(record["data"]), "--resume", name])


@contextlib.contextmanager
def recording_failure(run: RunDir, record: dict[str, Any], new: bool = False) -> Iterator[None]:
    """Mark a run that does not get to its end; a new one that never began leaves no trace."""
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
            interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
            told: dict[str, Any] = {
                "error": artifacts.shortened(getattr(error, "message", str(error)))
            }
            told["status"] = "interrupted" if interrupted else "failed"
            if isinstance(error, NonFiniteError):
                told["non_finite"] = error.found
            # On a full disk the error itself is what has to be told.
            with contextlib.suppress(LstmError):
                run.write_json(runs.RUN, {**record, **told})
        if isinstance(error, Interrupted):
            error.message = f"{error.message} Resume: {command(run, record)}".strip()
        raise


def _check_settings(run: RunDir, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse settings other than those the checkpoint was trained with."""
    changed = []
    for key in configs.all_keys():
        was, is_ = _value(before, key), _value(now, key)
        if was is not _MISSING and was != is_ and key not in _MAY_CHANGE:
            changed.append(f"{key} was {was!r}, now {'nothing' if is_ is _MISSING else repr(is_)}")
    if changed:
        raise LstmError(
            f"{run.file(runs.CONFIG)} has changed since run {run.name} was trained: "
            f"{'; '.join(changed)}.",
            "Undo that to go on with the run, or start a new one without --resume.",
            ExitCode.USAGE,
        )


_MISSING = object()


def _value(settings: Mapping[str, Any], dotted: str) -> Any:
    section, _, name = dotted.rpartition(".")
    found = settings.get(section, {}) if section else settings
    return found.get(name, _MISSING)
