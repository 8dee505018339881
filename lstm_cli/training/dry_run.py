"""A dry run: load, encode and build as training does, time a few steps, and write nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_cli.config.schema import Config
from lstm_cli.data.dataset import class_counts
from lstm_cli.io.progress import Reporter, SilentReporter
from lstm_cli.runs.directory import runs_root
from lstm_cli.text import batching
from lstm_cli.text.corpus import Corpus
from lstm_cli.training.auto_settings import with_auto_settings
from lstm_cli.training.classifier_task import ClassifierTask
from lstm_cli.training.device import Device, configure_backend
from lstm_cli.training.init_weights import read_initial_weights, resolve_init_from
from lstm_cli.training.labels_of_run import load_with_labels_of_run
from lstm_cli.training.language_model_task import LanguageModelTask
from lstm_cli.training.objectives.classification import ClassificationObjective, Examples
from lstm_cli.training.objectives.objective import Objective
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.pipeline import prepare
from lstm_cli.training.teacher import resolve_teacher, without_teacher

_NUM_WARM_UP_STEPS = 3
_NUM_TIMED_STEPS = 6
# A validation example needs the forward pass only: a third of the time of a training example.
_VALIDATION_COST = 1 / 3


@dataclass(frozen=True)
class SplitPlan:
    """A split as the model reads it.

    Attributes:
        name: `train` or `validation`.
        examples: Number of examples.
        classes: Number of examples by class.
        tokens: For texts, percentiles of the number of tokens (50, 90, 99), and the maximum.
        coverage: For texts, fraction of tokens that are in the vocabulary.
        truncated: For texts, fraction of texts that are truncated.
    """

    name: str
    examples: int
    classes: dict[str, int]
    tokens: dict[str, int] | None = None
    coverage: float | None = None
    truncated: float | None = None


@dataclass(frozen=True)
class ClassifierPlan:
    """What training of a classifier would do.

    Attributes:
        source: Source of the data.
        splits: The splits.
        unlabeled: Number of unlabeled texts.
        vocab_size: Size of the vocabulary; None for images.
        layers: Number of parameters of each layer that has any.
        parameters: Number of all parameters.
        steps_per_epoch: Batches per epoch.
        epochs: Maximum number of epochs in a stage.
        stages: Number of stages: more than one with `data.folds` or `train.refit`.
        padding: Fraction of the positions in training batches that are padding.
        seconds_per_step: Measured on batches spread over an epoch.
        seconds: Estimate for all epochs, with validation.
        device: Device and kernel.
    """

    source: str
    splits: tuple[SplitPlan, ...]
    unlabeled: int
    vocab_size: int | None
    layers: dict[str, int]
    parameters: int
    steps_per_epoch: int
    epochs: int
    stages: int
    padding: float
    seconds_per_step: float
    seconds: float
    device: str


@dataclass(frozen=True)
class LanguageModelPlan:
    """What training of a language model would do.

    Attributes:
        source: Source of the texts.
        texts: Number of texts for training, and of held-out texts.
        unlabeled: How many of all texts have no label.
        words: Number of words in them.
        vocab_size: Size of the vocabulary.
        parameters: Number of parameters.
        steps_per_epoch: Batches per epoch.
        epochs: Maximum number of epochs.
        words_per_second: Measured on batches spread over an epoch.
        seconds: Estimate for all epochs, without validation.
        device: Device and kernel.
    """

    source: str
    texts: dict[str, int]
    unlabeled: int
    words: dict[str, int]
    vocab_size: int
    parameters: int
    steps_per_epoch: int
    epochs: int
    words_per_second: float
    seconds: float
    device: str


def dry_run(
    config: Config,
    *,
    data_dir: Path | None = None,
    runs_dir: Path | None = None,
    device: Device = "auto",
    reporter: Reporter | None = None,
    fail_on: Sequence[str] = (),
) -> ClassifierPlan | LanguageModelPlan:
    """Return what `train` would do with these settings.

    Args:
        config: The settings.
        data_dir: As for `train`.
        runs_dir: Folder of all runs, for `train.init_from` and `train.teacher`.
        device: As for `train`.
        reporter: Receives notes and warnings.
        fail_on: As for `train`.

    Raises:
        LstmError: As `train`.
    """
    options = TrainOptions(data_dir, device, reporter=reporter or SilentReporter(), fail_on=fail_on)
    root = runs_root(runs_dir)
    # Predicting the labels of a teacher takes time and changes nothing in the plan.
    config = without_teacher(resolve_teacher(resolve_init_from(config, root), root))
    dataset, labels = load_with_labels_of_run(config, data_dir)
    config, dataset = with_auto_settings(config, dataset, data_dir, options.reporter)
    init = read_initial_weights(config, labels)
    if init.kind == "word_vectors":
        init = replace(init, kind="random")
    # Learning word vectors and region embeddings takes time and changes nothing in the plan.
    init = replace(init, learns_regions=False)
    device_info = configure_backend(config, device, options.reporter)
    task = prepare(config, dataset, init, device_info, options)
    if isinstance(task, ClassifierTask):
        task = task.start_stage(())
    objective = task.make_objective(options.reporter)
    seconds, num = _time_steps(task.model, objective)
    name = f"{device_info.device} ({device_info.kernel})"
    if isinstance(task, LanguageModelTask):
        return _language_model_plan(task, objective, seconds, num, name)
    assert isinstance(objective, ClassificationObjective)
    return _classifier_plan(task, objective, seconds, name)


def _time_steps(model: Any, objective: Objective) -> tuple[float, float]:
    """Return the seconds of a training step, and how many examples or words it has on average.

    The model is trained a little by this. Only the batches that are timed are built.
    """
    num_steps = _NUM_WARM_UP_STEPS + _NUM_TIMED_STEPS
    steps = np.linspace(0, objective.num_steps - 1, num_steps).astype(int).tolist()
    batches = list(objective.batches(0, steps))
    for batch in batches[:_NUM_WARM_UP_STEPS]:
        objective.train_step(model, *batch)
    start = time.perf_counter()
    results = [objective.train_step(model, *batch) for batch in batches[_NUM_WARM_UP_STEPS:]]
    seconds = (time.perf_counter() - start) / _NUM_TIMED_STEPS
    return seconds, sum(result.num for result in results) / _NUM_TIMED_STEPS


def _classifier_plan(
    task: ClassifierTask, objective: ClassificationObjective, seconds: float, device: str
) -> ClassifierPlan:
    config, labels = task.config, task.dataset.labels
    assert task.validation is not None
    lengths, batch_size = objective.examples.lengths, config.train.batch_size
    batches = batching.training_batches(lengths, batch_size, config.seed, 0)
    steps = len(batches) + _VALIDATION_COST * len(task.validation) / batch_size
    return ClassifierPlan(
        source=task.dataset.source,
        splits=(
            _split_plan("train", task.train, labels),
            _split_plan("validation", task.validation, labels),
        ),
        unlabeled=len(task.dataset.unlabeled or ()) or task.num_unlabeled,
        vocab_size=task.tokenizer.vocab_size if task.tokenizer else None,
        layers=_layers(task),
        parameters=task.num_parameters,
        steps_per_epoch=len(batches),
        epochs=config.train.epochs,
        stages=len(task.stages),
        padding=batching.padding_fraction(lengths, batches),
        seconds_per_step=seconds,
        seconds=len(task.stages) * config.train.epochs * steps * seconds,
        device=device,
    )


def _language_model_plan(
    task: LanguageModelTask, objective: Objective, seconds: float, num_words: float, device: str
) -> LanguageModelPlan:
    record, epochs = task.describe(), task.config.train.epochs
    return LanguageModelPlan(
        source=task.dataset.source,
        texts=record["dataset"]["sizes"],
        unlabeled=task.num_unlabeled,
        words=record["dataset"]["words"],
        vocab_size=record["vocab_size"],
        parameters=record["parameters"],
        steps_per_epoch=objective.num_steps,
        epochs=epochs,
        words_per_second=num_words / seconds,
        seconds=epochs * objective.num_steps * seconds,
        device=device,
    )


def _split_plan(name: str, examples: Examples, labels: tuple[str, ...]) -> SplitPlan:
    counts = class_counts(examples.labels, len(labels))
    classes = {label: int(count) for label, count in zip(labels, counts, strict=True)}
    if not isinstance(examples.inputs, Corpus):
        return SplitPlan(name, len(examples), classes)
    corpus = examples.inputs
    tokens = {f"{q}%": int(np.percentile(corpus.num_tokens, q)) for q in (50, 90, 99)}
    tokens["max"] = int(corpus.num_tokens.max())
    coverage, truncated = float(corpus.coverage), corpus.truncated_fraction
    return SplitPlan(name, len(examples), classes, tokens, coverage, truncated)


def _layers(task: ClassifierTask) -> dict[str, int]:
    """Return the number of parameters of each layer that has any, in the order of the data."""
    layers = {
        layer.name: int(sum(np.prod(v.shape) for v in layer.trainable_variables))
        for layer in task.model.layers
        if layer.trainable_variables
    }
    if task.linear is not None:
        layers["linear"] += task.linear.tables.size
    return layers
