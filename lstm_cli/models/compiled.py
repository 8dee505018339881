"""Backend-specific parts of the Keras models: compiled steps and reversed sequences."""

from __future__ import annotations

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

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that `train_on_batch` calls, for any batch size and length."""
        if keras.backend.backend() != "tensorflow":
            super().make_train_function(force)
        elif self.train_function is None or force:
            step = _compiled(self.train_step, [*_specs(self.inputs), *_specs(self.outputs)])
            self.train_function = lambda batches: step(*next(batches))

    def make_predict_function(self, force: bool = False) -> None:
        """Make the function that `predict_on_batch` calls, for any batch size and length."""
        if keras.backend.backend() != "tensorflow":
            super().make_predict_function(force)
        elif self.predict_function is None or force:
            step = _compiled(self.predict_step, _specs(self.inputs))

            def predict_function(batches: Any) -> Any:
                # With one input, `predict` passes the array itself and `predict_on_batch` a tuple.
                return step(keras.utils.unpack_x_y_sample_weight(batches[0])[0])

            self.predict_function = predict_function


class ReverseSequence(layers.Layer):  # type: ignore[misc]
    """Reverse each row of a batch within its length; padding stays on the right."""

    def call(self, x: Any, lengths: Any) -> Any:
        """Reverse `<float32>[batch, time, dim]` by lengths `<int32>[batch, 1]`."""
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            # Its gradient is the same operation; the gradient of a gather is slow, on one core.
            return tf.reverse_sequence(x, lengths[:, 0], seq_axis=1)
        steps = ops.arange(ops.shape(x)[1])[None]
        order = ops.where(steps < lengths, lengths - 1 - steps, steps)
        return ops.take_along_axis(x, order[:, :, None], axis=1)


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


def _specs(tensors: list[Any]) -> list[Any]:
    import tensorflow as tf

    return [tf.TensorSpec(t.shape, t.dtype) for t in tensors]


def _compiled(step: Any, specs: list[Any]) -> Any:
    """Compile a step: a function of inputs, then targets and sample weights if there are any.

    Args:
        step: `train_step` or `predict_step` of a model.
        specs: Shape and dtype of each array of the batch, without sample weights.
    """
    import tensorflow as tf

    weight = tf.TensorSpec([None], "float32")
    compiled: dict[int, Any] = {}

    def run(inputs: Any, *targets_and_weights: Any) -> Any:
        arrays = [*(inputs if isinstance(inputs, list | tuple) else [inputs])]
        num_inputs = len(arrays)
        arrays += [array for array in targets_and_weights if array is not None]

        def traced(*tensors: Any) -> Any:
            x = tensors[0] if num_inputs == 1 else list(tensors[:num_inputs])
            return step((x, *tensors[num_inputs:]))

        if len(arrays) not in compiled:
            signature = specs if len(arrays) == len(specs) else [*specs, weight]
            compiled[len(arrays)] = tf.function(traced, input_signature=signature)
        return compiled[len(arrays)](*arrays)

    return run
