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

from lstm_cli import artefacts, checkpoint
from lstm_cli import config as configs
from lstm_cli import run as runs
from lstm_cli.checkpoint import Checkpoint
from lstm_cli.datasets import Dataset
from lstm_cli.device import Used
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.fit import NumbersGoneWrongError
from lstm_cli.reporting import Epoch, Reporter
from lstm_cli.run import RunDir
from lstm_cli.settings import Config
from lstm_cli.signals import Interrupted

# No step depends on how often it is saved; more epochs are what a run may be resumed for.
_MAY_CHANGE = ("train.epochs", "train.checkpoint_seconds")


_Num = Annotated[int, Meta(ge=0, lt=2**31)]
_Seconds = Annotated[float, Meta(ge=0)]


class _Progress(msgspec.Struct):
    """What `fit.Loop.checkpoint` writes, and `restore` takes as it is."""

    epoch: _Num
    step: _Num
    sums: tuple[float, float, float]
    best_loss: float | None
    best_epoch: _Num
    asked_to_stop: bool
    history: list[Epoch]
    seconds: _Seconds
    epoch_seconds: _Seconds
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
    if len(progress.history) != progress.epoch or progress.best_epoch > progress.epoch:
        raise ValueError("its history is not that of its epoch")
    has_best = any(name.startswith("best/") for name in found.tensors)
    if not bool(progress.best_epoch) == (progress.best_loss is not None) == has_best:
        raise ValueError("its best epoch, loss and weights do not belong together")
    if (progress.step > 0) != (progress.sums[0] > 0):
        raise ValueError("its sums are not those of its step")
    sections = {key.split(".")[0] for key in configs.all_keys() if "." in key}
    if not all(isinstance(progress.settings.get(name, {}), dict) for name in sections):
        raise ValueError("its settings are none")
    if type(progress.settings.get("train", {}).get("epochs")) is not int:
        raise ValueError("its settings name no last epoch")


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


def warn_of_changes(record: Mapping[str, Any], used: Used, reporter: Reporter) -> None:
    """Say where another machine or version may end with other bits.

    Args:
        record: `run.json` of the run.
        used: What it is trained on now.
        reporter: Told of each change.
    """
    versions = record.get("versions")
    before = {"device": record.get("device"), **(versions if isinstance(versions, dict) else {})}
    now = {"device": used.device, **artefacts.versions()}
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
            told: dict[str, Any] = {"error": str(error)}
            told["status"] = "interrupted" if interrupted else "failed"
            if isinstance(error, NumbersGoneWrongError):
                told["gone_wrong"] = error.found
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
