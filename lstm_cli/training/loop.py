"""The training loop: epochs of steps, validation, checkpoints, early stopping."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from lstm_cli.models.compiled import FiniteCheck
from lstm_cli.models.data_parallel import PeerLostError
from lstm_cli.models.optimizer import DiscriminativeAdam
from lstm_cli.models.process_group import (
    assign,
    largest,
    leave,
    local_model,
    localize,
    process_group,
)
from lstm_cli.training.checkpoint import Checkpoint, model_state, set_model_state
from lstm_cli.training.objectives.objective import Objective

_REPORT_SECONDS = 0.1
_MAX_LISTED = 8


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training loop.

    Attributes:
        history: One entry per epoch.
        weights: Weights of the best epoch, as `classifier.get_weights` names them.
        best_epoch: The epoch with the lowest validation loss, counted from 1; the last epoch of a
            stage without validation.
        stop_reason: Why training ended.
        temperature: Temperature of the calibration; the weights are already divided by it.
    """

    history: tuple[Epoch, ...]
    weights: dict[str, NDArray[np.float32]]
    best_epoch: int
    stop_reason: str
    temperature: float = 1.0


@dataclass(frozen=True)
class LoopStage:
    """The stage of a training that a loop runs.

    Attributes:
        number: Counted from 1.
        name: For people, `fold 2 of 5`; empty if there is nothing to tell.
        epochs: Fixed number of epochs, fewer than `train.epochs` or as many; the learning rate
            follows its plan for `train.epochs`. None to train until validation stops it.
        save_seconds: After an epoch, a checkpoint is saved unless the last one is younger.
    """

    number: int = 1
    name: str = ""
    epochs: int | None = None
    save_seconds: float = 0.0


class NonFiniteError(LstmError):
    """A loss or a weight became infinite or NaN.

    Attributes:
        details: Stage, epoch, step, loss, learning rate and example ids, for `run.json`.
        metric: Key of the loss in `history.jsonl`: `loss` or `val_loss`.
    """

    def __init__(
        self, message: str, hint: str, details: dict[str, Any], metric: str = "loss"
    ) -> None:
        super().__init__(message, hint)
        self.details = details
        self.metric = metric


_ONLY_STAGE = LoopStage()


class TrainingLoop:
    """Training in progress.

    Args:
        model: A compiled model.
        config: The settings.
        objective: Batches, training step and validation.
        reporter: Receives steps and epochs.
        save_checkpoint: Called with the state after each epoch, every `train.checkpoint_seconds`,
            and before a signal stops the loop.
        signals: Checked after each step.
        stage: The stage of the training.
    """

    def __init__(
        self,
        model: Any,
        config: Config,
        objective: Objective,
        reporter: Reporter,
        save_checkpoint: Callable[[Checkpoint], None] | None = None,
        signals: Signals | None = None,
        stage: LoopStage = _ONLY_STAGE,
    ) -> None:
        self.model = model
        self.config = config
        self.objective = objective
        self.reporter = reporter
        self.stage = stage
        self.history: list[Epoch] = []
        self.best_weights: dict[str, NDArray[np.float32]] = {}
        self.best_loss = math.inf
        self.best_epoch = 0
        self.steps_per_epoch = objective.num_steps
        # The position: the next step to train, both counted from 0.
        self._epoch = 0
        self._step = 0
        # Number of examples in this epoch so far, and sums of their losses and accuracies.
        self._sums = [0.0, 0.0, 0.0]
        self._has_accuracy = True
        self._stop_requested = False
        self._save_checkpoint = save_checkpoint
        self._signals = signals or Signals()
        # Seconds in earlier processes: of this epoch, and of all training.
        self._epoch_seconds = self.earlier_seconds = 0.0
        self._run_start = self._epoch_start = time.perf_counter()
        self._last_save = self._last_report = self._run_start
        self._steps_in_run = 0
        self._group = process_group()
        # What is saved if another process is lost during validation.
        self._before_validation: Checkpoint | None = None
        # All arrays but embeddings: every example uses these, so NaN spreads to them.
        arrays = [v for v in model.trainable_variables if "embeddings" not in v.path]
        self._weights_are_finite = FiniteCheck(arrays)

    def run(self, callbacks: Sequence[Any] = ()) -> TrainingResult:
        """Train until the last epoch, or until the validation loss stops improving.

        Args:
            callbacks: Keras callbacks; a callback may set `model.stop_training`.

        Raises:
            NonFiniteError: A loss or a weight became infinite or NaN.
            Interrupted: A signal came, to this process or to another of its group; a checkpoint
                was saved.
            PeerLostError: Another process of the group ended; a checkpoint was saved.
        """
        callback_list = keras.callbacks.CallbackList(
            list(callbacks),
            model=self.model,
            epochs=self.num_epochs,
            steps=self.steps_per_epoch,
        )
        self.model.stop_training = False
        self._run_start, self._steps_in_run = time.perf_counter(), 0
        callback_list.on_train_begin()
        with self._shared_model():
            while not (stop_reason := self.stop_reason()):
                self._run_epoch(callback_list)
                self._stop_requested = bool(largest(self.model.stop_training))
                self._checkpoint_and_maybe_stop(epoch_ended=True)
        callback_list.on_train_end()
        return self.result(stop_reason)

    @contextlib.contextmanager
    def _shared_model(self) -> Iterator[None]:
        """In a group of processes, share the model in a block, and save it if a process is lost.

        Raises:
            PeerLostError: Another process ended; a checkpoint was saved.
        """
        if self._group is None:
            yield
            return
        self._group.check_same("position", {"epoch": self._epoch, "step": self._step})
        self._group.share_from_first(self.model)
        try:
            yield
        except PeerLostError as error:
            if self._save_checkpoint is not None:
                self._save_checkpoint(self._before_validation or self.checkpoint())
                error.message += f" Saved at {self.position}."
            raise
        except Interrupted:
            # All have agreed to stop: nothing is left to wait for.
            leave()
            raise
        localize(self.model)

    def stop_reason(self) -> str:
        """Return why no further epoch is trained; empty if training continues."""
        epochs, patience = self.num_epochs, self.config.train.patience
        if self._epoch >= epochs:
            return f"epoch {epochs} of {epochs} is done"
        if patience and self.stage.epochs is None and self._epoch - self.best_epoch >= patience:
            return f"validation loss did not improve for {pluralize(patience, 'epoch')}"
        return "a callback asked to stop" if self._stop_requested else ""

    def result(self, stop_reason: str) -> TrainingResult:
        """Return the result so far."""
        return TrainingResult(tuple(self.history), self.best_weights, self.best_epoch, stop_reason)

    # One epoch

    def _run_epoch(self, callback_list: Any) -> None:
        """Train the rest of an epoch and validate."""
        self._epoch_start = time.perf_counter()
        callback_list.on_epoch_begin(self._epoch)
        steps = range(self._step, self.steps_per_epoch)
        for indices, inputs in self.objective.batches(self._epoch, steps):
            callback_list.on_train_batch_begin(self._step)
            self._train_step(indices, inputs)
            callback_list.on_train_batch_end(self._step, self._means())
            self._step += 1
            self._report_step()
            self._checkpoint_and_maybe_stop()
        if self._group is not None:
            self._before_validation = self.checkpoint()
        with local_model(self.model):
            epoch = self._validate()
        self._before_validation = None
        self.history.append(epoch)
        self._epoch, self._step, self._sums = self._epoch + 1, 0, [0.0, 0.0, 0.0]
        self._epoch_seconds = 0.0
        self.reporter.epoch(epoch)
        logs = {k: getattr(epoch, k) for k in ("loss", "accuracy", "val_loss", "val_accuracy")}
        if self.stage.epochs is not None:
            logs = {key: value for key, value in logs.items() if value is not None}
        callback_list.on_epoch_end(self._epoch - 1, logs)

    def _train_step(self, indices: NDArray[np.int64], inputs: Any) -> None:
        """Train one step and add its loss and accuracy to the sums of the epoch."""
        self._set_learning_rates()
        step = self.objective.train_step(self.model, indices, inputs)
        if not math.isfinite(step.loss):
            raise self._non_finite_step("The loss", step.loss, indices)
        if not self._weights_are_finite():
            raise self._non_finite_step("A gradient", step.loss, indices)
        self._has_accuracy = step.accuracy is not None
        values = (1.0, step.loss, step.accuracy or 0.0)
        self._sums = [s + v * step.num for s, v in zip(self._sums, values, strict=True)]

    def _set_learning_rates(self) -> None:
        optimizer, settings = self.model.optimizer, self.config.train
        assign(optimizer.learning_rate, self._learning_rate(self._step))
        if isinstance(optimizer, DiscriminativeAdam):
            num_done = self._epoch * self.steps_per_epoch + self._step
            factor = 0.0 if num_done < settings.frozen_steps else settings.init_lr_factor
            assign(optimizer.init_lr_factor, factor)

    def _learning_rate(self, step: int) -> float:
        num_done = self._epoch * self.steps_per_epoch + step
        num_steps = self.config.train.epochs * self.steps_per_epoch
        return learning_rate(self.config.train, num_done, num_steps)

    def _non_finite_step(
        self, subject: str, loss: float, indices: NDArray[np.int64]
    ) -> NonFiniteError:
        rate = self._learning_rate(self._step)
        return NonFiniteError(
            f"{subject} is not finite at {self._in_stage(f'epoch {self._epoch + 1}')}, step "
            f"{self._step + 1}: loss "
            f"{loss}, learning rate {rate:.3g}, training examples {_abbreviate(indices)}.",
            "Lower train.learning_rate, or set train.clip_norm.",
            {
                "stage": self.stage.number,
                "epoch": self._epoch + 1,
                "step": self._step + 1,
                "loss": str(loss),
                "learning_rate": rate,
                "examples": indices.tolist(),
            },
        )

    def _validate(self) -> Epoch:
        """Validate the (averaged) weights, and copy them if they are the best so far."""
        with self._averaged_weights():
            val_loss, val_accuracy = self.objective.validate(self.model) or (None, None)
            if val_loss is not None and self._group is not None:
                # All go on alike, even if their processors round differently.
                val_loss = float(self._group.from_first(np.array(val_loss)))
            if val_loss is not None and not math.isfinite(val_loss):
                raise self._non_finite_validation(val_loss)
            is_best = val_loss is None or val_loss < self.best_loss
            if is_best:
                self.best_loss = math.inf if val_loss is None else val_loss
                self.best_epoch = self._epoch + 1
                self.best_weights = classifier.get_weights(self.model)
            if self._epoch + 1 < self.num_epochs:
                self.objective.after_validation(self.model)
        return Epoch(
            epoch=self._epoch + 1,
            steps=self.steps_per_epoch,
            **self._means(),
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=self._learning_rate(self.steps_per_epoch - 1),
            seconds=self._seconds_in_epoch(),
            best=is_best,
            stage=self.stage.number,
        )

    def _non_finite_validation(self, val_loss: float) -> NonFiniteError:
        epoch = self._in_stage(f"epoch {self._epoch + 1}")
        return NonFiniteError(
            f"The validation loss of {epoch} is not finite: {val_loss}.",
            "Lower train.learning_rate, or set train.clip_norm.",
            {"stage": self.stage.number, "epoch": self._epoch + 1, "loss": str(val_loss)},
            "val_loss",
        )

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Use the averaged weights in a block, if `train.ema_momentum` is set."""
        if not self.config.train.ema_momentum:
            yield
            return
        raw = classifier.get_weights(self.model)
        classifier.set_averaged_weights(self.model)
        yield
        classifier.set_weights(self.model, raw)

    # Progress

    @property
    def num_epochs(self) -> int:
        """The number of epochs after which this stage ends at the latest."""
        epochs = self.config.train.epochs
        return epochs if self.stage.epochs is None else min(epochs, self.stage.epochs)

    @property
    def position(self) -> str:
        """The position of training, for people."""
        if self._step:
            step = f"step {self._step} of {self.steps_per_epoch}"
            return f"{self._in_stage(f'epoch {self._epoch + 1}')}, {step}"
        if self._epoch:
            return f"the end of {self._in_stage(f'epoch {self._epoch}')}"
        return f"the beginning{f' of {self.stage.name}' if self.stage.name else ''}"

    def _in_stage(self, position: str) -> str:
        """Return a position with the name of the stage."""
        return f"{self.stage.name}, {position}" if self.stage.name else position

    @property
    def seconds(self) -> float:
        """Seconds of training, with those of earlier processes up to their checkpoint."""
        return self.earlier_seconds + time.perf_counter() - self._run_start

    def _seconds_in_epoch(self) -> float:
        return self._epoch_seconds + time.perf_counter() - self._epoch_start

    def _means(self) -> dict[str, Any]:
        num, loss, accuracy = self._sums
        return {"loss": loss / num, "accuracy": accuracy / num if self._has_accuracy else None}

    def _report_step(self) -> None:
        now = time.perf_counter()
        self._steps_in_run += 1
        if now - self._last_report < _REPORT_SECONDS and self._step < self.steps_per_epoch:
            return
        self._last_report = now
        seconds_per_step = (now - self._run_start) / self._steps_in_run
        epochs, means = self.num_epochs, self._means()
        steps_left = (epochs - self._epoch) * self.steps_per_epoch - self._step
        self.reporter.step(
            Step(
                epoch=self._epoch + 1,
                epochs=epochs,
                step=self._step,
                steps=self.steps_per_epoch,
                loss=means["loss"],
                accuracy=means["accuracy"],
                rate=self.objective.step_size / seconds_per_step,
                seconds_left=steps_left * seconds_per_step,
                stage=self.stage.name,
            )
        )

    # Checkpoints

    def _checkpoint_and_maybe_stop(self, epoch_ended: bool = False) -> None:
        """Save if an epoch ended, if it is time, or on a signal; on a signal, stop."""
        signum = largest(self._signals.pending or 0)
        settings, stage = self.config.train, self.stage
        interval = stage.save_seconds if epoch_ended else settings.checkpoint_seconds
        is_due = time.perf_counter() - self._last_save >= min(interval, settings.checkpoint_seconds)
        if is_due or signum:
            self.save()
        if signum:
            raise Interrupted(signum, f"Saved at {self.position}.")

    def save(self) -> None:
        """Save a checkpoint now."""
        if self._save_checkpoint is not None:
            self._save_checkpoint(self.checkpoint())
        self._last_save = time.perf_counter()

    def checkpoint(self) -> Checkpoint:
        """Return all state that the next step depends on."""
        tensors = model_state(self.model)
        tensors |= {f"best/{name}": array for name, array in self.best_weights.items()}
        tensors |= {f"objective/{name}": array for name, array in self.objective.state().items()}
        progress = {
            "epoch": self._epoch,
            "step": self._step,
            "sums": self._sums,
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
            "best_epoch": self.best_epoch,
            "stop_requested": self._stop_requested,
            "history": [asdict(line) for line in self.history],
            "seconds": self.seconds,
            "epoch_seconds": self._seconds_in_epoch() if self._step else 0.0,
            "settings": to_dict(self.config),
        }
        return Checkpoint(tensors, progress)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a checkpoint.

        Raises:
            LstmError: It is a checkpoint of another model or objective.
        """
        set_model_state(self.model, checkpoint.tensors)
        self.objective.set_state(_with_prefix("objective/", checkpoint.tensors))
        progress = checkpoint.progress
        self._epoch, self._step = progress["epoch"], progress["step"]
        self._sums = list(progress["sums"])
        self.history = [Epoch(**line) for line in progress["history"]]
        self.best_epoch = progress["best_epoch"]
        best_loss = progress["best_loss"]
        self.best_loss = math.inf if best_loss is None else best_loss
        # A request for more epochs overrules a callback that stopped training earlier.
        is_extended = self.config.train.epochs > progress["settings"]["train"]["epochs"]
        self._stop_requested = progress["stop_requested"] and not is_extended
        self.earlier_seconds = progress["seconds"]
        self._epoch_seconds = progress["epoch_seconds"]
        self.best_weights = _with_prefix("best/", checkpoint.tensors)

    def extend(self, epochs_before: int) -> None:
        """Prepare a restored loop for more epochs than it was planned for.

        After the last planned epoch `_validate` skips `after_validation`. This does it now.

        Args:
            epochs_before: The number of epochs planned before.
        """
        if self._epoch == epochs_before:
            with self._averaged_weights():
                self.objective.before_extension(self.model)


def learning_rate(settings: TrainSettings, step: int, num_steps: int) -> float:
    """Return the learning rate of a step: linear warm-up, then decay.

    Args:
        settings: Peak, fraction of warm-up steps, kind of decay.
        step: Counted from 0 over all epochs.
        num_steps: Steps of all epochs.
    """
    num_warmup = math.ceil(settings.warmup * num_steps)
    if step < num_warmup:
        return settings.learning_rate * (step + 1) / num_warmup
    progress = (step - num_warmup) / max(1, num_steps - num_warmup)
    factor = {
        "none": 1.0,
        "linear": 1 - progress,
        # Source: Loshchilov & Hutter 2017, "SGDR", eq. 5, without restarts.
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
    }[settings.decay]
    return settings.learning_rate * (settings.decay_to + (1 - settings.decay_to) * factor)


def num_parameters(model: Any) -> int:
    """Return the number of trainable parameters of a model."""
    return int(sum(np.prod(ops.shape(v)) for v in model.trainable_variables))


def _with_prefix(prefix: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the tensors whose names have a prefix, by the rest of the name."""
    return {n.removeprefix(prefix): a for n, a in tensors.items() if n.startswith(prefix)}


def _abbreviate(indices: NDArray[np.int64]) -> str:
    """Return the first indices, and how many more there are."""
    listed = ", ".join(str(i) for i in indices[:_MAX_LISTED])
    num_more = len(indices) - _MAX_LISTED
    return listed + (f" and {num_more} more" if num_more > 0 else "")
