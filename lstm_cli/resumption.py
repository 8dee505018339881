"""What must hold before a run is gone on with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from lstm_cli import artefacts
from lstm_cli import config as configs
from lstm_cli import run as runs
from lstm_cli.checkpoint import Checkpoint
from lstm_cli.config import Config
from lstm_cli.datasets import Dataset
from lstm_cli.device import Used
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.reporting import Reporter
from lstm_cli.run import RunDir

# No step depends on how often it is saved; more epochs are what a run may be resumed for.
_MAY_CHANGE = ("train.epochs", "train.checkpoint_seconds")


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

    Raises:
        LstmError: The data has changed; both fingerprints are named.
    """
    before = record.get("dataset", {}).get("fingerprint")
    if before is not None and before != dataset.fingerprint:
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
    before = {"device": record.get("device"), **record.get("versions", {})}
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
    return shlex.join(["lstm", "train", str(record["data"]), "--resume", name])


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
