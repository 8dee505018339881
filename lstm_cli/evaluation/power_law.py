"""A power law of the error against the number of rows, and what it says of more rows.

Source: Cortes et al. 1993, "Learning Curves: Asymptotic Values and Rate of Convergence", equation
    for the error: `a + b n^-c`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The curves that are considered: exponents, and final errors as fractions of the smallest error.
_EXPONENTS = np.linspace(0.0, 1.0, 41)
_FINAL_FRACTIONS = np.linspace(0.0, 0.98, 99)
# Small final errors are more probable beforehand: the density of the fraction is
# `exp(-fraction / 0.1) + 0.05`. With all equally probable, the errors of forecasts were too high on
# seven of eight data sets.
_FINAL_LENGTH, _FINAL_FLOOR = 0.1, 0.05
# No error follows a power law exactly: standard deviation of the difference, as a fraction of the
# error. Of the forecasts on nine data sets for 1.4 to 3 times as many rows, 27 of 27 intervals
# contained what was measured then (`benchmarks.curve`), 24 with 0.02, and 15 without a misfit.
_MISFIT = 0.03
_QUANTILES = (0.05, 0.5, 0.95)
# Values of a normal distribution, equally probable: its quantiles at 5, 15, ... 95%.
_NORMAL = np.array([-1.645, -1.036, -0.674, -0.385, -0.126, 0.126, 0.385, 0.674, 1.036, 1.645])


@dataclass(frozen=True)
class Forecast:
    """The error that is expected with a number of rows.

    Attributes:
        num_rows: Number of rows to train on.
        error: Median of the error over the curves that agree with the measurements.
        low: 5% quantile of the error.
        high: 95% quantile.
    """

    num_rows: int
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class PowerLaws:
    """Curves `a + b n^-c`, each with its probability.

    Attributes:
        final: `a`, the error with any number of rows, `<float64>[curves]`.
        factor: `b`, `<float64>[curves]`.
        exponent: `c`, `<float64>[curves]`.
        weights: Probability of each curve, `<float64>[curves]`.
    """

    final: NDArray[np.float64]
    factor: NDArray[np.float64]
    exponent: NDArray[np.float64]
    weights: NDArray[np.float64]

    def forecast(self, num_rows: int) -> Forecast:
        """Return the error that is expected with a number of rows."""
        curves = self.final + self.factor * float(num_rows) ** -self.exponent
        errors = np.outer(curves, 1 + _MISFIT * _NORMAL).ravel()
        weights = np.repeat(self.weights / len(_NORMAL), len(_NORMAL))
        order = np.argsort(errors)
        places = np.searchsorted(np.cumsum(weights[order]), _QUANTILES)
        low, middle, high = errors[order][np.minimum(places, len(errors) - 1)].tolist()
        return Forecast(num_rows, middle, low, high)


def fit_power_laws(
    num_rows: NDArray[np.int64], errors: NDArray[np.float64], std_errors: NDArray[np.float64]
) -> PowerLaws:
    """Weigh the curves by how well they agree with measured errors.

    All exponents from 0 to 1 are equally probable beforehand; the final error is below the
    smallest measured one, and small ones are more probable. The factor is the one that fits best.
    The measurements have normal noise.

    Args:
        num_rows: Rows that were trained on, `<int64>[sizes]`.
        errors: Mean errors, `<float64>[sizes]`.
        std_errors: Standard errors of these means, `<float64>[sizes]`.
    """
    variances = np.square(std_errors) + np.square(_MISFIT * errors) + 1e-12
    fractions, exponents = (a.ravel() for a in np.meshgrid(_FINAL_FRACTIONS, _EXPONENTS))
    final = fractions * errors.min()
    powers = np.asarray(num_rows, np.float64) ** -exponents[:, None]
    above = errors - final[:, None]
    factor = np.sum(powers * above / variances, axis=1) / np.sum(powers**2 / variances, axis=1)
    factor = np.maximum(factor, 0.0)
    misfits = np.sum(np.square(above - factor[:, None] * powers) / variances, axis=1)
    weights = np.exp(-(misfits - misfits.min()) / 2)
    weights *= np.exp(-fractions / _FINAL_LENGTH) + _FINAL_FLOOR
    return PowerLaws(final, factor, exponents, weights / weights.sum())
