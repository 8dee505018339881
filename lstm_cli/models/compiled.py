"""Backend-specific parts of the Keras models: compiled steps, and steps of sequences by index."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops


class CompiledModel(keras.Model):  # type: ignore[misc]
    """A functional model for `train_on_batch` and `predict_on_batch`.

    Each step is compiled once, for all batch shapes. By default TensorFlow compiles a step for the
    shape of the first batch, and again for any shape when a second shape comes. Then the code that
    computes a batch, and with it the last bits of the result, would depend on the batches before
    it, and a resumed training would end with other weights. Compiling once also saves seconds.
    """

    train_function: Any
    predict_function: Any
    compiled_train_step: _CompiledStep
    compiled_predict_step: _CompiledStep

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that `train_on_batch` calls, for any batch size and length."""
        if keras.backend.backend() != "tensorflow":
            super().make_train_function(force)
        elif self.train_function is None or force:
            specs = [*_specs(self.inputs), *_specs(self.outputs)]
            step = _CompiledStep(self.train_step, specs, len(self.inputs))
            self.train_function = lambda batches: step(*next(batches))
            self.compiled_train_step = step

    def make_predict_function(self, force: bool = False) -> None:
        """Make the function that `predict_on_batch` calls, for any batch size and length."""
        if keras.backend.backend() != "tensorflow":
            super().make_predict_function(force)
        elif self.predict_function is None or force:
            step = _CompiledStep(self.predict_step, _specs(self.inputs), len(self.inputs))

            def predict_function(batches: Any) -> Any:
                # With one input, `predict` passes the array itself and `predict_on_batch` a tuple.
                return step(keras.utils.unpack_x_y_sample_weight(batches[0])[0])

            self.predict_function = predict_function
            self.compiled_predict_step = step

    def compile_steps(self, sample_weights: bool) -> None:
        """Compile the steps now, not at the first batch; on TensorFlow only.

        Args:
            sample_weights: Whether training batches have sample weights.
        """
        if keras.backend.backend() == "tensorflow":
            self.make_train_function()
            self.make_predict_function()
            self.compiled_train_step.compile(sample_weights)
            self.compiled_predict_step.compile()


class ReverseSequence(layers.Layer):  # type: ignore[misc]
    """Reverse each row of a batch within its length; padding stays on the right."""

    def call(self, x: Any, lengths: Any) -> Any:
        """Reverse `<float32>[batch, time, dim]` by lengths `<int32>[batch, 1]`."""
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            # Its gradient is the same operation; the gradient of a gather is slow, on one core.
            return tf.reverse_sequence(x, lengths[:, 0], seq_axis=1)
        return jax_reverse_sequence()(x, lengths)


@functools.cache
def jax_reverse_sequence() -> Any:
    """Return the function for JAX that reverses rows; its gradient is the same operation.

    JAX would make a scatter of the gradient, which is slower than a gather.
    """
    import jax
    from jax import numpy as jnp

    def reverse(x: Any, lengths: Any) -> Any:
        steps = jnp.arange(x.shape[1])[None]
        order = jnp.where(steps < lengths, lengths - 1 - steps, steps)
        return jnp.take_along_axis(x, order[:, :, None], axis=1)

    function = jax.custom_vjp(reverse)
    function.defvjp(
        lambda x, lengths: (reverse(x, lengths), lengths),
        lambda lengths, gradient: (reverse(gradient, lengths), None),
    )
    return function


def gather_steps(x: Any, positions: Any) -> Any:
    """Take steps of each row of a batch.

    Args:
        x: `<float32>[batch, time, dim]`.
        positions: `<int32>[batch, ...]`.

    Returns:
        `<float32>[batch, ..., dim]`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Its gradient is one sum over segments; that of `take_along_axis` is slow.
        return tf.gather(x, positions, axis=1, batch_dims=1)
    return ops.vectorized_map(lambda row: ops.take(row[0], row[1], axis=0), (x, positions))


def build_metrics(model: Any) -> None:
    """Create the variables of the metrics now: a step that creates them is traced twice."""
    outputs = np.zeros((1, *model.outputs[0].shape[1:]), np.float32)
    model.compute_metrics(None, outputs, outputs)
    model.reset_metrics()


def use_xla() -> bool:
    """Return whether steps are compiled with XLA: on JAX only.

    Without XLA, JAX runs each operation by itself. TensorFlow makes a graph of a step in any case,
    and its own kernels are as fast.
    """
    return bool(keras.backend.backend() == "jax")


class FiniteCheck:
    """Check that arrays have no infinite or NaN values, in one compiled call on their device.

    Args:
        variables: The arrays, with fewer than 1e38 in the sum of all values.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = variables
        is_jax = keras.backend.backend() == "jax"
        self._is_finite = self._compile_for_jax() if is_jax else self._compile()

    def __call__(self) -> bool:
        """Return whether all values are finite."""
        return bool(self._is_finite())

    def _compile(self) -> Any:
        import tensorflow as tf

        def is_finite() -> Any:
            sums = [
                tf.zeros(()),
                *(tf.reduce_sum(tf.convert_to_tensor(v)) for v in self._variables),
            ]
            return tf.math.is_finite(tf.add_n(sums))

        return tf.function(is_finite, input_signature=[], autograph=False)

    def _compile_for_jax(self) -> Any:
        import jax
        from jax import numpy as jnp

        # The arrays are arguments: a compiled function holds what it closes over as constants.
        compiled = jax.jit(lambda arrays: jnp.isfinite(sum(jnp.sum(array) for array in arrays)))
        return lambda: compiled([variable.value for variable in self._variables])


def _specs(tensors: list[Any]) -> list[Any]:
    import tensorflow as tf

    return [tf.TensorSpec(t.shape, t.dtype) for t in tensors]


class _CompiledStep:
    """A step, compiled once: a function of inputs, then of targets and sample weights, if any.

    Args:
        step: `train_step` or `predict_step` of a model.
        specs: Shape and dtype of each array of the batch, without sample weights.
        num_inputs: How many of them are inputs.
    """

    def __init__(self, step: Any, specs: list[Any], num_inputs: int) -> None:
        self._step = step
        self._specs = specs
        self._num_inputs = num_inputs
        self._compiled: dict[bool, Any] = {}

    def __call__(self, inputs: Any, *targets_and_weights: Any) -> Any:
        """Run the step on a batch."""
        arrays = [*(inputs if isinstance(inputs, list | tuple) else [inputs])]
        arrays += [array for array in targets_and_weights if array is not None]
        return self._function(len(arrays) > len(self._specs))(*arrays)

    def compile(self, sample_weights: bool = False) -> None:
        """Compile the step, without a batch."""
        self._function(sample_weights).get_concrete_function()

    def _function(self, sample_weights: bool) -> Any:
        import tensorflow as tf

        def traced(*tensors: Any) -> Any:
            x = tensors[0] if self._num_inputs == 1 else list(tensors[: self._num_inputs])
            return self._step((x, *tensors[self._num_inputs :]))

        if sample_weights not in self._compiled:
            weight = [tf.TensorSpec([None], "float32")] if sample_weights else []
            self._compiled[sample_weights] = tf.function(
                traced, input_signature=[*self._specs, *weight], autograph=False
            )
        return self._compiled[sample_weights]
