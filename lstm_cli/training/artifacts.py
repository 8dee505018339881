"""The files that training writes into the run directory."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import to_builtins
from numpy.typing import NDArray

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.errors import LstmError
from lstm_cli.evaluation import baselines, training_plots
from lstm_cli.evaluation.evaluate import draw_results
from lstm_cli.evaluation.label_set_metrics import choose_thresholds
from lstm_cli.evaluation.scored_split import ScoredSplit, make_scored
from lstm_cli.io.progress import Epoch, selection_curve
from lstm_cli.models.calibration import SplitLogits, scale_logits
from lstm_cli.prediction.examples import FIXED_TEXTS, MAX_CHARACTERS, choose_golden_rows
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.metrics_schema import CrossValidation
from lstm_cli.runs.out_of_fold import to_csv
from lstm_cli.text import tokenizer_json
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training import folds
from lstm_cli.training.stages import describe_validation

if TYPE_CHECKING:
    from lstm_cli.training.classifier_task import ClassifierTask
    from lstm_cli.training.loop import TrainingResult
    from lstm_cli.training.objectives.classification import Examples

# Largest differences of a probability between Keras and the ONNX graph, which add in different
# orders. On a GPU, Keras multiplies in TF32, which keeps 10 bits of a fraction: an H200 with JAX
# differed by at most 4.0e-4 on 1,024 texts, and by 1.2e-6 in float32 (docs/results.md).
_TOLERANCE_CPU = 1e-5
_TOLERANCE_GPU = 2e-3
_NUM_PARITY_EXAMPLES = 64
_NUM_GOLDEN_TEXTS, _NUM_GOLDEN_IMAGES = 6, 10
_MAX_GOLDEN_PIXELS = 1_000_000
_MAX_TEXT = 10_000  # less than the limit of `runs.schema.Text`
_PACKAGES = ("lstm-cli", "keras", "tensorflow", "jax", "numpy", "onnxruntime", "regex")


# run.json


def new_record(config: Config, command: str | None) -> dict[str, Any]:
    """Return `run.json` of a run that starts now.

    Args:
        config: The settings.
        command: The command line; None if training is started from Python.
    """
    return {
        "format": 1,
        "status": "running",
        "kind": config.task,
        "data": config.data.name,
        "started": now(),
        "command": None if command is None else truncate_text(command),
        "seed": config.seed,
        "process": os.getpid(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
        "commit": _commit(),
    }


def resumed_record(record: Mapping[str, Any], score_test: bool = True) -> dict[str, Any]:
    """Return `run.json` of a run that this process resumes.

    Args:
        record: Its `run.json`.
        score_test: Whether the run is scored on test; its command then has no `--no-test`.
    """
    outdated = ("finished", "error", "non_finite")
    resumed = {key: value for key, value in record.items() if key not in outdated}
    if score_test and resumed.get("command"):
        resumed["command"] = resumed["command"].replace(" --no-test", "")
    return {**resumed, "status": "running", "process": os.getpid()}


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return what `run.json` says of the data set of any task."""
    record: dict[str, Any] = {
        "name": dataset.name,
        "source": dataset.source,
        "kind": dataset.kind,
        "fingerprint": dataset.fingerprint,
        "files": {name: asdict(file) for name, file in dataset.files.items()},
        "notes": list(dataset.notes),
    }
    if dataset.unlabeled is not None:
        record["unlabeled_files"] = dict(dataset.unlabeled.files)
        record["unlabeled_sha256"] = dataset.unlabeled.sha256
    if dataset.replayed is not None:
        record["replay_files"] = dict(dataset.replayed.files)
        record["replay_sha256"] = dataset.replayed.sha256
    return record


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect training."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def truncate_text(text: str) -> str:
    """Return a text for `run.json`, truncated to the length that its reader accepts."""
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ..."


def now() -> str:
    """Return the current time in the format of `run.json`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    """Return the git commit of the working directory, if it is in a repository."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


# Settings, vocabulary, model, history


def write_inputs(run: RunDir, config: Config, tokenizer: Tokenizer | None) -> None:
    """Write settings and tokenizer."""
    run.write_text(runs.CONFIG, configs.to_yaml(config))
    if tokenizer is not None:
        run.write_text(runs.TOKENIZER, tokenizer_json.write(tokenizer))


def check_tokenizer(run: RunDir, tokenizer: Tokenizer | None) -> None:
    """Check that a resumed run has the same vocabulary as at its start.

    Raises:
        LstmError: The tokenizer fitted now is different.
    """
    if tokenizer is not None and run.read_text(runs.TOKENIZER) != tokenizer_json.write(tokenizer):
        raise LstmError(
            f"The tokenizer fitted now differs from that of run {run.name}.",
            "Another version of 'regex'? Resume with the version named in run.json.",
        )


def write_model(run: RunDir, task: ClassifierTask, result: TrainingResult) -> None:
    """Write the best weights of a classifier, as tensors and as an ONNX graph."""
    import safetensors.numpy

    weights = dict(result.weights)
    if task.linear is not None:
        weights |= task.linear.tables.arrays()
    run.write_bytes(runs.WEIGHTS, safetensors.numpy.save(weights))
    num_classes = len(task.dataset.labels)
    graph = onnx_graph.build(task.config, weights, num_classes, task.image_shape)
    run.write_bytes(runs.MODEL, graph.SerializeToString())


def write_history(run: RunDir, history: Sequence[Epoch]) -> None:
    """Write one line per epoch."""
    run.write_text(runs.HISTORY, "".join(runs.json_line(asdict(epoch)) for epoch in history))


# Evaluation of a classifier


def calibrated(
    task: ClassifierTask, predictor: Predictor, result: TrainingResult
) -> TrainingResult:
    """Return the result with calibrated weights: confidence matches accuracy on validation.

    The factor of the linear model is fitted anew, because the one from training is fitted to
    texts that the LSTM has learned. After a refit both factors are fitted to the predictions for
    the rows that were held out before.

    Args:
        task: With the validation split, or the logits of the rows held out before a refit.
        predictor: Predictor with the weights of the result.
        result: The result of training.
    """
    if task.held_out is not None:
        lstm_scale, linear_scale = task.held_out.fit_scales()
    else:
        examples = task.validation
        assert examples is not None
        scale = result.weights.get(onnx_graph.LINEAR_SCALE, np.zeros(1, np.float32))
        logits = SplitLogits.from_probabilities(
            predictor.probabilities(examples.inputs),
            examples.linear,
            scale,
            examples.labels.ndim == 2,
        )
        lstm_scale, linear_scale = logits.fit_scales(examples.labels)
    weights = scale_logits(result.weights, lstm_scale, linear_scale)
    return replace(result, weights=weights, temperature=round(1 / lstm_scale, 4))


def check_parity(
    task: ClassifierTask,
    predictor: Predictor,
    keras_predict: Callable[[Examples], NDArray[np.float32]],
) -> None:
    """Compare the ONNX graph with Keras on some validation examples; after a refit on training's.

    Raises:
        LstmError: They differ: the run must not be used.
    """
    examples = task.train if task.validation is None else task.validation
    indices = np.linspace(0, len(examples) - 1, _NUM_PARITY_EXAMPLES).astype(np.int64)
    sample = examples.take(indices)
    if task.validation is None:
        # Their logits of the linear model in training are out-of-fold.
        sample = replace(sample, linear=task.linear_logits(sample.inputs))
    difference = float(np.abs(keras_predict(sample) - predictor.probabilities(sample.inputs)).max())
    tolerance = _TOLERANCE_CPU if task.device_info.device == "cpu" else _TOLERANCE_GPU
    if not difference <= tolerance:
        raise LstmError(
            f"The exported graph differs from Keras by {difference:.2g}, more than "
            f"{tolerance:.0g}.",
            "This is a defect of lstm: please report it with the run's config.yaml.",
        )


def write_golden(run: RunDir, task: ClassifierTask, predictor: Predictor) -> None:
    """Write some inputs with their probabilities, to check the run by when it is loaded.

    Pages of the run offer them as examples.
    """
    validation = task.dataset.splits["validation"]
    rows = choose_golden_rows(validation.inputs, validation.labels)
    if isinstance(validation.inputs, np.ndarray):
        # Each pixel is a number in the file.
        num = min(_NUM_GOLDEN_IMAGES, max(1, _MAX_GOLDEN_PIXELS // validation.inputs[0].size))
        images = validation.inputs[rows[:num]]
        inputs: Any = images.tolist()
        probabilities = predictor.probabilities(images)
    else:
        texts = [validation.inputs[row][:MAX_CHARACTERS] for row in rows[:_NUM_GOLDEN_TEXTS]]
        inputs = [*FIXED_TEXTS, *texts]
        probabilities = predictor.text_probabilities(inputs)
    run.write_json(runs.GOLDEN, {"inputs": inputs, "probabilities": probabilities.tolist()})


def write_thresholds(run: RunDir, validation: ScoredSplit, labels: tuple[str, ...]) -> ScoredSplit:
    """Choose the thresholds of the labels on validation, and write them.

    Args:
        run: The run directory.
        validation: The results on validation, calibrated.
        labels: Label names.

    Returns:
        The results with these thresholds.
    """
    thresholds = choose_thresholds(validation.labels, validation.probabilities)
    run.write_json(runs.LABEL_THRESHOLDS, thresholds.tolist())
    return make_scored(validation.labels, validation.probabilities, labels, thresholds)


def with_linear_part(task: ClassifierTask, validation: ScoredSplit) -> ScoredSplit:
    """Return the results on validation with those of the linear part alone, if there is one.

    Its logits are those of weights that have not seen the rows.

    Args:
        task: With the validation split, or the logits of the rows held out before a refit.
        validation: The results of the run.
    """
    if task.held_out is not None:
        logits = task.held_out.logits.linear
    else:
        assert task.validation is not None
        logits = task.validation.linear
    labels = validation.labels
    thresholds = baselines.choose_linear_thresholds(labels, logits)
    report = baselines.with_linear_part(validation.report, labels, logits, thresholds)
    return replace(validation, report=report)


def write_results(
    run: RunDir,
    task: ClassifierTask,
    result: TrainingResult,
    results: Mapping[str, ScoredSplit],
    cross_validation: CrossValidation | None = None,
) -> list[str]:
    """Write metrics and plots, and with folds the predictions for the rows they held out.

    Args:
        run: The run directory.
        task: What was trained.
        result: The result of training.
        results: Scores by split, with `validation`.
        cross_validation: Scores of the folds; None without folds.

    Returns:
        The names of the plots.
    """
    reports = {split: scored.report.to_dict() for split, scored in results.items()}
    method = describe_validation(task.config, task.stages)
    run.write_json(
        runs.METRICS,
        {
            "best_epoch": result.best_epoch,
            **({"validation_method": method} if method else {}),
            **({"cross_validation": to_builtins(cross_validation)} if cross_validation else {}),
            **reports,
        },
    )
    if cross_validation and not task.config.is_multi_label:
        table = folds.out_of_fold(task, results["validation"])
        run.write_text(runs.OUT_OF_FOLD, to_csv(table, task.dataset.labels))
    return _draw(run, task, result, results.get("test", results["validation"]))


def _draw(
    run: RunDir, task: ClassifierTask, result: TrainingResult, scored: ScoredSplit
) -> list[str]:
    """Draw the plots, those of results for one split, in the worker if there is one.

    Returns:
        Their names.
    """
    folder, submit = run.file(runs.PLOTS), task.worker.submit
    curve, names = selection_curve(result.history), list[str]()
    if len(curve) > 1:
        names.append("curves.png")
        wait_for_curves = submit(
            training_plots.learning_curves,
            [asdict(epoch) for epoch in curve],
            folder / names[0],
            describe_validation(task.config, task.stages) if len(task.stages) > 1 else "",
        )
    wait_for_results = submit(draw_results, folder, scored, task.dataset.labels)
    if names:
        wait_for_curves()
    names += wait_for_results()
    if isinstance(task.train.inputs, Corpus) and task.config.text is not None:
        by_split = {"train": task.train.inputs.num_tokens}
        if task.validation is not None:
            assert isinstance(task.validation.inputs, Corpus)
            by_split["validation"] = task.validation.inputs.num_tokens
        max_tokens, path = task.config.text.max_tokens, folder / "lengths.png"
        submit(training_plots.lengths, by_split, max_tokens, path)()
        names.append(path.name)
    return names
