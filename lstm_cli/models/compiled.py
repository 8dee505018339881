"""What Keras leaves to the backend: steps compiled once, and texts turned round within a batch."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


class CompiledModel(keras.Model):  # type: ignore[misc]
    """A functional model for `train_on_batch` and `predict_on_batch`.

    TensorFlow would compile a step for the size of the first batch, and once more for every size
    when others come. Which code computes a batch then depends on the batches before it, and so do
    the last bits of the result: a resumed training, which begins with another batch, would end
    with other weights. It also saves the seconds of compiling twice.
    """

    train_function: Any
    predict_function: Any

    def make_train_function(self, force: bool = False) -> None:
        """Make what `train_on_batch` calls, for any number of examples and of time steps."""
        if keras.backend.backend() != "tensorflow":
            super().make_train_function(force)
        elif self.train_function is None or force:
            step = _compiled(self.train_step, [*_specs(self.inputs), *_specs(self.outputs)])
            self.train_function = lambda batches: step(*next(batches))

    def make_predict_function(self, force: bool = False) -> None:
        """Make what `predict_on_batch` calls, for any number of examples and of time steps."""
        if keras.backend.backend() != "tensorflow":
            super().make_predict_function(force)
        elif self.predict_function is None or force:
            step = _compiled(self.predict_step, _specs(self.inputs))

            def first(batches: Any) -> Any:
                # `predict` hands over inputs alone where there is one, `predict_on_batch` never.
                return step(keras.utils.unpack_x_y_sample_weight(batches[0])[0])

            self.predict_function = first


class ReverseSequence(layers.Layer):  # type: ignore[misc]
    """Turn each row of a batch round within its length; padding stays behind it."""

    def call(self, x: Any, lengths: Any) -> Any:
        """Map `<float32>[batch, time, dim]`, given `<int32>[batch, 1]`, to the same shape."""
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            # Its gradient is itself; that of a gather adds up row by row, on one core.
            return tf.reverse_sequence(x, lengths[:, 0], seq_axis=1)
        steps = ops.arange(ops.shape(x)[1])[None]
        order = ops.where(steps < lengths, lengths - 1 - steps, steps)
        return ops.take_along_axis(x, order[:, :, None], axis=1)


def _specs(tensors: list[Any]) -> list[Any]:
    import tensorflow as tf

    return [tf.TensorSpec(t.shape, t.dtype) for t in tensors]


def _compiled(step: Any, specs: list[Any]) -> Any:
    """Compile a step of a batch: inputs, then targets and weights of examples where there are any.

    Args:
        step: `train_step` or `predict_step` of a model.
        specs: Shape and dtype of each array of the batch, weights of examples left out.
    """
    import tensorflow as tf

    weight = tf.TensorSpec([None], "float32")
    compiled: dict[int, Any] = {}

    def run(inputs: Any, *others: Any) -> Any:
        arrays = [*(inputs if isinstance(inputs, list | tuple) else [inputs])]
        num_inputs = len(arrays)
        arrays += [other for other in others if other is not None]

        def traced(*tensors: Any) -> Any:
            first = tensors[:num_inputs]
            return step((first[0] if num_inputs == 1 else list(first), *tensors[num_inputs:]))

        if len(arrays) not in compiled:
            signature = specs if len(arrays) == len(specs) else [*specs, weight]
            compiled[len(arrays)] = tf.function(traced, input_signature=signature)
        return compiled[len(arrays)](*arrays)

    return run
