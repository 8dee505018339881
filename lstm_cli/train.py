"""The spine: load, encode, build, fit, save; read it top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from lstm_cli import artefacts, checkpoint, device, models, resumption, transfer
from lstm_cli import run as runs
from lstm_cli.checkpoint import Checkpoint
from lstm_cli.classifying import predict
from lstm_cli.config import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.fit import Fitted, Loop, NumbersGoneWrongError
from lstm_cli.predictor import Predictor
from lstm_cli.prepare import Prepared, encode, load_data, prepare, start, timed, work_of
from lstm_cli.reporting import Reporter, Silent
from lstm_cli.run import RunDir
from lstm_cli.signals import Signals, caught


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
    began = time.perf_counter()
    _check_task(config)
    config = transfer.resolved(config, runs.runs_root(runs_dir))
    begun = transfer.read(config)
    with caught() as signals:
        used = start(config, use, reporter)
        dataset = load_data(config, ("train", "validation"), data_dir)
        run = runs.create(runs.runs_root(runs_dir), dataset.name, name)
        record = artefacts.first_record(config)
        with runs.locked(run), resumption.recording_failure(run, record, new=True):
            run.sweep()
            prepared = prepare(config, dataset, used, data_dir, reporter, begun=begun)
            record |= artefacts.describe(prepared) | transfer.told(begun)
            artefacts.write_inputs(run, prepared, record)
            task = _Task(run, prepared, record, data_dir, reporter, signals, began)
            if begun is not None:
                # From here on the run it began with is not needed any more.
                task.loop.save_start()
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
    began = time.perf_counter()
    with caught() as signals, runs.locked(run):
        run.sweep()
        before = runs.read_run(run)
        found = resumption.newest(run, reporter)
        config = resumption.resumed_config(run, found, epochs)
        used = start(config, use, reporter)
        dataset = load_data(config, ("train", "validation"), data_dir)
        resumption.check_data(run, before, dataset)
        resumption.warn_of_changes(before, used, reporter)
        record = artefacts.resumed_record(before)
        with resumption.recording_failure(run, record):
            # A finished run stays finished until there is something better.
            if run.status != "finished":
                run.write_json(runs.RUN, record)
            begun = transfer.of_resumed(run, config, before) if found else transfer.read(config)
            fresh = found is None
            prepared = prepare(config, dataset, used, data_dir, reporter, fresh, begun)
            record |= transfer.told(begun)
            artefacts.check_tokenizer(run, prepared.tokenizer)
            task = _Task(run, prepared, record, data_dir, reporter, signals, began)
            task.take_up(found)
            task.work(callbacks, tensorboard)
    return run


def _check_task(config: Config) -> None:
    """Refuse the settings of a language model.

    Raises:
        LstmError: They are (exit code 2).
    """
    if config.language is not None:
        raise LstmError(
            "The section 'language:' is for a language model, not for a classifier.",
            f"Leave it out, or run 'lstm pretrain {config.data.name}'.",
            ExitCode.USAGE,
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
    began: float

    def __post_init__(self) -> None:
        self.finished_before = self.run.status == "finished"
        self.loop = Loop(
            self.prepared.model,
            self.prepared.config,
            work_of(self.prepared, self.reporter),
            self.reporter,
            self._save,
            self.signals,
        )

    def take_up(self, found: Checkpoint | None) -> None:
        """Go back to where a checkpoint was taken, or begin again where there is none.

        Raises:
            LstmError: Training had stopped by itself, and more epochs would not change that.
        """
        if found is None:
            self.reporter.note(f"Run {self.run.name} has no checkpoint: it begins again.")
            return
        self.loop.restore(found)
        grown = self.prepared.config.train.epochs > found.progress["settings"]["train"]["epochs"]
        stopped = self.loop.why_stop()
        if grown and stopped and self.finished_before:
            raise LstmError(
                f"Run {self.run.name} needs no more epochs: {stopped}.",
                "To train on all the same, start a new run with --set train.patience=0.",
            )
        self.reporter.note(f"Going on with run {self.run.name} at {self.loop.position}.")
        if grown:
            # From here on every resume knows how many epochs are wanted.
            self.loop.save()

    def work(self, callbacks: Sequence[Any], tensorboard: bool) -> None:
        """Train, export, check, score and write."""
        if tensorboard:
            logs = str(self.run.file("tensorboard"))
            callbacks = [*callbacks, keras.callbacks.TensorBoard(logs)]
        with self.signals.deferred():
            fitted = self._fit(callbacks)
        self.prepared.seconds["train"] = round(self.loop.seconds, 3)
        self.reporter.note(
            f"Training ended: {fitted.stopped}; epoch {fitted.best_epoch} has the lowest "
            "validation loss and is kept."
        )
        # From here the old results of a run that was trained on no longer hold.
        self.run.remove(runs.MANIFEST)
        artefacts.write_inputs(self.run, self.prepared, self.record)
        artefacts.write_model(self.run, self.prepared, fitted)
        self._finish(fitted)

    def _fit(self, callbacks: Sequence[Any]) -> Fitted:
        """Run the loop; where the numbers go wrong, the best weights so far are kept."""
        try:
            return self.loop.run(callbacks)
        except NumbersGoneWrongError as error:
            if self.finished_before:
                error.hint += " The finished run is left as it was."
            elif self.loop.best_epoch:
                fitted = self.loop.fitted(error.message)
                artefacts.write_model(self.run, self.prepared, fitted)
                error.hint += (
                    f" The best weights so far, of epoch {fitted.best_epoch}, are in "
                    f"{self.run.file(runs.WEIGHTS)}."
                )
            raise

    def _save(self, state: Checkpoint) -> None:
        checkpoint.save(self.run.file(runs.CHECKPOINTS), state)
        if not self.finished_before:
            artefacts.write_history(self.run, self.loop.history)

    def _finish(self, fitted: Fitted) -> None:
        """Check the exported graph against Keras, score it, and write what people read."""
        prepared = self.prepared
        models.set_weights(prepared.model, fitted.weights)
        predictor = Predictor.from_files(self.run)
        if prepared.config.train.calibrate:
            fitted = artefacts.calibrated(prepared, predictor, fitted)
            artefacts.write_model(self.run, prepared, fitted)
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
        # What earlier processes trained was work too; what they lost was not.
        began = self.began - self.loop.earlier_seconds
        artefacts.write_results(self.run, prepared, fitted, results, self.record, began)
        self._keep_last_state()
        self.reporter.note(f"Run {self.run.name} is finished: {self.run.path}")

    def _keep_last_state(self) -> None:
        """Leave the one checkpoint that more epochs would start from."""
        try:
            checkpoint.keep(self.run.file(runs.CHECKPOINTS), 1)
        except LstmError as error:
            self.reporter.warn(error.message)
