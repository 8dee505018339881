"""The training pipeline, for classifiers and language models: load, prepare, train, evaluate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.errors import LstmError
from lstm_cli.io.memory import peak_memory_mb
from lstm_cli.io.progress import Reporter, SilentReporter
from lstm_cli.io.signals import Signals, catch_signals
from lstm_cli.models import classifier
from lstm_cli.runs import directory as runs
from lstm_cli.runs import lock
from lstm_cli.runs.create import create_run
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import StartedRunInfo
from lstm_cli.training import artifacts, checkpoint, resume_checks
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.classifier_task import ClassifierTask, prepare_classifier
from lstm_cli.training.device import Device, DeviceInfo, configure_backend
from lstm_cli.training.init_weights import (
    InitialWeights,
    read_initial_weights,
    resolve_init_from,
    resumed_initial_weights,
)
from lstm_cli.training.language_model_task import LanguageModelTask, prepare_language_model
from lstm_cli.training.loop import NonFiniteError, TrainingLoop, TrainingResult
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.prepare import load_training_data

# Both have the same methods; each does what differs between classifiers and language models.
Task = ClassifierTask | LanguageModelTask


def train(
    config: Config,
    *,
    runs_dir: Path | None = None,
    name: str | None = None,
    data_dir: Path | None = None,
    device: Device = "auto",
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    reporter: Reporter | None = None,
    command: str | None = None,
) -> RunDir:
    """Train a classifier, or a language model if the settings have the section `language`.

    Args:
        config: The settings.
        runs_dir: Folder of all runs; None for `LSTM_RUNS_DIR`, or `./runs`.
        name: Name of the run; None for the start time and a short hash.
        data_dir: Folder of TFDS data sets; None for `TFDS_DATA_DIR`, or the default of TFDS.
        device: `cpu`, `gpu`, or `auto`, which takes a GPU if there is one.
        callbacks: Keras callbacks, called as by `fit`.
        tensorboard: Whether to write TensorBoard logs into the run.
        reporter: Receives progress, notes and warnings.
        command: The command line to record in `run.json`; None if training is started from Python.

    Returns:
        The finished run.

    Raises:
        LstmError: The data is missing, a setting does not fit it, or the disk is full.
    """
    options = TrainOptions(data_dir, device, callbacks, tensorboard, reporter or SilentReporter())
    start = time.perf_counter()
    root = runs.runs_root(runs_dir)
    config = resolve_init_from(config, root)
    init = read_initial_weights(config)
    with catch_signals() as signals:
        device_info = configure_backend(config, device, options.reporter)
        dataset = load_training_data(config, data_dir)
        run = create_run(root, dataset.name, name)
        record = artifacts.new_record(config, command)
        with lock.acquire(run.path), resume_checks.recording_failure(run, record, new=True):
            run.remove_temp_files()
            task = prepare(config, dataset, init, device_info, options)
            record |= task.describe() | asdict(device_info) | _init_from(task)
            training = _Training(run, task, record, options, signals, start)
            training.write_inputs()
            if init.kind == "run":
                # From now on a resume does not need the run that training started from.
                training.loop.save()
            training.run_to_end()
    return run


def resume(
    run: RunDir,
    *,
    epochs: int | None = None,
    data_dir: Path | None = None,
    device: Device = "auto",
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    reporter: Reporter | None = None,
) -> RunDir:
    """Resume a run from its newest valid checkpoint.

    An interrupted run ends with the same bits as without the interruption.

    Args:
        run: A run that is not finished; or, with more epochs, any run.
        epochs: A new number of epochs. From here on the learning rate decays towards it.
        data_dir: As for `train`, like the options below.
        device: `cpu`, `gpu` or `auto`.
        callbacks: Keras callbacks.
        tensorboard: Whether to write TensorBoard logs.
        reporter: Receives progress, notes and warnings.

    Raises:
        LstmError: No epoch is left, the data has changed, or another process trains the run.
    """
    options = TrainOptions(data_dir, device, callbacks, tensorboard, reporter or SilentReporter())
    start = time.perf_counter()
    reporter = options.reporter
    with catch_signals() as signals, lock.acquire(run.path):
        run.remove_temp_files()
        # A finished run has a manifest to verify it by.
        verified = run.with_manifest() if run.status == "finished" else run
        before = runs.read_run_json(verified, StartedRunInfo)
        newest = resume_checks.newest_checkpoint(run, reporter)
        config = resume_checks.resumed_config(run, newest, epochs)
        device_info = configure_backend(config, device, reporter)
        dataset = load_training_data(config, data_dir)
        resume_checks.check_data(run, before, dataset)
        resume_checks.warn_of_changes(before, device_info, reporter)
        record = artifacts.resumed_record(before)
        with resume_checks.recording_failure(run, record):
            # A finished run stays finished until the new results are written.
            if run.status != "finished":
                run.write_json(runs.RUN, record)
            if newest is None:
                init = read_initial_weights(config)
            else:
                init = resumed_initial_weights(run, config, before)
            task = prepare(config, dataset, init, device_info, options)
            record |= _init_from(task)
            artifacts.check_tokenizer(run, task.tokenizer)
            training = _Training(run, task, record, options, signals, start)
            training.restore(newest)
            training.run_to_end()
    return run


def prepare(
    config: Config,
    dataset: Dataset,
    init: InitialWeights,
    device_info: DeviceInfo,
    options: TrainOptions,
) -> Task:
    """Encode the data and build the model, for the task of the settings.

    Args:
        config: The settings.
        dataset: As `load_training_data` returns it.
        init: What training starts from.
        device_info: Device and kernel.
        options: Data folder and reporter.

    Raises:
        LstmError: The data does not fit the settings.
    """
    if config.language is not None:
        return prepare_language_model(config, dataset, init, device_info, options)
    return prepare_classifier(config, dataset, init, device_info, options)


class _Training:
    """A run in training: the loop, and what is written when.

    Args:
        run: The run directory, its lock held.
        task: Data and model.
        record: `run.json` so far.
        options: How to train.
        signals: Checked after each step.
        start: Start of the work in this process, by `time.perf_counter`.
    """

    def __init__(
        self,
        run: RunDir,
        task: Task,
        record: dict[str, Any],
        options: TrainOptions,
        signals: Signals,
        start: float,
    ) -> None:
        self.run = run
        self.task = task
        self.record = record
        self.options = options
        self.reporter = options.reporter
        self.signals = signals
        self.start = start
        self.was_finished = run.status == "finished"
        objective = task.make_objective(options.reporter)
        self.loop = TrainingLoop(
            task.model, task.config, objective, options.reporter, self._save_checkpoint, signals
        )

    def restore(self, newest: Checkpoint | None) -> None:
        """Restore the newest checkpoint that fits; without a checkpoint, start from the beginning.

        Raises:
            LstmError: No checkpoint fits, or training stopped early, which more epochs would not
                change.
        """
        if newest is None:
            self.reporter.note(
                f"Run {self.run.name} has no checkpoint: training starts from the beginning."
            )
            return
        objective = self.loop.objective
        restored = resume_checks.fitting_checkpoint(
            self.run, newest, objective.num_steps, objective.step_size, self.reporter
        )
        self.loop.restore(restored)
        epochs_before = restored.progress["settings"]["train"]["epochs"]
        is_extended = self.task.config.train.epochs > epochs_before
        stop_reason = self.loop.stop_reason()
        if is_extended and stop_reason and self.was_finished:
            raise LstmError(
                f"Run {self.run.name} needs no more epochs: {stop_reason}.",
                "To train longer anyway, start a new run with --set train.patience=0.",
            )
        self.reporter.note(f"Resuming run {self.run.name} at {self.loop.position}.")
        if is_extended:
            self.loop.extend(epochs_before)
            # Every later resume then knows the new number of epochs.
            self.loop.save()

    def run_to_end(self) -> None:
        """Train, evaluate and write the results."""
        callbacks = [*self.options.callbacks]
        if self.options.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(str(self.run.file("tensorboard"))))
        with self.signals.deferred():
            result = self._run_loop(callbacks)
        task = self.task
        task.seconds["train"] = round(self.loop.seconds, 3)
        self.reporter.note(
            f"Training ended: {result.stop_reason}; the weights are those of epoch "
            f"{result.best_epoch}, with the lowest {task.selection_metric}."
        )
        # From now on the old results of an extended run are no longer valid.
        self.run.remove(runs.MANIFEST)
        self.write_inputs()
        task.write_model(self.run, result)
        classifier.set_weights(task.model, result.weights)
        self._evaluate_and_finish(result)
        self._remove_old_checkpoints()

    def write_inputs(self) -> None:
        """Write settings, tokenizer, labels, and `run.json` with status `running`."""
        self.task.write_inputs(self.run)
        self.run.write_json(runs.RUN, self.record)

    def _run_loop(self, callbacks: Sequence[Any]) -> TrainingResult:
        """Run the loop; on a non-finite loss or gradient, write the best weights so far."""
        try:
            return self.loop.run(callbacks)
        except NonFiniteError as error:
            if self.was_finished:
                error.hint += " The finished run is unchanged."
            elif self.loop.best_epoch:
                result = self.loop.result(error.message)
                self.task.write_model(self.run, result)
                error.hint += (
                    f" The best weights so far, of epoch {result.best_epoch}, are in "
                    f"{self.run.file(runs.WEIGHTS)}."
                )
            raise

    def _evaluate_and_finish(self, result: TrainingResult) -> None:
        """Evaluate, then write metrics, model card, `run.json` and, last, the manifest."""
        task = self.task
        evaluation = task.evaluate(self.run, result, self.loop.objective, self.options.data_dir)
        self.record["dataset"]["sizes"].update(evaluation.sizes)
        # The time of earlier processes counts up to their last checkpoint.
        total = time.perf_counter() - self.start + self.loop.earlier_seconds
        self.record |= {
            "status": "finished",
            "finished": artifacts.now(),
            "epochs": len(result.history),
            "best_epoch": result.best_epoch,
            "stopped": result.stop_reason,
            "seconds": {**task.seconds, "total": round(total, 3)},
            "peak_memory_mb": peak_memory_mb(),
            **evaluation.record,
        }
        card = task.model_card({**self.record, "name": self.run.name}, evaluation)
        self.run.write_text(runs.CARD, card)
        self.run.write_json(runs.RUN, self.record)
        self.run.write_manifest()
        for warning in evaluation.warnings:
            self.reporter.warn(warning)

    def _save_checkpoint(self, state: Checkpoint) -> None:
        checkpoint.save(self.run.file(runs.CHECKPOINTS), state)
        if not self.was_finished:
            self.task.write_history(self.run, self.loop.history)

    def _remove_old_checkpoints(self) -> None:
        """Remove all checkpoints but the last, which training can be extended from."""
        try:
            checkpoint.remove_old(self.run.file(runs.CHECKPOINTS), 1)
        except LstmError as error:
            self.reporter.warn(error.message)


def _init_from(task: Task) -> dict[str, Any]:
    """Return the part of `run.json` about the run that training started from."""
    return {"init_from": dict(task.init_record)} if task.init_record else {}
