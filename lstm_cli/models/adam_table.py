"""Adam in NumPy, for tables with a row for each word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BETA_1 = 0.9
_BETA_2 = 0.999
_EPSILON = 1e-8
# Values per step: they stay in the cache for the ten passes of an update.
_CHUNK = 1 << 16


class AdamTable:
    """A table that Adam updates, in place.

    Source: Kingma & Ba 2015, "Adam", algorithm 1, in the order of computation before section 2.1.

    Attributes:
        values: `<float32>[rows, dim]`.
    """

    def __init__(self, values: Floats) -> None:
        self.values = values
        self._mean = np.zeros_like(values)
        self._square = np.zeros_like(values)
        self._num_steps = 0

    def update(self, gradient: Floats, rate: float) -> None:
        """Take a step; the gradient, `<float32>[rows, dim]`, is overwritten."""
        self._num_steps += 1
        correction = np.sqrt(1 - _BETA_2**self._num_steps) / (1 - _BETA_1**self._num_steps)
        step_size = np.float32(rate * correction)
        rows = max(1, _CHUNK // self.values.shape[1])
        for start in range(0, len(self.values), rows):
            chunk = slice(start, start + rows)
            g, mean, square = gradient[chunk], self._mean[chunk], self._square[chunk]
            mean *= np.float32(_BETA_1)
            mean += np.float32(1 - _BETA_1) * g
            np.multiply(g, g, out=g)
            g *= np.float32(1 - _BETA_2)
            square *= np.float32(_BETA_2)
            square += g
            np.sqrt(square, out=g)
            g += np.float32(_EPSILON)
            np.divide(mean, g, out=g)
            g *= step_size
            self.values[chunk] -= g


def sum_by_row(rows: NDArray[np.int32], vectors: Floats, num_rows: int) -> Floats:
    """Add up the vectors of each row: `<int32>[n]`, `<float32>[n, dim]` to `[num_rows, dim]`."""
    from scipy import sparse

    num = len(rows)
    ones, starts = np.ones(num, np.float32), np.arange(num + 1, dtype=np.int32)
    places = sparse.csr_matrix((ones, rows, starts), shape=(num, num_rows))
    total: Floats = places.T @ vectors
    return total
