"""The spine: load, encode, build, fit, save; read it top to bottom."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from msgspec.structs import replace

from lstm_cli import artefacts, checkpoint, device, models
from lstm_cli import run as runs
from lstm_cli.checkpoint import Checkpoint
from lstm_cli.config import Config
from lstm_cli.datasets import Dataset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.fit import Fitted, Loop, NumbersGoneWrongError, predict
from lstm_cli.predictor import Predictor
from lstm_cli.prepare import Prepared, encode, load_data, prepare, start, timed
from lstm_cli.reporting import Reporter, Silent
from lstm_cli.run import RunDir
from lstm_cli.signals import Interrupted, Signals, caught


def train(
    config: Config,
    *,
    runs_dir: Path | None = None,
    name: str | None = None,
    data_dir: Path | None = None,
    use: device.Device = "auto",
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    reporter: Reporter | None = None,
) -> RunDir:
    """Train a classifier and write its run directory.

    Args:
        config: The experiment.
        runs_dir: Folder of all runs; else `LSTM_RUNS_DIR`, else `./runs`.
        name: Of the run; else start time and a short hash.
        data_dir: Where TFDS data sets lie; else `TFDS_DATA_DIR`, else TFDS' own default.
        use: `cpu`, `gpu`, or `auto`, which takes a GPU where there is one.
        callbacks: Keras callbacks to call as `fit` would.
        tensorboard: Write TensorBoard logs into the run.
        reporter: Told how it goes.

    Returns:
        The finished run.

    Raises:
        LstmError: The data is not there, a setting does not fit it, or the disk is full.
    """
    reporter = reporter or Silent()
    with caught() as signals:
        used = start(config, use, reporter)
        dataset = load_data(config, ("train", "validation"), data_dir)
        run = runs.create(runs.runs_root(runs_dir), dataset.name, name)
        record = artefacts.first_record(config)
        with runs.locked(run), _recording_failure(run, record):
            prepared = prepare(config, dataset, used, data_dir, reporter)
            record |= artefacts.describe(prepared)
            artefacts.write_inputs(run, prepared, record)
            task = _Task(run, prepared, record, data_dir, reporter, signals)
            task.work(callbacks, tensorboard)
    return run


def resume(
    run: RunDir,
    *,
    epochs: int | None = None,
    data_dir: Path | None = None,
    use: device.Device = "auto",
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    reporter: Reporter | None = None,
) -> RunDir:
    """Go on with a run from its newest good checkpoint, to the bits it would have ended with.

    Args:
        run: One that did not finish; or any, with more epochs.
        epochs: A new last epoch. The learning rate's decay then stretches to it from here on.
        data_dir: As for `train`.
        use: As for `train`.
        callbacks: As for `train`.
        tensorboard: As for `train`.
        reporter: As for `train`.

    Raises:
        LstmError: Nothing is left to train, the data has changed, or another process is at it.
    """
    reporter = reporter or Silent()
    with caught() as signals, runs.locked(run):
        record = dict(runs.read_run(run))
        config = resumed_config(run, epochs)
        used = start(config, use, reporter)
        dataset = load_data(config, ("train", "validation"), data_dir)
        _check_same_data(run, record, dataset)
        with _recording_failure(run, record):
            prepared = prepare(config, dataset, used, data_dir, reporter)
            task = _Task(run, prepared, record, data_dir, reporter, signals)
            task.restore()
            task.work(callbacks, tensorboard)
    return run


def resumed_config(run: RunDir, epochs: int | None) -> Config:
    """Return a run's settings with a new last epoch.

    Raises:
        LstmError: The run is finished and no more epochs are asked for, or fewer than it has.
    """
    config = run.config()
    before = config.train.epochs
    if epochs is not None and epochs < before:
        raise LstmError(
            f"Run {run.name} was started with train.epochs={before}, found --epochs {epochs}.",
            "A run can be resumed with more epochs, not with fewer.",
            ExitCode.USAGE,
        )
    if run.status == "finished" and epochs in (None, before):
        raise LstmError(
            f"Run {run.name} is finished: there is nothing to resume.",
            f"Train on with --epochs {before + 2}, or start a new run without --resume.",
        )
    return replace(config, train=replace(config.train, epochs=epochs or before))


def _check_same_data(run: RunDir, record: dict[str, Any], dataset: Dataset) -> None:
    """Refuse to go on with other data than the run began with."""
    before = record.get("dataset", {}).get("fingerprint")
    if before is not None and before != dataset.fingerprint:
        raise LstmError(
            f"{dataset.source} has changed since run {run.name} began: its fingerprint was "
            f"{before[:12]} and is {dataset.fingerprint[:12]}.",
            "Bring the old data back, or start a new run without --resume.",
        )


@dataclass
class _Task:
    """A run being trained: what is left to do once everything is prepared."""

    run: RunDir
    prepared: Prepared
    record: dict[str, Any]
    data_dir: Path | None
    reporter: Reporter
    signals: Signals

    def __post_init__(self) -> None:
        self.loop = Loop(
            self.prepared.model,
            self.prepared.config,
            len(self.prepared.dataset.labels),
            self.prepared.train,
            self.prepared.validation,
            self.reporter,
            self._save,
            self.signals,
        )

    def restore(self) -> None:
        """Take up the newest good checkpoint, or begin again where there is none."""
        artefacts.check_tokenizer(self.run, self.prepared)
        found = checkpoint.newest(self.run.file(runs.CHECKPOINTS), self.reporter)
        if found is None:
            self.reporter.note(f"Run {self.run.name} has no checkpoint yet: it begins again.")
            return
        self.loop.restore(found)
        self.reporter.note(f"Going on with run {self.run.name} at {self.loop.position}.")

    def work(self, callbacks: Sequence[Any], tensorboard: bool) -> None:
        """Train, export, check, score and write."""
        if tensorboard:
            logs = str(self.run.file("tensorboard"))
            callbacks = [*callbacks, keras.callbacks.TensorBoard(logs)]
        with timed(self.prepared.seconds, "train"), self.signals.deferred():
            fitted = self._fit(callbacks)
        self.reporter.note(
            f"Training ended: {fitted.stopped}; epoch {fitted.best_epoch} has the lowest "
            "validation loss and is kept."
        )
        # From here the old results of a run that was trained on no longer hold.
        self.run.file(runs.MANIFEST).unlink(missing_ok=True)
        artefacts.write_inputs(self.run, self.prepared, self.record)
        artefacts.write_model(self.run, self.prepared, fitted)
        self._finish(fitted)

    def _fit(self, callbacks: Sequence[Any]) -> Fitted:
        """Run the loop; where the numbers go wrong, the best weights so far are kept."""
        try:
            return self.loop.run(callbacks)
        except NumbersGoneWrongError as error:
            if self.loop.best_epoch:
                fitted = self.loop.fitted(error.message)
                artefacts.write_model(self.run, self.prepared, fitted)
                error.hint += (
                    f" The best weights so far, of epoch {fitted.best_epoch}, are in "
                    f"{self.run.file(runs.WEIGHTS)}."
                )
            raise

    def _save(self, state: Checkpoint) -> None:
        checkpoint.save(self.run.file(runs.CHECKPOINTS), state)
        artefacts.write_history(self.run, self.loop.history)

    def _finish(self, fitted: Fitted) -> None:
        """Check the exported graph against Keras, score it, and write what people read."""
        prepared = self.prepared
        models.set_weights(prepared.model, fitted.weights)
        predictor = Predictor.from_files(self.run)
        artefacts.check_parity(prepared, predictor, lambda e: predict(prepared.model, e))
        artefacts.write_golden(self.run, prepared, predictor)
        with timed(prepared.seconds, "evaluate"):
            # The first and only look at the test split, with everything chosen.
            test_set = load_data(prepared.config, ("test",), self.data_dir)
            test = encode(test_set, "test", prepared.tokenizer)
            validation = prepared.validation
            results = {
                "validation": artefacts.score(predictor, validation.inputs, validation.labels),
                "test": artefacts.score(predictor, test.inputs, test.labels),
            }
        self.record["dataset"]["sizes"]["test"] = len(test)
        artefacts.write_results(self.run, prepared, fitted, results, self.record)
        self.reporter.note(f"Run {self.run.name} is finished: {self.run.path}")


@contextlib.contextmanager
def _recording_failure(run: RunDir, record: dict[str, Any]) -> Iterator[None]:
    """Mark a run that does not get to its end; one that never began leaves no trace."""
    try:
        yield
    except BaseException as error:
        if not run.file(runs.CONFIG).exists():
            shutil.rmtree(run.path, ignore_errors=True)
            raise
        interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
        if run.status != "finished":
            status = "interrupted" if interrupted else "failed"
            with contextlib.suppress(LstmError):
                run.write_json(runs.RUN, {**record, "status": status, "error": str(error)})
        if isinstance(error, Interrupted):
            data = record["dataset"]["name"]
            error.message = f"{error.message} Resume: lstm train {data} --resume {run.path.name}"
        raise
