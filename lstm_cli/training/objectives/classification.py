"""Learning to tell classes apart: examples, their batches, a step, a judgement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.evaluation.metrics import loss_and_accuracy
from lstm_cli.models import classifier
from lstm_cli.models.calibration import SplitLogits, log_probabilities
from lstm_cli.text import batching as batches
from lstm_cli.text.corpus import Corpus
from lstm_cli.training.objectives.objective import StatelessObjective, StepResult

_VALIDATION_BATCH = 256

Inputs = Corpus | NDArray[np.uint8]


@dataclass(frozen=True)
class Examples:
    """Encoded inputs and their class ids.

    Attributes:
        inputs: Texts as token ids, or images.
        labels: `<int32>[num]`.
        linear: What words and pairs of each text say, `<float32>[num, outputs]`, where the
            network reads that.
    """

    inputs: Inputs
    labels: NDArray[np.int32]
    linear: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Time steps of each example, `<int64>[num]`."""
        if isinstance(self.inputs, Corpus):
            return self.inputs.lengths
        return np.full(len(self.labels), self.inputs.shape[1], np.int64)

    def gather(self, indices: NDArray[np.int64]) -> Any:
        """Return the inputs of a batch as the network takes them: an array, or a list of them."""
        if not isinstance(self.inputs, Corpus):
            return self.inputs[indices]
        # JAX compiles anew for every width: a few seconds each, so there are to be few.
        widths = 64 if keras.backend.backend() == "jax" else 1
        tokens = batches.pad_batch(self.inputs, indices, widths)
        return tokens if self.linear is None else [tokens, self.linear[indices]]


def class_weights(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float32]:
    """Return weights by inverse frequency, of mean 1 over the examples, `<float32>[classes]`.

    Source: King & Zeng 2001, "Logistic Regression in Rare Events Data", as scikit-learn's
    "balanced".
    """
    counts = np.bincount(labels, minlength=num_classes)
    weights = len(labels) / (num_classes * np.maximum(counts, 1))
    return weights.astype(np.float32)


def training_batches(
    train: Examples, config: Config, epoch: int, first: int = 0
) -> Iterator[tuple[NDArray[np.int64], Any]]:
    """Yield the batches of an epoch: indices and inputs; a pure function of (seed, epoch).

    Args:
        train: The training split.
        config: Seed, size of a batch, shift of images.
        epoch: Counted from 0.
        first: The step to begin with.
    """
    planned = batches.training_batches(train.lengths, config.train.batch_size, config.seed, epoch)
    for step, indices in enumerate(planned[first:], first):
        inputs = train.gather(indices)
        if config.image is not None and config.image.shift:
            # NumPy takes [seed, epoch, 0] for [seed, epoch], which shuffled the epoch.
            rng = np.random.default_rng([config.seed, epoch, step + 1])
            inputs = batches.random_shift(inputs, config.image.shift, rng)
        yield indices, inputs


def predict(model: Any, examples: Examples) -> NDArray[np.float32]:
    """Compute probabilities with Keras, `<float32>[num, classes]`, none dropped."""
    found: NDArray[np.float32] | None = None
    for indices in batches.evaluation_batches(examples.lengths, _VALIDATION_BATCH):
        rows = np.asarray(model.predict_on_batch(examples.gather(indices)), np.float32)
        if rows.shape[1] == 1:
            rows = np.hstack([1 - rows, rows])
        if found is None:
            found = np.zeros((len(examples), rows.shape[1]), np.float32)
        found[indices] = rows
    assert found is not None
    return found


def scores(model: Any, examples: Examples, probabilities: NDArray[np.float32]) -> SplitLogits:
    """Take what a model says of examples apart: its own part, and the evidence.

    Args:
        model: As `models.build` returns it.
        examples: What it was asked.
        probabilities: What it said, `<float32>[num, classes]`.
    """
    weight = 0.0 if examples.linear is None else np.asarray(model.get_layer("linear").scale)
    return SplitLogits.from_probabilities(probabilities, examples.linear, weight)


class ClassificationObjective(StatelessObjective):
    """Learning to tell classes apart.

    Args:
        config: The experiment.
        num_classes: At least 2.
        train: The training split.
        validation: The validation split.

    Attributes:
        examples: What is trained on.
        targets: What the network is to say of them, as `models.targets` returns it.
        said: What it last said of the validation split, `<float32>[num, classes]`.
    """

    def __init__(
        self, config: Config, num_classes: int, train: Examples, validation: Examples
    ) -> None:
        self.config = config
        self.num_classes = num_classes
        self.examples = train
        self.targets = classifier.encode_labels(train.labels, num_classes)
        self.validation = validation
        self.said = np.zeros((0, num_classes), np.float32)
        self.rate = config.train.batch_size
        balanced = config.train.class_weights == "balanced"
        self._class_weights = class_weights(train.labels, num_classes) if balanced else None

    @property
    def num_steps(self) -> int:
        """Steps in an epoch."""
        return math.ceil(len(self.examples) / self.rate)

    def batches(self, epoch: int, first: int) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """Yield what `training_batches` gives."""
        return training_batches(self.examples, self.config, epoch, first)

    def train_step(
        self, model: Any, indices: NDArray[np.int64], inputs: NDArray[Any]
    ) -> StepResult:
        """Train on a batch."""
        targets = self.targets[indices]
        weights = self._weights_of(targets)
        logs = model.train_on_batch(inputs, targets, sample_weight=weights, return_dict=True)
        return StepResult(len(indices), float(logs["loss"]), float(logs["accuracy"]))

    def _weights_of(self, targets: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Weigh examples by their classes, `<float32>[batch]`; what is half of each, by halves."""
        if self._class_weights is None:
            return None
        shares = np.hstack([1 - targets, targets]) if targets.shape[1] == 1 else targets
        weights: NDArray[np.float32] = shares @ self._class_weights
        return weights

    def validate(self, model: Any) -> tuple[float, float]:
        """Score the validation split, calibrated as the run will be.

        How sure a network is has no part in which epoch is the best where that is set afterwards.
        """
        self.said = predict(model, self.validation)
        labels = self.validation.labels
        loss, accuracy = loss_and_accuracy(labels, self.said)
        if not self.config.train.calibrate or not math.isfinite(loss):
            return loss, accuracy
        said = scores(model, self.validation, self.said)
        calibrated = np.exp(log_probabilities(said.scaled(*said.fit_scales(labels))))
        return loss_and_accuracy(labels, calibrated.astype(np.float32))
