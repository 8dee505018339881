"""The least time that the matrix products of a classifier take on this machine."""

from __future__ import annotations

import time

import numpy as np

from lstm_cli.config import embedded
from lstm_cli.config.schema import Config

_SIZE = 2048
# The backward pass computes the gradients of inputs and weights: two products for each one.
TRAINING_FACTOR = 3


def gemm_rate(
    rows: int = _SIZE, inner: int = _SIZE, columns: int = _SIZE, repeats: int = 15
) -> float:
    """Measure how fast NumPy multiplies `<float32>[rows, inner]` by `[inner, columns]`.

    Returns:
        GFLOP/s of the fastest repeat, because the floor is what the machine can do at best.
    """
    rng = np.random.default_rng(0)
    a = rng.standard_normal((rows, inner), np.float32)
    b = rng.standard_normal((inner, columns), np.float32)
    out = np.empty((rows, columns), np.float32)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        seconds.append(time.perf_counter() - start)
    return 2 * rows * inner * columns / min(seconds) / 1e9


def input_dim(config: Config, columns: int = 0) -> int:
    """Return the input dimension of the first LSTM layer.

    Args:
        config: The settings of a run.
        columns: Columns of an image; for texts, the dimension is that of the embedding.
    """
    if config.embedding is None:
        return columns
    return embedded.input_dim(config.embedding)


def lstm_flops(config: Config, columns: int = 0) -> int:
    """Count the floating-point operations of the LSTM layers for one time step, forward pass.

    Each of four gates has a matrix of `units` rows over input and state, and each element takes a
    multiplication and an addition.
    """
    directions = 2 if config.model.bidirectional else 1
    units, total, width = config.model.units, 0, input_dim(config, columns)
    for _ in range(config.model.layers):
        total += directions * 2 * 4 * units * (width + units)
        width = directions * units
    return total


def region_flops(config: Config) -> int:
    """Count the floating-point operations of the regions' convolutions for one time step.

    A training step makes them once: the gradient needs one region of each feature.
    """
    model = config.model
    return sum(2 * width * input_dim(config) * model.region_units for width in model.regions)


def training_flops(config: Config) -> int:
    """Count the floating-point operations of a training step for one time step of one text."""
    return TRAINING_FACTOR * lstm_flops(config) + region_flops(config)
