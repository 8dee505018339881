"""Simulate calibration on few texts: the harm of a factor fitted in different ways.

Usage: python -m benchmarks.scripts.calibration_prior

The logits of simulated texts are right up to a factor. Each way of fitting that factor sees some
texts; printed is by how much the loss on 4,000 new ones is higher than with the right factor, in
thousandths, as the mean of many draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lstm_cli.models import calibration

_NUM_TEXTS = (10, 24, 60, 200, 1000, 5000)
_NUM_DRAWS = 100
# Classes and distance of their means; how far the logarithm of the factor is from 0, on average.
_CASES = ((2, 1.5, 0.5), (3, 3.0, 0.5), (8, 3.0, 0.5), (3, 3.0, 0.2))

Logits = NDArray[np.float64]
Labels = NDArray[np.int32]
Fit = Callable[[Logits, Labels], float]


def main() -> None:
    """Print a table for each case."""
    ways: dict[str, Fit] = {"none": lambda *_: 1.0, "smoothed": calibration.fit_scale}
    ways |= {f"prior {std}": _with_prior(std) for std in (0.25, 0.5, 1.0)}
    for num_classes, distance, std in _CASES:
        rng = np.random.default_rng(0)
        case = f"{num_classes} classes, distance {distance}, factor {std}"
        sys.stdout.write(f"{case}: {', '.join(ways)}\n")
        for num in _NUM_TEXTS:
            harm = [_harm(ways, num, num_classes, distance, rng, std) for _ in range(_NUM_DRAWS)]
            means = 1000 * np.mean(harm, axis=0)
            sys.stdout.write(f"{num:6,} " + " ".join(f"{mean:8.1f}" for mean in means) + "\n")


def _with_prior(std: float) -> Fit:
    def fit(logits: Logits, labels: Labels) -> float:
        return calibration.fit_scales([logits], [calibration.Prior(1.0, std)], labels)[0]

    return fit


def _harm(
    ways: dict[str, Fit],
    num: int,
    num_classes: int,
    distance: float,
    rng: np.random.Generator,
    std: float,
) -> list[float]:
    """Fit the factor to `num` texts in each way, and return the losses it adds on new texts."""
    wrong = float(np.exp(rng.normal(0, std)))
    seen, labels = _draw(num, num_classes, distance, rng)
    new, new_labels = _draw(4000, num_classes, distance, rng)
    best = _loss(new, new_labels)
    return [
        _loss(fit(wrong * seen, labels) * wrong * new, new_labels) - best for fit in ways.values()
    ]


def _draw(
    num: int, num_classes: int, distance: float, rng: np.random.Generator
) -> tuple[Logits, Labels]:
    """Draw texts of classes with normal scores, and their exact logits."""
    labels = rng.integers(0, num_classes, num).astype(np.int32)
    scores = rng.normal(size=(num, num_classes))
    scores[np.arange(num), labels] += distance
    return distance * scores, labels


def _loss(logits: Logits, labels: Labels) -> float:
    return calibration.loss_and_accuracy(logits, labels)[0]


if __name__ == "__main__":
    main()
