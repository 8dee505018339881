"""The regions of a text that have the largest features, and what their words add to the score.

The equation is in `models.regions`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.pooled import pooled_parts, region_layer
from lstm_cli.config.schema import ModelSettings
from lstm_cli.explain.result import Region

Array = NDArray[Any]

NUM_REGIONS = 6


@dataclass(frozen=True)
class RegionFeatures:
    """The features of the regions of one width.

    Attributes:
        width: Steps in a region.
        last_steps: The last step of the region that has the maximum, `<int>[batch, units]`.
        features: `<float>[batch, units]`.
    """

    width: int
    last_steps: Array
    features: Array


def find_regions(
    weights: Mapping[str, Array], width: int, inputs: Array, lengths: Array
) -> RegionFeatures:
    """Compute the features of the regions of one width, and where each has its maximum.

    Args:
        weights: Arrays by the names that `models.get_weights` gives them.
        width: Steps in a region.
        inputs: Embedded tokens or pixels, `<float>[batch, time, dim]`.
        lengths: Number of steps of each sequence, `<int>[batch]`; the rest is padding.
    """
    kernel, bias = (weights[f"{region_layer(width)}/{part}"] for part in ("kernel", "bias"))
    time = inputs.shape[1]
    padded = np.pad(inputs, ((0, 0), (width - 1, 0), (0, 0)))
    sums = sum(padded[:, j : j + time] @ kernel[j] for j in range(width))
    within = np.arange(time) < np.asarray(lengths)[:, None]
    sums = np.where(within[:, :, None], sums, -np.inf)
    last_steps = sums.argmax(axis=1)
    highest = np.take_along_axis(sums, last_steps[:, None], axis=1)[:, 0]
    return RegionFeatures(width, last_steps, np.maximum(highest + bias, 0))


@dataclass(frozen=True)
class RegionContributions:
    """What the region features add to the score.

    Attributes:
        gradients: Gradient of what all features add with respect to the inputs, `<float64>[steps,
            dim]`. Its product with the inputs, plus the biases, is what they add.
        biases: Each step's part of the biases, `<float64>[steps]`.
        regions: What each region adds, the largest absolute contributions first.
    """

    gradients: NDArray[np.float64]
    biases: NDArray[np.float64]
    regions: tuple[Region, ...]


def region_contributions(
    settings: ModelSettings,
    weights: Mapping[str, Array],
    inputs: Array,
    found: tuple[RegionFeatures, ...],
    logit_weights: Array,
) -> RegionContributions:
    """Split what the region features of a sequence add to the score.

    A feature above 0 is a sum over the steps of its region, plus its bias, of which each step of
    the region gets the same part. A feature of 0 adds nothing. So the sum over all steps is the
    sum over all regions: what all features add.

    Args:
        settings: The model's settings.
        weights: Arrays by the names that `models.get_weights` gives them.
        inputs: Embedded tokens or pixels of one sequence, `<float>[time, dim]`.
        found: The features of this sequence, a batch of 1, for each width.
        logit_weights: Weight of each logit in the score, `<float>[outputs]`.
    """
    gradients, biases = np.zeros(inputs.shape), np.zeros(len(inputs))
    units_of: dict[tuple[int, int], list[int]] = defaultdict(list)
    added: dict[tuple[int, int], float] = defaultdict(float)
    parts = pooled_parts(settings)
    for one in found:
        layer = region_layer(one.width)
        kernel, bias = weights[f"{layer}/kernel"], weights[f"{layer}/bias"]
        factors = weights["head/kernel"][parts[layer]].astype(np.float64) @ logit_weights
        for unit in np.flatnonzero(one.features[0] > 0).tolist():
            last = int(one.last_steps[0, unit])
            region = range(max(0, last - one.width + 1), last + 1)
            weighed = factors[unit] * kernel[one.width - len(region) :, :, unit]
            gradients[region] += weighed
            biases[region] += factors[unit] * bias[unit] / len(region)
            units_of[one.width, last].append(unit)
            of_words = float((inputs[region] * weighed).sum())
            added[one.width, last] += of_words + float(factors[unit] * bias[unit])
    places = sorted(added, key=lambda place: -abs(added[place]))
    regions = (
        Region(width, max(0, last - width + 1), last + 1, tuple(units), added[width, last])
        for width, last in places
        for units in [units_of[width, last]]
    )
    return RegionContributions(gradients, biases, tuple(regions))
