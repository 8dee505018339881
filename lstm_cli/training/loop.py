"""The training loop: epochs of bucketed batches, schedule, validation, the best weights kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from lstm_cli.config.load import to_dict
from lstm_cli.config.schema import Config, TrainSettings
from lstm_cli.errors import LstmError
from lstm_cli.io.progress import Epoch, Reporter, Step
from lstm_cli.io.signals import Interrupted, Signals
from lstm_cli.io.text_format import pluralize
from lstm_cli.models import classifier
from lstm_cli.models.optimizer import DiscriminativeAdam
from lstm_cli.training.checkpoint import Checkpoint, model_state, set_model_state
from lstm_cli.training.objectives.objective import Objective

_REPORT_SECONDS = 0.1


@dataclass(frozen=True)
class TrainingResult:
    """What training found.

    Attributes:
        history: One entry an epoch.
        weights: Of the epoch with the lowest validation loss, as `models.get_weights` names them.
        best_epoch: That epoch, counted from 1.
        stopped: Why training ended.
        temperature: What the network's own logits were divided by after training, in the weights.
    """

    history: tuple[Epoch, ...]
    weights: dict[str, NDArray[np.float32]]
    best_epoch: int
    stopped: str
    temperature: float = 1.0


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
    left = {
        "none": 1.0,
        "linear": 1 - done,
        # Source: Loshchilov & Hutter 2017, "SGDR", eq. 5, without restarts.
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
    }[settings.decay]
    return settings.learning_rate * (settings.decay_to + (1 - settings.decay_to) * left)


class NonFiniteError(LstmError):
    """The loss or a weight became infinite or NaN.

    Attributes:
        found: Epoch, step, learning rate and the batch's example ids, for `run.json`.
    """

    def __init__(self, message: str, hint: str, found: dict[str, Any]) -> None:
        super().__init__(message, hint)
        self.found = found


class TrainingLoop:
    """Training in progress.

    Args:
        model: Compiled.
        config: The experiment.
        work: What to train for.
        reporter: Told of every step and epoch.
        save: Called with a checkpoint after each epoch, every `train.checkpoint_seconds`, and
            before the loop gives way to a signal.
        signals: Looked at after each step.
    """

    def __init__(
        self,
        model: Any,
        config: Config,
        work: Objective,
        reporter: Reporter,
        save: Callable[[Checkpoint], None] | None = None,
        signals: Signals | None = None,
    ) -> None:
        self.model = model
        self.config = config
        self.work = work
        self.reporter = reporter
        self.history: list[Epoch] = []
        self.best_weights: dict[str, NDArray[np.float32]] = {}
        self.best_loss = math.inf
        self.best_epoch = 0
        self.steps_per_epoch = work.num_steps
        # The next step to take, and examples seen in this epoch with sums of loss and accuracy
        # over them: train_on_batch tells a batch's alone.
        self._epoch = 0
        self._step = 0
        self._sums = [0.0, 0.0, 0.0]
        self._has_accuracy = True
        self._stop_requested = False
        self._save = save
        self._signals = signals or Signals()
        # Of this epoch and of all training, in the processes before this one.
        self._epoch_seconds = self._seconds = 0.0
        self._saved = self._told = self._began = self._started = time.perf_counter()
        self._pace = _Pace()

    def run(self, callbacks: Sequence[Any] = ()) -> TrainingResult:
        """Train until the last epoch, or until validation has not improved for `patience`.

        Args:
            callbacks: Keras callbacks; one may set `model.stop_training`.

        Raises:
            LstmError: The loss or a weight is no finite number: the step, the examples and the rate
                are named.
            Interrupted: A signal came; a checkpoint was saved.
        """
        listeners = keras.callbacks.CallbackList(
            list(callbacks),
            model=self.model,
            epochs=self.config.train.epochs,
            steps=self.steps_per_epoch,
        )
        self.model.stop_training = False
        self._pace = _Pace()
        self._started = time.perf_counter()
        listeners.on_train_begin()
        while not (stopped := self.stop_reason()):
            self._run_epoch(listeners)
            self._stop_requested = bool(self.model.stop_training)
            self._checkpoint_and_maybe_stop(save=True)
        listeners.on_train_end()
        return self.fitted(stopped)

    def fitted(self, stopped: str) -> TrainingResult:
        """Return what was found so far.

        Args:
            stopped: Why training ended.
        """
        return TrainingResult(tuple(self.history), self.best_weights, self.best_epoch, stopped)

    @property
    def position(self) -> str:
        """Where training stands, for people."""
        if self._step:
            return f"epoch {self._epoch + 1}, step {self._step} of {self.steps_per_epoch}"
        return f"the end of epoch {self._epoch}" if self._epoch else "the beginning"

    @property
    def seconds(self) -> float:
        """Time spent training, that of earlier processes up to their checkpoint included."""
        return self._seconds + time.perf_counter() - self._started

    @property
    def earlier_seconds(self) -> float:
        """The part of `seconds` that earlier processes spent."""
        return self._seconds

    def checkpoint(self) -> Checkpoint:
        """Return everything the next step depends on."""
        tensors = model_state(self.model)
        tensors |= {f"best/{name}": array for name, array in self.best_weights.items()}
        tensors |= {f"objective/{name}": array for name, array in self.work.state().items()}
        progress = {
            "epoch": self._epoch,
            "step": self._step,
            "sums": self._sums,
            "best_loss": self.best_loss if self.best_epoch else None,
            "best_epoch": self.best_epoch,
            "stop_requested": self._stop_requested,
            "history": [asdict(line) for line in self.history],
            "seconds": self.seconds,
            "epoch_seconds": self._spent_on_epoch() if self._step else 0.0,
            "settings": to_dict(self.config),
        }
        return Checkpoint(tensors, progress)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint was taken.

        Raises:
            LstmError: It was taken of another model.
        """
        set_model_state(self.model, checkpoint.tensors)
        self.work.set_state(_under("objective/", checkpoint.tensors))
        progress = checkpoint.progress
        self._epoch, self._step = progress["epoch"], progress["step"]
        self._sums = list(progress["sums"])
        self.history = [Epoch(**line) for line in progress["history"]]
        self.best_epoch = progress["best_epoch"]
        self.best_loss = progress["best_loss"] if self.best_epoch else math.inf
        # Who asks for more epochs than there were to be has changed their mind.
        grown = self.config.train.epochs > progress["settings"]["train"]["epochs"]
        self._stop_requested = progress["stop_requested"] and not grown
        self._seconds, self._epoch_seconds = progress["seconds"], progress["epoch_seconds"]
        self.best_weights = _under("best/", checkpoint.tensors)

    def save(self) -> None:
        """Save a checkpoint now."""
        if self._save is not None:
            self._save(self.checkpoint())
        self._saved = time.perf_counter()

    def stop_reason(self) -> str:
        """Say why no further epoch is trained; nothing where one is."""
        epochs, patience = self.config.train.epochs, self.config.train.patience
        if self._epoch >= epochs:
            return f"epoch {epochs} of {epochs} is done"
        if patience and self._epoch - self.best_epoch >= patience:
            return f"validation loss did not improve for {pluralize(patience, 'epoch')}"
        return "a callback asked to stop" if self._stop_requested else ""

    def _run_epoch(self, listeners: Any) -> None:
        """Train what is left of an epoch, and validate it."""
        self._began = time.perf_counter()
        listeners.on_epoch_begin(self._epoch)
        for indices, inputs in self.work.batches(self._epoch, self._step):
            listeners.on_train_batch_begin(self._step)
            self._train_step(indices, inputs)
            listeners.on_train_batch_end(self._step, self._means())
            self._step += 1
            self._tell()
            self._checkpoint_and_maybe_stop()
        line = self._validate()
        self.history.append(line)
        self._epoch, self._step, self._sums = self._epoch + 1, 0, [0.0, 0.0, 0.0]
        self._epoch_seconds = 0.0
        self.reporter.epoch(line)
        logs = {k: getattr(line, k) for k in ("loss", "accuracy", "val_loss", "val_accuracy")}
        listeners.on_epoch_end(self._epoch - 1, logs)

    def _train_step(self, indices: NDArray[np.int64], inputs: Any) -> None:
        """Take one step and add what it told to the sums of the epoch."""
        self._set_learning_rates()
        told = self.work.train_step(self.model, indices, inputs)
        if not math.isfinite(told.loss):
            raise self._non_finite("The loss", told.loss, indices)
        if not self._weights_are_finite():
            raise self._non_finite("A gradient", told.loss, indices)
        self._has_accuracy = told.accuracy is not None
        values = (1.0, told.loss, told.accuracy or 0.0)
        self._sums = [s + v * told.num for s, v in zip(self._sums, values, strict=True)]

    def _non_finite(self, what: str, loss: float, indices: NDArray[np.int64]) -> NonFiniteError:
        rate = self._rate(self._step)
        return NonFiniteError(
            f"{what} is no finite number at epoch {self._epoch + 1}, step {self._step + 1}: loss "
            f"{loss}, learning rate {rate:.3g}, training examples {_few(indices)}.",
            "Lower train.learning_rate, or set train.clip_norm.",
            {
                "epoch": self._epoch + 1,
                "step": self._step + 1,
                "loss": str(loss),
                "learning_rate": rate,
                "examples": indices.tolist(),
            },
        )

    def _weights_are_finite(self) -> bool:
        """Look at the arrays that every example passes through; embeddings alone cannot break."""
        every = (v for v in self.model.trainable_variables if "embeddings" not in v.path)
        return all(np.isfinite(np.asarray(v).sum()) for v in every)

    def _set_learning_rates(self) -> None:
        optimizer, settings = self.model.optimizer, self.config.train
        optimizer.learning_rate.assign(self._rate(self._step))
        if isinstance(optimizer, DiscriminativeAdam):
            done = self._epoch * self.steps_per_epoch + self._step
            optimizer.init_lr_factor.assign(
                0.0 if done < settings.frozen_steps else settings.init_lr_factor
            )

    def _rate(self, step: int) -> float:
        done = self._epoch * self.steps_per_epoch + step
        total = self.config.train.epochs * self.steps_per_epoch
        return learning_rate(self.config.train, done, total)

    def _means(self) -> dict[str, Any]:
        num, loss, accuracy = self._sums
        return {"loss": loss / num, "accuracy": accuracy / num if self._has_accuracy else None}

    def _checkpoint_and_maybe_stop(self, save: bool = False) -> None:
        """Save if it is time, and stop if a signal came."""
        signum = self._signals.pending
        due = time.perf_counter() - self._saved >= self.config.train.checkpoint_seconds
        if save or due or signum is not None:
            self.save()
        if signum is not None:
            raise Interrupted(signum, f"Saved at {self.position}.")

    def _spent_on_epoch(self) -> float:
        return self._epoch_seconds + time.perf_counter() - self._began

    def _tell(self) -> None:
        now = time.perf_counter()
        self._pace.steps += 1
        if now - self._told < _REPORT_SECONDS and self._step < self.steps_per_epoch:
            return
        self._told = now
        seconds_a_step = self._pace.seconds_a_step()
        epochs, means = self.config.train.epochs, self._means()
        left = (epochs - self._epoch) * self.steps_per_epoch - self._step
        self.reporter.step(
            Step(
                epoch=self._epoch + 1,
                epochs=epochs,
                step=self._step,
                steps=self.steps_per_epoch,
                loss=means["loss"],
                accuracy=means["accuracy"],
                rate=self.work.rate / seconds_a_step,
                seconds_left=left * seconds_a_step,
            )
        )

    def _validate(self) -> Epoch:
        """Judge the (averaged) weights, and keep them if the best."""
        raw = self._swap_in_average()
        val_loss, val_accuracy = self.work.validate(self.model)
        if not math.isfinite(val_loss):
            raise NonFiniteError(
                f"The validation loss of epoch {self._epoch + 1} is no finite number: {val_loss}.",
                "Lower train.learning_rate, or set train.clip_norm.",
                {"epoch": self._epoch + 1, "loss": str(val_loss)},
            )
        best = val_loss < self.best_loss
        if best:
            self.best_loss, self.best_epoch = val_loss, self._epoch + 1
            self.best_weights = classifier.get_weights(self.model)
        if self._epoch + 1 < self.config.train.epochs:
            self.work.after_validation(self.model)
        if raw is not None:
            classifier.set_weights(self.model, raw)
        return Epoch(
            epoch=self._epoch + 1,
            steps=self.steps_per_epoch,
            **self._means(),
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=self._rate(self.steps_per_epoch - 1),
            seconds=self._spent_on_epoch(),
            best=best,
        )

    def _swap_in_average(self) -> dict[str, NDArray[np.float32]] | None:
        """Put averaged weights in place; return the ones that stood there."""
        if not self.config.train.ema_momentum:
            return None
        raw = classifier.get_weights(self.model)
        classifier.set_averaged_weights(self.model)
        return raw


class _Pace:
    """Steps taken since a moment."""

    def __init__(self) -> None:
        self.steps = 0
        self._since = time.perf_counter()

    def seconds_a_step(self) -> float:
        return (time.perf_counter() - self._since) / max(1, self.steps)


def num_parameters(model: Any) -> int:
    """Count the trainable numbers of a model."""
    return int(sum(np.prod(ops.shape(v)) for v in model.trainable_variables))


def _under(prefix: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the tensors whose names begin so, without that."""
    return {n.removeprefix(prefix): a for n, a in tensors.items() if n.startswith(prefix)}


def _few(indices: NDArray[np.int64]) -> str:
    shown = ", ".join(str(i) for i in indices[:8])
    return shown + (f" and {len(indices) - 8} more" if len(indices) > 8 else "")
