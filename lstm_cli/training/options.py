"""Options of a training that do not change its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lstm_cli.io.progress import Reporter, SilentReporter
from lstm_cli.io.worker import Worker
from lstm_cli.training.device import Device


@dataclass(frozen=True)
class TrainOptions:
    """How to train, beside the settings.

    Attributes:
        data_dir: Folder of TFDS data sets; None for `TFDS_DATA_DIR`, or the default of TFDS.
        device: `cpu`, `gpu`, or `auto`, which takes a GPU if there is one.
        callbacks: Keras callbacks, called as by `fit`.
        tensorboard: Whether to write TensorBoard logs into the run.
        reporter: Receives progress, notes and warnings.
        worker: Does a part of the work beside training.
        fail_on: Findings with which no training starts: `leak`.
        score_test: Whether to score a classifier on the test split at the end.
        track: Where to send the course of the training, too: `mlflow`; None for nowhere.
    """

    data_dir: Path | None = None
    device: Device = "auto"
    callbacks: Sequence[Any] = ()
    tensorboard: bool = False
    reporter: Reporter = field(default_factory=SilentReporter)
    worker: Worker = field(default_factory=Worker)
    fail_on: Sequence[str] = ()
    score_test: bool = True
    track: str | None = None
