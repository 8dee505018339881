"""Region features: what a convolution over a few neighbouring words finds most of in a text."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from lstm_cli.models.compiled import gather_steps

# Takes the place of padding before the maximum.
_VERY_LOW = -1e9


class RegionFeatures(layers.Layer):  # type: ignore[misc]
    """A convolution over regions of some words, with ReLU and the maximum over all regions.

    A region ends at each word. Before the first word there are zeros. The features are

        f_u = max_t relu(sum_j x(t - width + 1 + j) . K_j,u + b_u)

    The maximum does not depend on the order of ReLU, bias and maximum, so both are applied to the
    maximum only. The gradient of the maximum is 0 but for one region of each feature. So in
    training, the regions that have the maximum are found without a gradient, and then computed
    again from their words. Forward and backward pass then take about half the time of the gradient
    of a whole convolution, less in longer texts.

    Source: Johnson & Zhang 2015, "Effective Use of Word Order for Text Categorization with
        Convolutional Neural Networks", section 3; Kim 2014, "Convolutional Neural Networks for
        Sentence Classification", section 2.

    Args:
        width: Words in a region.
        units: Number of features.
        name: Name of the layer.
    """

    def __init__(self, width: int, units: int, name: str) -> None:
        super().__init__(name=name)
        self.width = width
        self.units = units

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        """Create the kernel `<float32>[width, dim, units]` and the bias `<float32>[units]`."""
        shape = (self.width, input_shape[-1], self.units)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x: Any, valid: Any = None, training: bool = False) -> Any:
        """Return the features, `<float32>[batch, units]`.

        Args:
            x: `<float32>[batch, time, dim]`.
            valid: Whether a step is not padding, `<bool>[batch, time]`; None without padding.
            training: Whether the gradient is needed.
        """
        padded = ops.pad(x, ((0, 0), (self.width - 1, 0), (0, 0)))
        kernel = ops.convert_to_tensor(self.kernel)
        if training:
            outputs = _convolve(ops.stop_gradient(padded), ops.stop_gradient(kernel), valid)
            highest = self._outputs_at(padded, kernel, ops.argmax(outputs, axis=1))
        else:
            highest = ops.max(_convolve(padded, kernel, valid), axis=1)
        return ops.relu(highest + self.bias)

    def _outputs_at(self, padded: Any, kernel: Any, steps: Any) -> Any:
        """Compute the convolution of each unit at one step, `<float32>[batch, units]`.

        Args:
            padded: The input with zeros before it, `<float32>[batch, width - 1 + time, dim]`.
            kernel: `<float32>[width, dim, units]`.
            steps: `<int>[batch, units]`.
        """
        positions = ops.cast(steps, "int32")[:, :, None] + ops.arange(self.width, dtype="int32")
        regions = gather_steps(padded, positions)
        return ops.sum(regions * ops.transpose(kernel, (2, 0, 1)), axis=(2, 3))


def _convolve(padded: Any, kernel: Any, valid: Any) -> Any:
    """Convolve `[batch, width - 1 + time, dim]` to `[batch, time, units]`, very low at padding."""
    outputs = ops.conv(padded, kernel, padding="valid", data_format="channels_last")
    return outputs if valid is None else ops.where(valid[:, :, None], outputs, _VERY_LOW)
