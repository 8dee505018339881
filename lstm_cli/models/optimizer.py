"""Optimizers: Adam or AdamW from settings, with a smaller learning rate for transferred weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras
from keras import ops

from lstm_cli.config.schema import TrainSettings


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam that updates each array by one operation on TensorFlow, in one pass over its values.

    Keras' own update is a graph of some fifteen operations for each array, each with a pass over a
    whole embedding table. The gradients of a row that occurs several times in a batch are added up
    first, which Keras does only if it clips gradients.

    Source: Kingma & Ba 2015, "Adam", section 2, in the order of computation before section 2.1,
        which is that of Keras.
    """

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        """Clip by the norm of all gradients, as Keras does.

        The gradient of an embedding table is a list of rows, some of them of the same word. Keras
        adds up the rows of each word twice, for the norm and for the update; here this is done only
        for the update. The norm is that of the rows before they are added up, in both.
        """
        if keras.backend.backend() != "tensorflow" or not self.global_clipnorm:
            clipped: list[Any] = super()._clip_gradients(grads)
            return clipped
        import tensorflow as tf

        return list(tf.clip_by_global_norm(grads, self.global_clipnorm)[0])

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one array."""
        if keras.backend.backend() != "tensorflow":
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.convert_to_tensor(gradient),
        )


class DiscriminativeAdam(FusedAdam):
    """Adam, or AdamW, with a lower learning rate (or none) for some arrays.

    Source: Howard & Ruder 2018, "Universal Language Model Fine-tuning", sections 3.2 and 3.3:
        discriminative fine-tuning and gradual unfreezing, here with two groups of arrays.

    Args:
        init_arrays: Names of the arrays with the lower learning rate, as `get_weights` returns
            them.
        decay: Decoupled weight decay.
        options: Options of `keras.optimizers.Adam`.

    Attributes:
        init_lr_factor: Learning-rate multiplier of these arrays, `<float32>[]`.
    """

    def __init__(self, init_arrays: Collection[str], decay: float, **options: Any) -> None:
        super().__init__(name="discriminative_adam", **options)
        self.init_arrays = frozenset(init_arrays)
        self.decay = decay
        # A variable of the optimizer: on JAX nothing else may change between two steps.
        self.init_lr_factor = self.add_variable((), initializer="ones", name="init_lr_factor")

    def build(self, variables: Any) -> None:
        """Create the slot variables."""
        super().build(variables)
        self._is_init_array = [array_name(variable) in self.init_arrays for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one array."""
        if self._is_init_array[self._get_variable_index(variable)]:
            learning_rate = learning_rate * ops.cast(self.init_lr_factor, "float32")
        if self.decay:
            self.assign_sub(variable, ops.multiply(variable, learning_rate * self.decay))
        super().update_step(gradient, variable, learning_rate)


def make_optimizer(settings: TrainSettings, init_arrays: Collection[str] = ()) -> Any:
    """Return the optimizer: AdamW, or Adam without weight decay.

    Args:
        settings: Training settings.
        init_arrays: Arrays that `train.init_lr_factor` and `train.frozen_steps` apply to.
    """
    options: dict[str, Any] = {"learning_rate": settings.learning_rate}
    if settings.clip_norm:
        options["global_clipnorm"] = settings.clip_norm
    if settings.ema_momentum:
        options |= {"use_ema": True, "ema_momentum": settings.ema_momentum}
    if init_arrays and (settings.init_lr_factor < 1 or settings.frozen_steps):
        return DiscriminativeAdam(init_arrays, settings.weight_decay, **options)
    return FusedAdam(weight_decay=settings.weight_decay or None, **options)


def _handle(variable: Any) -> Any:
    """Return the handle of a TensorFlow variable, which a Keras variable may hold."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


def build_slots(model: Any) -> None:
    """Create the slot variables now: a step that creates them would be compiled twice."""
    model.optimizer.build(model.trainable_variables)


def array_name(variable: Any) -> str:
    """Return the name of a trained array by layer: `lstm_0_forward/kernel`."""
    return str(variable.path).replace("/lstm_cell/", "/")
