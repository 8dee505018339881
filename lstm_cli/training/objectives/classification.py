"""Training objective of a classifier: predict the class."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.data.augmentation import augment
from lstm_cli.data.balance import class_weights, weight_power
from lstm_cli.evaluation.metrics import loss_and_accuracy
from lstm_cli.io.array_file import read_rows
from lstm_cli.models import classifier
from lstm_cli.models.calibration import SplitLogits, num_outputs
from lstm_cli.models.process_group import combine, is_mine, largest, train_on_batch
from lstm_cli.text import batching
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.token_ids import lstm_ids
from lstm_cli.training.objectives.objective import (
    StatelessObjective,
    StepResult,
    check_state,
)

_VALIDATION_BATCH = 256

Inputs = Corpus | NDArray[np.uint8]


@dataclass(frozen=True)
class Examples:
    """Encoded inputs and their class ids.

    Attributes:
        inputs: Texts as token ids, or images.
        labels: Class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.
        linear: Logits of the linear model, `<float32>[num, outputs]`, if the model has one.
        weights: How much each example counts in training, `<float64>[num]`; None if all count the
            same.
    """

    inputs: Inputs
    labels: NDArray[np.int32]
    linear: NDArray[np.float32] | None = None
    weights: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_multi_label(self) -> bool:
        """Whether an example has any number of labels."""
        return self.labels.ndim == 2

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of time steps of each example, `<int64>[num]`."""
        if isinstance(self.inputs, Corpus):
            return self.inputs.lengths
        return np.full(len(self.labels), self.inputs.shape[1], np.int64)

    def take(self, rows: NDArray[np.int64]) -> Examples:
        """Return the examples at these rows, in this order."""
        inputs = self.inputs
        taken = inputs.take(rows) if isinstance(inputs, Corpus) else inputs[rows]
        linear = None if self.linear is None else self.linear[rows]
        weights = None if self.weights is None else self.weights[rows]
        return Examples(taken, self.labels[rows], linear, weights)

    @property
    def row_weights(self) -> NDArray[np.float64]:
        """How much each example counts in training, `<float64>[num]`."""
        return np.ones(len(self)) if self.weights is None else self.weights

    def gather(self, indices: NDArray[np.int64]) -> Any:
        """Return the inputs of a batch for the model: an array, or a list with linear logits."""
        if not isinstance(self.inputs, Corpus):
            return self.inputs[indices]
        # JAX takes seconds to compile the model for each width, so the widths are rounded up.
        widths = 64 if keras.backend.backend() == "jax" else 1
        tokens = batching.pad_batch([*map(lstm_ids, self.inputs.rows(indices))], widths)
        return tokens if self.linear is None else [tokens, read_rows(self.linear, indices)]


def training_batches(
    train: Examples, config: Config, epoch: int, steps: Sequence[int] | None = None
) -> Iterator[tuple[NDArray[np.int64], Any]]:
    """Yield indices and inputs of batches, which depend on (seed, epoch, step) alone.

    Args:
        train: The training split.
        config: Seed, batch size, and how images are changed.
        epoch: Counted from 0.
        steps: The steps to build batches for, counted from 0; None for the whole epoch.
    """
    planned = batching.training_batches(train.lengths, config.train.batch_size, config.seed, epoch)
    if isinstance(train.inputs, Corpus):
        train.inputs.drop_pages()  # The lengths needed them.
    for step in range(len(planned)) if steps is None else steps:
        indices = planned[step]
        inputs = train.gather(indices)
        if config.image is not None:
            # Not [seed, epoch, step]: for step 0 NumPy reads it as [seed, epoch], which shuffles.
            rng = np.random.default_rng([config.seed, epoch, step + 1])
            inputs = augment(inputs, config.image, rng)
        yield indices, inputs


def predict(model: Any, examples: Examples) -> NDArray[np.float32]:
    """Predict probabilities with Keras, `<float32>[num, classes]`, in the order of the examples.

    A group of processes divides the batches.
    """
    batches = batching.evaluation_batches(examples.lengths, _VALIDATION_BATCH)
    parts = []
    for number, indices in enumerate(batches):
        if is_mine(number):
            rows = np.asarray(model.predict_on_batch(examples.gather(indices)), np.float32)
            if rows.shape[1] == 1 and not examples.is_multi_label:
                rows = np.hstack([1 - rows, rows])
            parts.append((indices, rows))
    # With few batches, some processes have none.
    num_classes = largest(parts[0][1].shape[1] if parts else 0)
    probabilities = np.zeros((len(examples), num_classes), np.float32)
    for indices, rows in parts:
        probabilities[indices] = rows
    return combine(probabilities)


def split_logits(model: Any, examples: Examples, probabilities: NDArray[np.float32]) -> SplitLogits:
    """Split the logits of a model into the parts of the LSTM and of the linear model.

    Args:
        model: As `classifier.build_classifier` returns it.
        examples: The inputs.
        probabilities: Predictions for them, `<float32>[num, classes]`.
    """
    scale = 0.0 if examples.linear is None else np.asarray(model.get_layer("linear").scale)
    multi_label = examples.is_multi_label
    return SplitLogits.from_probabilities(probabilities, examples.linear, scale, multi_label)


@dataclass(frozen=True)
class EpochLogits:
    """The logits of a validation split after each epoch.

    Attributes:
        lstm: `<float32>[epochs, num, outputs]`.
        linear_scales: The factor on the linear logits, `<float32>[epochs]`.
        linear: Logits of the linear model, `<float32>[num, outputs]`; None without one.
        multi_label: As in `SplitLogits`.
    """

    lstm: NDArray[np.float32]
    linear_scales: NDArray[np.float32]
    linear: NDArray[np.float32] | None
    multi_label: bool = False

    @classmethod
    def empty(cls, validation: Examples | None, num_classes: int) -> EpochLogits:
        """Return the logits of no epoch."""
        assert validation is not None
        multi_label = validation.is_multi_label
        shape = (0, len(validation), num_outputs(num_classes, multi_label))
        empty = np.zeros(shape, np.float32), np.zeros(0, np.float32)
        return cls(*empty, validation.linear, multi_label)

    def followed_by(self, logits: SplitLogits) -> EpochLogits:
        """Return these logits and those of one more epoch."""
        scale = np.float32(np.ravel(logits.linear_scale)[0])
        lstm = np.concatenate([self.lstm, logits.lstm.astype(np.float32)[None]])
        scales = np.append(self.linear_scales, scale)
        return EpochLogits(lstm, scales, logits.linear, logits.multi_label)

    def of_epoch(self, epoch: int) -> SplitLogits:
        """Return the logits of an epoch, counted from 1, or of the last one if there are fewer."""
        index = min(epoch, len(self.lstm)) - 1
        scale = float(self.linear_scales[index])
        lstm = self.lstm[index].astype(np.float64)
        return SplitLogits(lstm, self.linear, scale, self.multi_label)


def mean_one(weights: NDArray[np.float64] | None) -> NDArray[np.float32] | None:
    """Return weights divided by their mean, so that they do not change the size of the steps."""
    return None if weights is None else (weights / weights.mean()).astype(np.float32)


class ClassificationObjective(StatelessObjective):
    """Classification with cross entropy.

    Args:
        config: The settings.
        num_classes: Number of classes, at least 2.
        train: The training split. Its weights are for the loss alone: accuracy counts rows.
        validation: The validation split; None in a stage without validation.
        keeps_logits: Whether to keep the logits of the validation split after each epoch.

    Attributes:
        examples: The training examples.
        validation_probabilities: Last predictions for the validation split,
            `<float32>[num, classes]`.
        epoch_logits: The logits of the validation split after each epoch, if they are kept.
    """

    def __init__(
        self,
        config: Config,
        num_classes: int,
        train: Examples,
        validation: Examples | None,
        keeps_logits: bool = False,
    ) -> None:
        self.config = config
        self.num_classes = num_classes
        self.examples = train
        self.validation = validation
        self.validation_probabilities = np.zeros((0, num_classes), np.float32)
        self.epoch_logits = EpochLogits.empty(validation, num_classes) if keeps_logits else None
        self.step_size = config.train.batch_size
        self._row_weights = mean_one(train.weights)
        self._class_weights = None
        if weight_power(config.train.class_weights):
            self._class_weights = class_weights(
                train.labels, num_classes, config.train.class_weights, train.weights
            )

    @property
    def num_steps(self) -> int:
        """Steps per epoch."""
        return math.ceil(len(self.examples) / self.step_size)

    def targets(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the targets of a batch, as `classifier.encode_labels` returns them.

        They are encoded by batch: one-hot vectors of all examples would need more memory than the
        texts if there are many classes.
        """
        return classifier.encode_labels(self.examples.labels[indices], self.num_classes)

    def batches(self, epoch: int, steps: Sequence[int]) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Yield indices and inputs of the batches of some steps."""
        return training_batches(self.examples, self.config, epoch, steps)

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return the logits that are kept."""
        if self.epoch_logits is None:
            return {}
        return {
            "epoch_lstm": self.epoch_logits.lstm,
            "epoch_linear_scales": self.epoch_logits.linear_scales,
        }

    def set_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Restore the logits that are kept.

        Raises:
            LstmError: They are of other examples.
        """
        own = self.state()
        for name in own.keys() & state.keys() & {"epoch_lstm", "epoch_linear_scales"}:
            # The number of epochs differs.
            own[name] = np.zeros((len(state[name]), *own[name].shape[1:]), own[name].dtype)
        check_state(state, own)
        if self.epoch_logits is not None:
            self.epoch_logits = replace(
                self.epoch_logits,
                lstm=state["epoch_lstm"],
                linear_scales=state["epoch_linear_scales"],
            )

    def train_step(
        self, model: Any, indices: NDArray[np.int64], inputs: NDArray[Any]
    ) -> StepResult:
        """Train on a batch."""
        targets = self.targets(indices)
        weights = self._sample_weights(indices, targets)
        logs = train_on_batch(model, inputs, targets, weights)
        return StepResult(len(indices), float(logs["loss"]), float(logs["accuracy"]))

    def _sample_weights(
        self, indices: NDArray[np.int64], targets: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        """Return the weights of a batch in the loss, `<float32>[batch]`; None if all are 1."""
        of_rows = None if self._row_weights is None else self._row_weights[indices]
        of_classes = self._expected_class_weights(targets)
        if of_rows is None or of_classes is None:
            return of_rows if of_classes is None else of_classes
        return of_rows * of_classes

    def _expected_class_weights(self, targets: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the expected class weight of each target, `<float32>[batch]`."""
        if self._class_weights is None:
            return None
        probabilities = np.hstack([1 - targets, targets]) if targets.shape[1] == 1 else targets
        weights: NDArray[np.float32] = probabilities @ self._class_weights
        return weights

    def validate(self, model: Any) -> tuple[float, float] | None:
        """Return loss and accuracy on the validation split, calibrated if the run will be.

        Without a validation split, return None.

        Without calibration, overconfidence would decide which epoch is the best, although it is
        corrected after training.
        """
        if self.validation is None:
            return None
        self.validation_probabilities = predict(model, self.validation)
        labels = self.validation.labels
        loss, accuracy = loss_and_accuracy(labels, self.validation_probabilities)
        if not math.isfinite(loss):
            return loss, accuracy
        logits = split_logits(model, self.validation, self.validation_probabilities)
        if self.epoch_logits is not None:
            self.epoch_logits = self.epoch_logits.followed_by(logits)
        if not self.config.train.calibrate:
            return loss, accuracy
        calibrated = logits.probabilities(logits.scaled(*logits.fit_scales(labels)))
        return loss_and_accuracy(labels, calibrated)
