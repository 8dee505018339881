"""What a group of processes must have alike before it trains: versions, data, run, checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.io.progress import Reporter
from lstm_cli.models.process_group import process_group
from lstm_cli.runs.directory import RunDir
from lstm_cli.training import checkpoint
from lstm_cli.training.artifacts import versions
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.checkpoint_checks import newest_checkpoint
from lstm_cli.training.cluster import check_divisible


def check_alike(config: Config, dataset: Dataset) -> None:
    """Check that all processes of a group have the same versions, settings and data.

    Raises:
        LstmError: They have not, or batches cannot be divided among them.
        PeerLostError: Another process ended.
    """
    group = process_group()
    if group is None:
        return
    group.check_same("version", versions())
    group.check_same("setting", configs.flatten(configs.to_dict(config)))
    group.check_same("training data", {"fingerprint": dataset.fingerprint})
    check_divisible(config, group.num_devices)


def create_shared_run(create: Callable[[], RunDir]) -> RunDir:
    """Create a run; in a group, process 0 creates it and the others get its path.

    Raises:
        LstmError: It cannot be created.
        PeerLostError: Another process ended.
    """
    group = process_group()
    if group is None:
        return create()
    path = str(create().path.absolute()) if group.index == 0 else ""
    return RunDir(Path(group.text_from_first(path)))


def newest_shared_checkpoint(run: RunDir, reporter: Reporter) -> Checkpoint | None:
    """Read the newest valid checkpoint of a run, the same in all processes of a group.

    Args:
        run: The run, its lock held by process 0.
        reporter: Receives a warning for each damaged checkpoint.

    Raises:
        LstmError: It cannot be read, or another process reads another one.
        PeerLostError: Another process ended.
    """
    group = process_group()
    if group is None:
        return newest_checkpoint(run, reporter)
    group.check_same("run to resume", {"path": str(run.path.absolute())})
    # The others read after process 0 has removed the damaged checkpoints.
    newest = newest_checkpoint(run, reporter) if group.index == 0 else None
    group.maximum(0)
    if group.index > 0:
        newest = newest_checkpoint(run, reporter)
    digest = None if newest is None else checkpoint.digest(newest)
    group.check_same("checkpoint", {"sha256": digest})
    return newest
