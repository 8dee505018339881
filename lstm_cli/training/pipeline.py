"""The spine of every training: load, encode, build, fit, save; read it top to bottom."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import keras

from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.errors import LstmError
from lstm_cli.io.progress import Reporter
from lstm_cli.io.signals import Signals, catch_signals
from lstm_cli.models import classifier
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import BegunRunInfo
from lstm_cli.training import artifacts, checkpoint, device, init_weights, resume_checks
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.init_weights import InitialWeights
from lstm_cli.training.loop import NonFiniteError, TrainingLoop, TrainingResult
from lstm_cli.training.objectives.objective import Objective
from lstm_cli.training.prepare import load_data, start


@dataclass(frozen=True)
class TrainOptions:
    """How to train, beside the settings; nothing of it changes what is learned.

    Attributes:
        data_dir: Where TFDS data sets lie; else `TFDS_DATA_DIR`, else TFDS' own default.
        use: `cpu`, `gpu`, or `auto`, which takes a GPU where there is one.
        callbacks: Keras callbacks to call as `fit` would.
        tensorboard: Write TensorBoard logs into the run.
        reporter: Told how it goes.
    """

    data_dir: Path | None
    use: device.Device
    callbacks: Sequence[Any]
    tensorboard: bool
    reporter: Reporter


class _Ready(Protocol):
    """What every task has prepared."""

    @property
    def config(self) -> Config: ...
    @property
    def model(self) -> Any: ...
    @property
    def seconds(self) -> dict[str, float]: ...


Prepared = TypeVar("Prepared", bound=_Ready)


class Task(ABC, Generic[Prepared]):
    """A run being trained: what is left to do once everything is prepared.

    Args:
        run: Where to.
        prepared: As `prepare` returns it.
        record: What is known of the run, for `run.json`.
        options: How to train.
        signals: Looked at after each step.
        began: When, by `time.perf_counter`.
    """

    splits: ClassVar[tuple[str, ...]]
    """What is read of the data set before training."""
    selection_metric: ClassVar[str]
    """What the best epoch has the lowest of, for people."""

    def __init__(
        self,
        run: RunDir,
        prepared: Prepared,
        record: dict[str, Any],
        options: TrainOptions,
        signals: Signals,
        began: float,
    ) -> None:
        self.run = run
        self.prepared = prepared
        self.record = record
        self.options = options
        self.reporter = options.reporter
        self.signals = signals
        self.began = began
        self.finished_before = run.status == "finished"
        self.loop = TrainingLoop(
            prepared.model,
            prepared.config,
            self.make_objective(),
            options.reporter,
            self._save,
            signals,
        )

    @staticmethod
    @abstractmethod
    def prepare(
        config: Config,
        dataset: Dataset,
        device_info: device.DeviceInfo,
        data_dir: Path | None,
        reporter: Reporter,
        fresh: bool = True,
        init: InitialWeights | None = None,
    ) -> Prepared:
        """Encode the data and build the model."""

    @staticmethod
    @abstractmethod
    def describe(prepared: Prepared) -> dict[str, Any]:
        """Return the part of `run.json` that is known before training."""

    @abstractmethod
    def make_objective(self) -> Objective:
        """Return what to train for."""

    @abstractmethod
    def write_inputs(self) -> None:
        """Write what training starts from, and how it stands."""

    @abstractmethod
    def write_history(self) -> None:
        """Write one line an epoch."""

    @abstractmethod
    def write_model(self, fitted: TrainingResult) -> None:
        """Write what was found."""

    @abstractmethod
    def finish(self, fitted: TrainingResult) -> None:
        """Measure what was found, and write what people read."""

    @property
    def work_began(self) -> float:
        """When the work began that is in the run: that of earlier processes was work too.

        What they lost was not.
        """
        return self.began - self.loop.earlier_seconds

    def restore(self, found: Checkpoint | None) -> None:
        """Go back to where a checkpoint was taken, or begin again where there is none.

        Raises:
            LstmError: Training had stopped by itself, and more epochs would not change that.
        """
        if found is None:
            self.reporter.note(f"Run {self.run.name} has no checkpoint: it begins again.")
            return
        self.loop.restore(found)
        grown = self.prepared.config.train.epochs > found.progress["settings"]["train"]["epochs"]
        stopped = self.loop.stop_reason()
        if grown and stopped and self.finished_before:
            raise LstmError(
                f"Run {self.run.name} needs no more epochs: {stopped}.",
                "To train on all the same, start a new run with --set train.patience=0.",
            )
        self.reporter.note(f"Going on with run {self.run.name} at {self.loop.position}.")
        if grown:
            # From here on every resume knows how many epochs are wanted.
            self.loop.save()

    def work(self) -> None:
        """Train, check, measure and write."""
        callbacks = [*self.options.callbacks]
        if self.options.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(str(self.run.file("tensorboard"))))
        with self.signals.deferred():
            fitted = self._fit(callbacks)
        self.prepared.seconds["train"] = round(self.loop.seconds, 3)
        self.reporter.note(
            f"Training ended: {fitted.stopped}; epoch {fitted.best_epoch} has the lowest "
            f"{self.selection_metric} and is kept."
        )
        # From here the old results of a run that was trained on no longer hold.
        self.run.remove(runs.MANIFEST)
        self.write_inputs()
        self.write_model(fitted)
        classifier.set_weights(self.prepared.model, fitted.weights)
        self.finish(fitted)
        self._keep_last_state()

    def _fit(self, callbacks: Sequence[Any]) -> TrainingResult:
        """Run the loop; where the numbers go wrong, the best weights so far are kept."""
        try:
            return self.loop.run(callbacks)
        except NonFiniteError as error:
            if self.finished_before:
                error.hint += " The finished run is left as it was."
            elif self.loop.best_epoch:
                fitted = self.loop.fitted(error.message)
                self.write_model(fitted)
                error.hint += (
                    f" The best weights so far, of epoch {fitted.best_epoch}, are in "
                    f"{self.run.file(runs.WEIGHTS)}."
                )
            raise

    def _save(self, state: Checkpoint) -> None:
        checkpoint.save(self.run.file(runs.CHECKPOINTS), state)
        if not self.finished_before:
            self.write_history()

    def _keep_last_state(self) -> None:
        """Leave the one checkpoint that more epochs would start from."""
        try:
            checkpoint.keep(self.run.file(runs.CHECKPOINTS), 1)
        except LstmError as error:
            self.reporter.warn(error.message)


def begin(
    kind: type[Task[Any]],
    config: Config,
    runs_dir: Path | None,
    name: str | None,
    options: TrainOptions,
) -> RunDir:
    """Train and write a run directory.

    Args:
        kind: What to train.
        config: The experiment.
        runs_dir: Folder of all runs; else `LSTM_RUNS_DIR`, else `./runs`.
        name: Of the run; else start time and a short hash.
        options: How to train.

    Returns:
        The finished run.

    Raises:
        LstmError: The data is not there, a setting does not fit it, or the disk is full.
    """
    began = time.perf_counter()
    config = init_weights.resolved(config, runs.runs_root(runs_dir))
    init = init_weights.read(config)
    with catch_signals() as signals:
        device_info = start(config, options.use, options.reporter)
        dataset = load_data(config, kind.splits, options.data_dir)
        run = runs.create(runs.runs_root(runs_dir), dataset.name, name)
        record = artifacts.new_record(config)
        with runs.locked(run), resume_checks.recording_failure(run, record, new=True):
            run.remove_temp_files()
            prepared = kind.prepare(
                config, dataset, device_info, options.data_dir, options.reporter, init=init
            )
            record |= kind.describe(prepared) | init_weights.told(init)
            task = kind(run, prepared, record, options, signals, began)
            task.write_inputs()
            if init is not None:
                # From here on the run it began with is not needed any more.
                task.loop.save()
            task.work()
    return run


def resume_run(
    kind: type[Task[Any]], run: RunDir, epochs: int | None, options: TrainOptions
) -> RunDir:
    """Go on with a run from its newest good checkpoint, to the bits it would have ended with.

    Args:
        kind: What it is.
        run: One that did not finish; or any, with more epochs.
        epochs: A new last epoch. The learning rate's decay then stretches to it from here on.
        options: How to train.

    Raises:
        LstmError: Nothing is left to train, the data has changed, or another process is at it.
    """
    began = time.perf_counter()
    reporter = options.reporter
    with catch_signals() as signals, runs.locked(run):
        run.remove_temp_files()
        # A finished run has a manifest to be held to.
        held = run.verified() if run.status == "finished" else run
        before = runs.read_record(held, BegunRunInfo)
        found = resume_checks.newest(run, reporter)
        config = resume_checks.resumed_config(run, found, epochs)
        device_info = start(config, options.use, reporter)
        dataset = load_data(config, kind.splits, options.data_dir)
        resume_checks.check_data(run, before, dataset)
        resume_checks.warn_of_changes(before, device_info, reporter)
        record = artifacts.resumed_record(before)
        with resume_checks.recording_failure(run, record):
            # A finished run stays finished until there is something better.
            if run.status != "finished":
                run.write_json(runs.RUN, record)
            init = (
                init_weights.of_resumed(run, config, before) if found else init_weights.read(config)
            )
            fresh = found is None
            prepared = kind.prepare(
                config, dataset, device_info, options.data_dir, reporter, fresh, init
            )
            record |= init_weights.told(init)
            artifacts.check_tokenizer(run, prepared.tokenizer)
            task = kind(run, prepared, record, options, signals, began)
            work = task.loop.work
            found = resume_checks.fitting(run, found, work.num_steps, work.rate, reporter)
            task.restore(found)
            task.work()
    return run
