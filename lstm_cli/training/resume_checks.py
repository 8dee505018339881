"""Checks before a run is resumed: its settings, its data, and what it ran on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import msgspec
from msgspec.structs import replace

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Reporter
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import Change, DatasetInfo
from lstm_cli.training import artifacts
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.device import DeviceInfo
from lstm_cli.training.file_vectors import changed_file, warn_of_changed_file

# The number of epochs may grow. How often checkpoints are saved changes no step, nor do test rows:
# those in a file of their own. Whether there is such a file changes the fingerprint of the data.
_CHANGEABLE_SETTINGS = ("train.epochs", "train.checkpoint_seconds", "data.test_file")


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
