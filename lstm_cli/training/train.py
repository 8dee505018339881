"""A classifier, from a data set to its run directory; `spine` has the way there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError, command_line
from lstm_cli.evaluation.evaluate import score_encoded
from lstm_cli.io.progress import Reporter, SilentReporter
from lstm_cli.models import classifier
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.directory import RunDir
from lstm_cli.training import artifacts, device
from lstm_cli.training.loop import TrainingResult
from lstm_cli.training.objectives.classification import ClassificationObjective, predict
from lstm_cli.training.pipeline import Task, TrainOptions, begin, resume_run
from lstm_cli.training.prepare import Prepared, encode, load_data, objective_for, prepare, timed


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
    _check_task(config)
    options = TrainOptions(data_dir, use, callbacks, tensorboard, reporter or SilentReporter())
    return begin(_Classifier, config, runs_dir, name, options)


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
    options = TrainOptions(data_dir, use, callbacks, tensorboard, reporter or SilentReporter())
    return resume_run(_Classifier, run, epochs, options)


def _check_task(config: Config) -> None:
    """Refuse the settings of a language model.

    Raises:
        LstmError: They are (exit code 2).
    """
    if config.language is not None:
        raise LstmError(
            "The section 'language:' is for a language model, not for a classifier.",
            f"Leave it out, or run: {command_line('lstm', 'pretrain', config.data.name)}",
            ExitCode.USAGE,
        )


class _Classifier(Task[Prepared]):
    """A classifier being trained."""

    splits = ("train", "validation")
    selection_metric = "validation loss"

    @staticmethod
    def prepare(*args: Any, **options: Any) -> Prepared:
        """Encode the data and build the model."""
        return prepare(*args, **options)

    @staticmethod
    def describe(prepared: Prepared) -> dict[str, Any]:
        """Return the part of `run.json` that is known before training."""
        return artifacts.describe(prepared)

    def make_objective(self) -> ClassificationObjective:
        """Return what to train for."""
        return objective_for(self.prepared, self.reporter)

    def write_inputs(self) -> None:
        """Write settings, labels, tokenizer, and how the run stands."""
        artifacts.write_inputs(self.run, self.prepared, self.record)

    def write_history(self) -> None:
        """Write one line an epoch."""
        artifacts.write_history(self.run, self.loop.history)

    def write_model(self, fitted: TrainingResult) -> None:
        """Write weights, graph and history."""
        artifacts.write_model(self.run, self.prepared, fitted)

    def finish(self, fitted: TrainingResult) -> None:
        """Calibrate, check the exported graph against Keras, score it, and write the results."""
        prepared = self.prepared
        predictor = Predictor.from_files(self.run)
        if prepared.config.train.calibrate:
            fitted = artifacts.calibrated(prepared, predictor, fitted)
            self.write_model(fitted)
            classifier.set_weights(prepared.model, fitted.weights)
            predictor = Predictor.from_files(self.run)
        artifacts.check_parity(prepared, predictor, lambda e: predict(prepared.model, e))
        artifacts.write_golden(self.run, prepared, predictor)
        with timed(prepared.seconds, "evaluate"):
            # The first and only look at the test split, with everything chosen.
            test_set = load_data(prepared.config, ("test",), self.options.data_dir)
            test = encode(test_set, "test", prepared.tokenizer)
            validation = prepared.validation
            results = {
                "validation": score_encoded(predictor, validation.inputs, validation.labels),
                "test": score_encoded(predictor, test.inputs, test.labels),
            }
        self.record["dataset"]["sizes"]["test"] = len(test)
        artifacts.write_results(self.run, prepared, fitted, results, self.record, self.work_began)
