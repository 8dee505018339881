"""What would be trained: everything but the training, for `lstm train --dry-run`."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstm_cli.config.schema import Config
from lstm_cli.io.progress import Reporter, SilentReporter
from lstm_cli.runs.directory import runs_root
from lstm_cli.text import batching
from lstm_cli.text.corpus import Corpus
from lstm_cli.training import device, init_weights
from lstm_cli.training.objectives.classification import ClassificationObjective, Examples
from lstm_cli.training.prepare import load_data, objective_for, prepare, start

_TIMED_STEPS = 6
_WARM_UP_STEPS = 3
# A validation example is read forward only: about a third of a training example's work.
_VALIDATION_COST = 1 / 3


@dataclass(frozen=True)
class SplitPlan:
    """How a split looks to the network.

    Attributes:
        name: `train` or `validation`.
        examples: Number of examples.
        classes: Examples by class.
        tokens: For texts, tokens in a text by percentile (50, 90, 99) and the greatest number.
        coverage: For texts, share of tokens that the vocabulary knows.
        truncated: For texts, share that loses its middle.
    """

    name: str
    examples: int
    classes: dict[str, int]
    tokens: dict[str, int] | None = None
    coverage: float | None = None
    truncated: float | None = None


@dataclass(frozen=True)
class Plan:
    """What `train` would do.

    Attributes:
        source: Where the data comes from.
        splits: What each split holds.
        vocab_size: Of the tokenizer; None for images.
        layers: Each layer with weights, and how many numbers it has.
        parameters: All of them.
        steps_per_epoch: Batches in an epoch.
        epochs: At most.
        padding: Share of positions in the training batches that are padding.
        seconds_per_step: Measured here, on batches spread over an epoch.
        seconds: Estimate for all epochs with validation.
        device: Where it would run, and on which kernel.
    """

    source: str
    splits: tuple[SplitPlan, ...]
    vocab_size: int | None
    layers: dict[str, int]
    parameters: int
    steps_per_epoch: int
    epochs: int
    padding: float
    seconds_per_step: float
    seconds: float
    device: str

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        return asdict(self)


def plan(
    config: Config,
    *,
    data_dir: Path | None = None,
    runs_dir: Path | None = None,
    use: device.Device = "auto",
    reporter: Reporter | None = None,
) -> Plan:
    """Load, encode and build as `train` would, time a few steps, and keep nothing.

    Raises:
        LstmError: As `train`.
    """
    reporter = reporter or SilentReporter()
    config = init_weights.resolved(config, runs_root(runs_dir))
    init = init_weights.read(config)
    device_info = start(config, use, reporter)
    dataset = load_data(config, ("train", "validation"), data_dir)
    prepared = prepare(config, dataset, device_info, data_dir, reporter, init=init)
    work = objective_for(prepared, reporter)
    lengths, size = work.examples.lengths, config.train.batch_size
    planned = batching.training_batches(lengths, size, config.seed, 0)
    parameters = prepared.num_parameters
    layers = _layers(prepared.model)
    if prepared.linear is not None:
        layers["linear"] += prepared.linear.table.size
    seconds = _time_step(work, prepared.model)
    steps = len(planned) + _VALIDATION_COST * len(prepared.validation) / size
    return Plan(
        source=dataset.source,
        splits=(
            _split("train", prepared.train, dataset.labels),
            _split("validation", prepared.validation, dataset.labels),
        ),
        vocab_size=prepared.tokenizer.vocab_size if prepared.tokenizer else None,
        layers=layers,
        parameters=parameters,
        steps_per_epoch=len(planned),
        epochs=config.train.epochs,
        padding=batching.padding_fraction(lengths, planned),
        seconds_per_step=seconds,
        seconds=config.train.epochs * steps * seconds,
        device=f"{device_info.device} ({device_info.kernel})",
    )


def _split(name: str, examples: Examples, labels: tuple[str, ...]) -> SplitPlan:
    counts = np.bincount(examples.labels, minlength=len(labels))
    classes = {label: int(count) for label, count in zip(labels, counts, strict=True)}
    if not isinstance(examples.inputs, Corpus):
        return SplitPlan(name, len(examples), classes)
    corpus = examples.inputs
    tokens = {f"{q}%": int(np.percentile(corpus.num_tokens, q)) for q in (50, 90, 99)}
    tokens["max"] = int(corpus.num_tokens.max())
    return SplitPlan(
        name, len(examples), classes, tokens, float(corpus.coverage), corpus.truncated_fraction
    )


def _layers(model: Any) -> dict[str, int]:
    """Count the numbers of each layer that has any, in the order of the data."""
    return {
        layer.name: int(sum(np.prod(v.shape) for v in layer.trainable_variables))
        for layer in model.layers
        if layer.trainable_variables
    }


def _time_step(work: ClassificationObjective, model: Any) -> float:
    """Measure a training step; the model has learned a little after it and is thrown away."""
    every = list(work.batches(0, 0))
    spread = np.linspace(0, len(every) - 1, _WARM_UP_STEPS + _TIMED_STEPS).astype(int)
    began = 0.0
    for number, chosen in enumerate(spread):
        if number == _WARM_UP_STEPS:
            began = time.perf_counter()
        work.train_step(model, *every[chosen])
    return (time.perf_counter() - began) / _TIMED_STEPS
