"""Weights as fewer bits: a half, or a byte for each with a factor for each row or column.

A byte q stands for the weight q s. s is the largest weight of the row of a table, or of the column
of a kernel, over 127, rounded to 16 bits. The tables of the linear model have few large weights and
many small ones; there q stands for q |q| s, so that small weights are rounded less than large ones.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", section 2.1, for the symmetric form of the scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.export.result import Quantize
from lstm_cli.runs.arrays import Array

_MAX_CODE = 127
# Smaller arrays stay as they are: biases, the head, factors.
_MIN_SIZE = 1024
_HEAD = "head/"


@dataclass(frozen=True)
class Stored:
    """An array as it is stored.

    Attributes:
        values: `<float32>`, `<float16>` or `<int8>`, in the shape of the array.
        scales: Factors of the bytes, `<float16>`, in a shape that broadcasts; None without bytes.
        squared: Whether a byte q stands for q |q| s.
    """

    values: Array
    scales: NDArray[np.float16] | None = None
    squared: bool = False

    def restore(self) -> NDArray[np.float32]:
        """Return the array that is computed with, `<float32>`."""
        values = self.values.astype(np.float32)
        if self.scales is None:
            return values
        if self.squared:
            values *= np.abs(values)
        return np.asarray(values * self.scales.astype(np.float32))


def store(weights: Mapping[str, Array], quantize: Quantize) -> dict[str, Stored]:
    """Return the arrays as they are stored.

    Args:
        weights: `<float32>`, by their names in `models.get_weights`.
        quantize: `none` for the weights as they are.
    """
    return {name: _store(name, array, quantize) for name, array in weights.items()}


def _store(name: str, array: Array, quantize: Quantize) -> Stored:
    if quantize == "none" or array.size < _MIN_SIZE or array.ndim < 2:
        return Stored(array)
    if name.startswith(_HEAD) or name.endswith("/peepholes"):
        return Stored(array)
    if quantize == "float16":
        return Stored(array.astype(np.float16))
    return _to_bytes(array, is_table(name), is_linear(name))


def is_table(name: str) -> bool:
    """Return whether an array has a row for each word or bucket."""
    return name.endswith("/embeddings")


def is_linear(name: str) -> bool:
    """Return whether an array is a table of the linear model."""
    return name.startswith("linear/")


def _to_bytes(array: Array, by_row: bool, squared: bool) -> Stored:
    axes = (array.ndim - 1,) if by_row else tuple(range(array.ndim - 1))
    largest = np.abs(array).max(axis=axes, keepdims=True)
    divisor = _MAX_CODE**2 if squared else _MAX_CODE
    # A factor that is rounded down would not reach the largest weight.
    scales = np.maximum(largest / divisor, np.finfo(np.float16).tiny).astype(np.float16)
    ratio = array / scales.astype(np.float32)
    codes = np.sign(ratio) * np.sqrt(np.abs(ratio)) if squared else ratio
    values = np.clip(np.rint(codes), -_MAX_CODE, _MAX_CODE).astype(np.int8)
    return Stored(values, scales, squared)
