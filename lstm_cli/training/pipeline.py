"""The training pipeline, for classifiers and language models: load, prepare, train, evaluate."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.errors import LstmError
from lstm_cli.io.memory import peak_memory_mb
from lstm_cli.io.progress import Epoch, Fold, Reporter, SilentReporter, Step
from lstm_cli.io.signals import Signals, catch_signals
from lstm_cli.io.text_format import pluralize
from lstm_cli.io.worker import Worker
from lstm_cli.models import classifier, process_group
from lstm_cli.runs import directory as runs
from lstm_cli.runs import lock
from lstm_cli.runs.create import create_run
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import StartedRunInfo
from lstm_cli.training import (
    artifacts,
    checkpoint,
    checkpoint_checks,
    more_epochs,
    record_failure,
    resume_checks,
    stages,
)
from lstm_cli.training.auto_settings import with_auto_settings
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.classifier_task import ClassifierTask
from lstm_cli.training.device import Device, DeviceInfo, configure_backend
from lstm_cli.training.distributed import check_alike, create_shared_run, newest_shared_checkpoint
from lstm_cli.training.init_weights import (
    InitialWeights,
    read_initial_weights,
    resolve_init_from,
    resumed_initial_weights,
)
from lstm_cli.training.labels_of_run import (
    kept_labels,
    labels_of_started,
    load_with_labels_of_run,
)
from lstm_cli.training.language_model_task import LanguageModelTask, prepare_language_model
from lstm_cli.training.loop import LoopStage, NonFiniteError, TrainingLoop, TrainingResult
from lstm_cli.training.objectives.classification import ClassificationObjective
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.prepare import load_training_data
from lstm_cli.training.prepare_classifier import prepare_classifier
from lstm_cli.training.stages import FinishedStage
from lstm_cli.training.teacher import resolve_teacher
from lstm_cli.training.tracking import Tracker, tracked

# A fold of few rows has epochs of a tenth of a second, of which a checkpoint would take a third.
_FOLD_SAVE_SECONDS = 1.0

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
    worker: Worker | None = None,
    fail_on: Sequence[str] = (),
    score_test: bool = True,
    track: str | None = None,
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
        worker: A process for a part of the work; None to start one if there is much data.
        fail_on: Findings with which nothing is trained: `leak`, rows of validation or test that
            are in train too.
        score_test: Whether to score a classifier on the test split at the end; `resume` can do so
            later.
        track: Where to send the course of the training, too: `mlflow`; None for nowhere.

    Returns:
        The finished run.

    Raises:
        LstmError: The data is missing, a setting does not fit it, or the disk is full.
    """
    reporter = reporter or SilentReporter()
    options = TrainOptions(
        data_dir, device, callbacks, tensorboard, reporter, worker or Worker(), fail_on,
        score_test, track,
    )  # fmt: skip
    start = time.perf_counter()
    root = runs.runs_root(runs_dir)
    config = resolve_teacher(resolve_init_from(config, root), root)
    with catch_signals() as signals:
        dataset, labels = load_with_labels_of_run(config, data_dir)
        config, dataset = with_auto_settings(config, dataset, data_dir, options.reporter)
        init = read_initial_weights(config, labels)
        device_info = configure_backend(config, device, options.reporter)
        check_alike(config, dataset)
        run = create_shared_run(lambda: create_run(root, dataset.name, name))
        record = artifacts.new_record(config, command)
        with _locked(run), _recording_failure(run, record, new=True):
            task = prepare(config, dataset, init, device_info, options)
            record |= task.describe() | asdict(device_info) | _init_from(task)
            training = _Training(run, task, record, options, signals, start)
            training.start_stage()
            training.write_inputs()
            if init.kind == "run" or init.has_file:
                # From now on a resume does not need the run or the file that training started from.
                training.loop.save()
            training.run_to_end()
    return run


def resume(
    run: RunDir,
    *,
    epochs: int | None = None,
    test_file: str | None = None,
    data_dir: Path | None = None,
    device: Device = "auto",
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    reporter: Reporter | None = None,
    worker: Worker | None = None,
    fail_on: Sequence[str] = (),
    score_test: bool = True,
    track: str | None = None,
) -> RunDir:
    """Resume a run from its newest valid checkpoint.

    An interrupted run ends with the same bits as without the interruption.

    Args:
        run: A run that is not finished, or that was not scored on test; with more epochs, any run.
        epochs: A new number of epochs. From here on the learning rate decays towards it.
        test_file: Where the test rows are now, of a run with a test file; None for where they were.
        data_dir: As for `train`, like the options below.
        device: `cpu`, `gpu` or `auto`.
        callbacks: Keras callbacks.
        tensorboard: Whether to write TensorBoard logs.
        reporter: Receives progress, notes and warnings.
        worker: As for `train`.
        fail_on: As for `train`.
        score_test: As for `train`.
        track: As for `train`.

    Raises:
        LstmError: No epoch is left, the data has changed, or another process trains the run.
    """
    reporter = reporter or SilentReporter()
    options = TrainOptions(
        data_dir, device, callbacks, tensorboard, reporter, worker or Worker(), fail_on,
        score_test, track,
    )  # fmt: skip
    start = time.perf_counter()
    with catch_signals() as signals, _locked(run):
        # A finished run has a manifest to verify it by.
        verified = run.with_manifest() if run.status == "finished" else run
        before = runs.read_run_json(verified, StartedRunInfo)
        newest = newest_shared_checkpoint(run, reporter)
        config = resume_checks.resumed_config(run, newest, epochs, test_file, score_test)
        device_info = configure_backend(config, device, reporter)
        labels = labels_of_started(run, config)
        dataset = load_training_data(config, data_dir, labels)
        check_alike(config, dataset)
        resume_checks.check_data(run, before, dataset, reporter)
        resume_checks.warn_of_changes(before, device_info, reporter)
        resume_checks.check_vectors(run, before, newest, reporter)
        record = artifacts.resumed_record(before, score_test)
        with _recording_failure(run, record):
            # A finished run stays finished until the new results are written.
            if run.status != "finished" and process_group.is_first():
                run.write_json(runs.RUN, record)
                if test_file is not None:
                    # Every later resume then knows where the test rows are.
                    run.write_text(runs.CONFIG, configs.to_yaml(config))
            if newest is None:
                init = read_initial_weights(config, kept_labels(config, dataset))
            else:
                init = resumed_initial_weights(run, config, before)
            task = prepare(config, dataset, init, device_info, options)
            record |= _init_from(task)
            artifacts.check_tokenizer(run, task.tokenizer)
            training = _Training(run, task, record, options, signals, start)
            training.restore(newest)
            training.run_to_end()
    return run


@contextlib.contextmanager
def _locked(run: RunDir) -> Iterator[None]:
    """Hold the lock of a run in a block; in a group of processes, the first one does."""
    if not process_group.is_first():
        yield
        return
    with lock.acquire(run.path):
        run.remove_temp_files()
        yield


@contextlib.contextmanager
def _recording_failure(run: RunDir, record: dict[str, Any], new: bool = False) -> Iterator[None]:
    """Record the failure of a block in `run.json`; in a group of processes, the first one does."""
    if not process_group.is_first():
        yield
        return
    with record_failure.recording_failure(run, record, new):
        yield


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
    """A run in training: its stages, the loop of the current one, and what is written when.

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
        self.signals = signals
        self.start = start
        self.was_finished = run.status == "finished"
        # In a group of processes, only the first writes.
        self.writes = process_group.is_first()
        self.tracker = Tracker(run, options.reporter) if options.track and self.writes else None
        self.reporter = options.reporter
        if self.tracker is not None:
            self.reporter = self.tracker.reporting(options.reporter)
        self.finished: tuple[FinishedStage, ...] = ()
        # Seconds of training in the finished stages, and in earlier processes up to their last
        # checkpoint.
        self.stage_seconds = self.earlier_seconds = 0.0
        self.loop: TrainingLoop

    def start_stage(self) -> None:
        """Prepare the stage after those that are finished: its rows, model and loop."""
        reporter, loop_stage = self.reporter, LoopStage()
        if isinstance(self.task, ClassifierTask):
            self.task = self.task.start_stage(self.finished)
            stage = self.task.stage
            self.record["parameters"] = self.task.num_parameters
            gain = self.task.describe_gain()
            if gain and stage.kind != "fold":
                reporter.note(f"Unlabeled texts: {gain}.")
            reporter = _FoldReporter(reporter) if stage.kind == "fold" else reporter
            save_seconds = _FOLD_SAVE_SECONDS if stage.kind == "fold" else 0.0
            loop_stage = LoopStage(stage.number, stage.name, self.task.refit_epochs, save_seconds)
        self.loop = TrainingLoop(
            self.task.model,
            self.task.config,
            self.task.make_objective(reporter),
            reporter,
            self._save_checkpoint if self.writes else None,
            self.signals,
            loop_stage,
        )
        if self.stage_seconds:
            self.loop.earlier_seconds = self.stage_seconds

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
            self.start_stage()
            return
        self._restore_stages(newest)
        objective = self.loop.objective
        restored = checkpoint_checks.fitting_checkpoint(
            self.run,
            newest,
            objective.num_steps,
            objective.step_size,
            len(self.finished),
            self.reporter,
        )
        self.loop.restore(restored)
        self.earlier_seconds = self.loop.earlier_seconds
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

    def _restore_stages(self, newest: Checkpoint) -> None:
        """Restore the finished stages of a checkpoint, and prepare the next one.

        Raises:
            LstmError: They are of other data or settings (exit code 5).
        """
        self.finished = stages.from_checkpoint(
            newest.tensors, newest.progress["stages"], self.task.config.is_multi_label
        )
        if isinstance(self.task, ClassifierTask):
            try:
                self.task = self.task.restore_stages(self.finished, newest.tensors)
            except ValueError as error:
                reason = f"its newest checkpoint does not fit the settings ({error})"
                raise self.run.integrity_error(reason) from None
        elif self.finished:
            raise self.run.integrity_error("its newest checkpoint is of a classifier")
        self.start_stage()

    def run_to_end(self) -> None:
        """Train, evaluate and write the results; in a group of processes, the first evaluates."""
        with tracked(self.tracker, self.task.config, self.record):
            with self.signals.deferred():
                result = self._run_loop()
                while self._finish_stage(result):
                    self.start_stage()
                    result = self._run_loop()
                process_group.leave()
            if self.writes:
                self._write_results(replace(result, history=self._history(result.history)))

    def _write_results(self, result: TrainingResult) -> None:
        """Evaluate and write the results."""
        task = self.task
        task.seconds["train"] = round(self.loop.seconds, 3)
        if self.finished:
            self.reporter.note(
                f"Training ended: refit on all {len(task.train):,} rows, "
                f"{pluralize(result.best_epoch, 'epoch')}."
            )
        else:
            self.reporter.note(
                f"Training ended: {result.stop_reason}; the weights are those of epoch "
                f"{result.best_epoch}, with the lowest {task.selection_metric}."
            )
        self._note_more_epochs(result)
        # From now on the old results of an extended run are no longer valid.
        self.run.remove(runs.MANIFEST)
        if self.run.file(runs.THRESHOLDS).exists():
            self.run.remove(runs.THRESHOLDS)
            self.reporter.note("The thresholds of the run are removed: they fit the old model.")
        self.write_inputs()
        task.write_model(self.run, result)
        classifier.set_weights(task.model, result.weights)
        self._evaluate_and_finish(result)
        self._remove_old_checkpoints()
        if self.tracker is not None:
            self.tracker.end(result.history, self.run.read_json(runs.METRICS))

    def _note_more_epochs(self, result: TrainingResult) -> None:
        """Say so if more epochs may help."""
        epochs = self.task.config.train.epochs
        if more_epochs.still_improves(result.history, result.best_epoch, epochs):
            command = self.record["command"]
            is_new = self.task.config.is_refitted
            note = more_epochs.describe(self.run, result.history, epochs, is_new, command)
            self.reporter.note(note)

    def write_inputs(self) -> None:
        """Write settings, tokenizer, labels, and `run.json` with status `running`."""
        if not self.writes:
            return
        self.task.write_inputs(self.run)
        self.run.write_json(runs.RUN, self.record)

    def _finish_stage(self, result: TrainingResult) -> bool:
        """Keep the result of a stage, and return True, unless it is the last one."""
        task = self.task
        if not isinstance(task, ClassifierTask) or task.stage.number == len(task.stages):
            return False
        objective = self.loop.objective
        assert isinstance(objective, ClassificationObjective)
        finished = task.finish_stage(result, objective)
        stages.report_end(task.stage, len(task.stages) - 1, finished, self.reporter)
        self.finished = (*self.finished, finished)
        self.stage_seconds = self.loop.seconds
        if self.tracker is not None:
            # The epochs of folds are not reported one by one.
            for line in finished.history:
                self.tracker.epoch(line)
        return True

    def _run_loop(self) -> TrainingResult:
        """Run the loop; on a non-finite loss or gradient, write the best weights so far."""
        callbacks = [*self.options.callbacks]
        if self.options.tensorboard and self.writes:
            number = len(self.finished) + 1
            folder = "tensorboard" if number == 1 else f"tensorboard/stage-{number}"
            callbacks.append(keras.callbacks.TensorBoard(str(self.run.file(folder))))
        try:
            return self.loop.run(callbacks)
        except NonFiniteError as error:
            if self.was_finished:
                error.hint += " The finished run is unchanged."
            elif self.loop.best_epoch and self.writes:
                result = self.loop.result(error.message)
                result = replace(result, history=self._history(result.history))
                self.task.write_model(self.run, result)
                error.hint += (
                    f" The best weights so far, of epoch {result.best_epoch}, are in "
                    f"{self.run.file(runs.WEIGHTS)}."
                )
            raise

    def _evaluate_and_finish(self, result: TrainingResult) -> None:
        """Evaluate, then write metrics, model card, `run.json` and, last, the manifest."""
        task = self.task
        evaluation = task.evaluate(self.run, result, self.loop.objective, self.options)
        self.record["dataset"]["sizes"].update(evaluation.sizes)
        # The time of earlier processes counts up to their last checkpoint.
        total = time.perf_counter() - self.start + self.earlier_seconds
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
        if isinstance(task, ClassifierTask) and self.finished:
            self.record["stages"] = stages.describe_stages(task.stages, self.finished)
        card = task.model_card({**self.record, "name": self.run.name}, evaluation)
        self.run.write_text(runs.CARD, card)
        self.run.write_json(runs.RUN, self.record)
        self.run.write_manifest()
        for warning in evaluation.warnings:
            self.reporter.warn(warning)

    def _save_checkpoint(self, state: Checkpoint) -> None:
        tensors, progress = stages.to_checkpoint(self.finished)
        if isinstance(self.task, ClassifierTask):
            tensors = {**tensors, **self.task.initial_tensors()}
        complete = Checkpoint({**state.tensors, **tensors}, {**state.progress, "stages": progress})
        checkpoint.save(self.run.file(runs.CHECKPOINTS), complete)
        if not self.was_finished:
            self.task.write_history(self.run, self._history(self.loop.history))

    def _history(self, last: Sequence[Epoch]) -> tuple[Epoch, ...]:
        """Return the epochs of the finished stages and of the current one."""
        return (*(line for stage in self.finished for line in stage.history), *last)

    def _remove_old_checkpoints(self) -> None:
        """Remove all checkpoints but the last, which training can be extended from."""
        try:
            checkpoint.remove_old(self.run.file(runs.CHECKPOINTS), 1)
        except LstmError as error:
            self.reporter.warn(error.message)


class _FoldReporter:
    """A reporter of a fold: of its epochs only their progress, because there are many."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def note(self, text: str) -> None:
        """Pass it on."""
        self._reporter.note(text)

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._reporter.warn(text)

    def step(self, step: Step) -> None:
        """Pass it on."""
        self._reporter.step(step)

    def epoch(self, epoch: Epoch) -> None:
        """Drop it."""

    def fold(self, fold: Fold) -> None:
        """Pass it on."""
        self._reporter.fold(fold)


def _init_from(task: Task) -> dict[str, Any]:
    """Return the part of `run.json` about the run that training started from."""
    return {"init_from": dict(task.init_record)} if task.init_record else {}
