"""The training loop: epochs of bucketed batches, schedule, validation, the best weights kept."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from lstm_cli import batches, models
from lstm_cli.config import Config, TrainSettings
from lstm_cli.encoded import Corpus
from lstm_cli.errors import LstmError
from lstm_cli.metrics import cheap
from lstm_cli.reporting import Epoch, Reporter, Step

_VALIDATION_BATCH = 256
_REPORT_SECONDS = 0.1

Inputs = Corpus | NDArray[np.uint8]


@dataclass(frozen=True)
class Examples:
    """Encoded inputs and their class ids, `<int32>[num]`."""

    inputs: Inputs
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Time steps of each example, `<int64>[num]`."""
        if isinstance(self.inputs, Corpus):
            return self.inputs.lengths
        return np.full(len(self.labels), self.inputs.shape[1], np.int64)

    def gather(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return the inputs of a batch as the network takes them."""
        if isinstance(self.inputs, Corpus):
            return batches.pad(self.inputs, indices)
        return self.inputs[indices]


@dataclass(frozen=True)
class Fitted:
    """What training found.

    Attributes:
        history: One entry an epoch.
        weights: Of the epoch with the lowest validation loss, as `models.get_weights` names them.
        best_epoch: That epoch, counted from 1.
        stopped: Why training ended.
    """

    history: tuple[Epoch, ...]
    weights: dict[str, NDArray[np.float32]]
    best_epoch: int
    stopped: str


def learning_rate(settings: TrainSettings, step: int, num_steps: int) -> float:
    """Return the rate of a step: a linear warm-up, then the decay.

    Args:
        settings: Peak, share of warm-up, kind of decay.
        step: Counted from 0 over all epochs.
        num_steps: Of all epochs.
    """
    warmup = math.ceil(settings.warmup * num_steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, num_steps - warmup)
    if settings.decay == "linear":
        return settings.learning_rate * (1 - done)
    if settings.decay == "cosine":
        # Source: Loshchilov & Hutter 2017, "SGDR", eq. 5, without restarts.
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate


def class_weights(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float32]:
    """Return weights by inverse frequency, of mean 1 over the examples, `<float32>[classes]`.

    Source: King & Zeng 2001, "Logistic Regression in Rare Events Data", as scikit-learn's
    "balanced".
    """
    counts = np.bincount(labels, minlength=num_classes)
    weights = len(labels) / (num_classes * np.maximum(counts, 1))
    return weights.astype(np.float32)


def training_batches(
    train: Examples, config: Config, epoch: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Yield the batches of an epoch: indices and inputs; a pure function of (seed, epoch).

    Args:
        train: The training split.
        config: Seed, size of a batch, shift of images.
        epoch: Counted from 0.
    """
    planned = batches.plan(train.lengths, config.train.batch_size, config.seed, epoch)
    for step, indices in enumerate(planned):
        inputs = train.gather(indices)
        if config.image is not None and config.image.shift:
            rng = np.random.default_rng([config.seed, epoch, step])
            inputs = batches.shifted(inputs, config.image.shift, rng)
        yield indices, inputs


def predict(model: Any, examples: Examples) -> NDArray[np.float32]:
    """Compute probabilities with Keras, `<float32>[num, classes]`, none dropped."""
    found: NDArray[np.float32] | None = None
    for indices in batches.in_order(examples.lengths, _VALIDATION_BATCH):
        rows = np.asarray(model.predict_on_batch(examples.gather(indices)), np.float32)
        if rows.shape[1] == 1:
            rows = np.hstack([1 - rows, rows])
        if found is None:
            found = np.zeros((len(examples), rows.shape[1]), np.float32)
        found[indices] = rows
    assert found is not None
    return found


class Loop:
    """Training in progress."""

    def __init__(
        self,
        model: Any,
        config: Config,
        num_classes: int,
        train: Examples,
        validation: Examples,
        reporter: Reporter,
    ) -> None:
        self.model = model
        self.config = config
        self.num_classes = num_classes
        self.train = train
        self.validation = validation
        self.reporter = reporter
        self.history: list[Epoch] = []
        self.best_weights: dict[str, NDArray[np.float32]] = {}
        self.best_loss = math.inf
        self.best_epoch = 0
        self.steps_per_epoch = math.ceil(len(train) / config.train.batch_size)
        self._weights = (
            class_weights(train.labels, num_classes)
            if config.train.class_weights == "balanced"
            else None
        )
        self._sums = np.zeros(3)
        self._started = 0.0
        self._told = 0.0

    def run(self, callbacks: Sequence[Any] = ()) -> Fitted:
        """Train until the last epoch, or until validation has not improved for `patience`.

        Args:
            callbacks: Keras callbacks; one may set `model.stop_training`.

        Raises:
            LstmError: The loss is no finite number: the step, the examples and the rate are named.
        """
        epochs = self.config.train.epochs
        listeners = keras.callbacks.CallbackList(
            list(callbacks), model=self.model, epochs=epochs, steps=self.steps_per_epoch
        )
        self.model.stop_training = False
        self._started = time.perf_counter()
        stopped = f"all {epochs} epochs done"
        listeners.on_train_begin()
        for epoch in range(epochs):
            self._epoch(epoch, listeners)
            patience = self.config.train.patience
            if patience and epoch + 1 - self.best_epoch >= patience and epoch + 1 < epochs:
                stopped = f"validation loss did not improve for {patience} epochs"
                break
            if self.model.stop_training:
                stopped = "a callback asked to stop"
                break
        listeners.on_train_end()
        return Fitted(tuple(self.history), self.best_weights, self.best_epoch, stopped)

    def _epoch(self, epoch: int, listeners: Any) -> None:
        """Train one epoch and validate it."""
        began = time.perf_counter()
        listeners.on_epoch_begin(epoch)
        # Examples, and sums of loss and accuracy over them: train_on_batch tells a batch's alone.
        self._sums = np.zeros(3)
        logs: dict[str, float] = {}
        rate = 0.0
        for step, (indices, inputs) in enumerate(training_batches(self.train, self.config, epoch)):
            listeners.on_train_batch_begin(step)
            rate = learning_rate(
                self.config.train,
                epoch * self.steps_per_epoch + step,
                self.config.train.epochs * self.steps_per_epoch,
            )
            logs = self._step(indices, inputs, rate, epoch, step)
            listeners.on_train_batch_end(step, logs)
            self._tell(epoch, step, logs)
        val_loss, val_accuracy = self._validate(epoch)
        line = Epoch(
            epoch=epoch + 1,
            steps=self.steps_per_epoch,
            loss=logs["loss"],
            accuracy=logs["accuracy"],
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=rate,
            seconds=time.perf_counter() - began,
            best=self.best_epoch == epoch + 1,
        )
        self.history.append(line)
        self.reporter.epoch(line)
        listeners.on_epoch_end(epoch, {**logs, "val_loss": val_loss, "val_accuracy": val_accuracy})

    def _step(
        self, indices: NDArray[np.int64], inputs: NDArray[Any], rate: float, epoch: int, step: int
    ) -> dict[str, float]:
        """Take one step; return the running means of the epoch."""
        labels = self.train.labels[indices]
        self.model.optimizer.learning_rate.assign(rate)
        logs = self.model.train_on_batch(
            inputs,
            models.targets(labels, self.num_classes),
            sample_weight=None if self._weights is None else self._weights[labels],
            return_dict=True,
        )
        loss, accuracy = float(logs["loss"]), float(logs["accuracy"])
        if not math.isfinite(loss):
            raise LstmError(
                f"The loss became {loss} at epoch {epoch + 1}, step {step + 1} "
                f"(learning rate {rate:.3g}, training examples {_few(indices)}).",
                "Lower train.learning_rate, or set train.clip_norm.",
            )
        self._sums += np.array([1.0, loss, accuracy]) * len(indices)
        return {
            "loss": float(self._sums[1] / self._sums[0]),
            "accuracy": float(self._sums[2] / self._sums[0]),
        }

    def _tell(self, epoch: int, step: int, logs: dict[str, float]) -> None:
        now = time.perf_counter()
        last = step + 1 == self.steps_per_epoch
        if now - self._told < _REPORT_SECONDS and not last:
            return
        self._told = now
        done = epoch * self.steps_per_epoch + step + 1
        seconds_a_step = (now - self._started) / done
        rate = self.config.train.batch_size / seconds_a_step
        epochs = self.config.train.epochs
        left = (epochs * self.steps_per_epoch - done) * seconds_a_step
        self.reporter.step(
            Step(
                epoch + 1,
                epochs,
                step + 1,
                self.steps_per_epoch,
                logs["loss"],
                logs["accuracy"],
                rate,
                left,
            )
        )

    def _validate(self, epoch: int) -> tuple[float, float]:
        """Score the (averaged) weights on the validation split, and keep them if the best."""
        raw = self._swap_in_average()
        probabilities = predict(self.model, self.validation)
        val_loss, val_accuracy = cheap(self.validation.labels, probabilities)
        if val_loss < self.best_loss:
            self.best_loss, self.best_epoch = val_loss, epoch + 1
            self.best_weights = models.get_weights(self.model)
        if raw is not None:
            models.set_weights(self.model, raw)
        return val_loss, val_accuracy

    def _swap_in_average(self) -> dict[str, NDArray[np.float32]] | None:
        """Put averaged weights in place; return the ones that stood there."""
        if not self.config.train.averaging:
            return None
        raw = models.get_weights(self.model)
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        return raw


def num_parameters(model: Any) -> int:
    """Count the trainable numbers of a model."""
    return int(sum(np.prod(ops.shape(v)) for v in model.trainable_variables))


def _few(indices: NDArray[np.int64]) -> str:
    shown = ", ".join(str(i) for i in indices[:8])
    return shown + (f" and {len(indices) - 8} more" if len(indices) > 8 else "")
