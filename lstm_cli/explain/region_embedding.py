"""Region embeddings in NumPy, and the part that each word has in the regions that it is in.

`models.region_embedding` has the equation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.embedded import input_dim, region_embedding
from lstm_cli.config.schema import EmbeddingSettings
from lstm_cli.text.token_ids import lstm_ids

Array = NDArray[Any]


def embed_regions(weights: Mapping[str, Array], width: int, ids: Array) -> Array:
    """Return the vectors of the regions of a text, `<int>[time]` to `<float>[time, dim]`.

    Args:
        weights: Arrays by the names that `models.get_weights` gives them.
        width: Words in a region.
        ids: As the LSTM reads them.
    """
    name = region_embedding(width)
    sums = _window_sums(weights[f"{name}/embeddings"][ids], width)
    return np.asarray(np.maximum(sums + weights[f"{name}/bias"], 0))


def input_contributions(
    settings: EmbeddingSettings | None,
    weights: Mapping[str, Array],
    ids: Array | None,
    inputs: Array,
    gradients: Array,
) -> NDArray[np.float64]:
    """Return what each step adds to the sum of inputs times gradients, `<float64>[time]`.

    What a region embedding adds belongs to the words of the region: a value above 0 is a sum over
    these words, plus a bias, of which each gets the same part. So a word adds through all regions
    that it is in.

    Args:
        settings: Of the embedding; None for images.
        weights: Arrays by the names that `models.get_weights` gives them.
        ids: The tokens of a text, `<int>[time]`; None for images.
        inputs: The embedded tokens, or rows, `<float>[time, dim]`.
        gradients: `<float>[time, dim]`.
    """
    if settings is None or ids is None:
        return np.asarray((inputs * gradients).sum(axis=1), np.float64)
    first = input_dim(settings) - len(settings.region_widths) * settings.region_dim
    added = np.asarray((inputs[:, :first] * gradients[:, :first]).sum(axis=1), np.float64)
    for width in settings.region_widths:
        columns = slice(first, first + settings.region_dim)
        active = gradients[:, columns] * (inputs[:, columns] > 0)
        added += _words_of_regions(weights, width, lstm_ids(ids), active)
        first = columns.stop
    return added


def _words_of_regions(
    weights: Mapping[str, Array], width: int, ids: Array, gradients: Array
) -> NDArray[np.float64]:
    """Return what each word adds to the regions of one width; arguments as above."""
    name = region_embedding(width)
    num_words = _window_sums(np.ones((len(ids), 1)), width)
    of_bias = gradients @ weights[f"{name}/bias"][:, None] / num_words
    # A word is in the regions of the words around it: the window the other way round.
    reached = _window_sums(gradients[::-1], width)[::-1]
    vectors = weights[f"{name}/embeddings"][ids]
    of_sums = (vectors * reached).sum(axis=1)
    return np.asarray(of_sums + _window_sums(of_bias[::-1], width)[::-1, 0], np.float64)


def _window_sums(steps: Array, width: int) -> Array:
    """Sum the steps of the region around each step, `<float>[time, dim]` to the same shape."""
    padded = np.pad(steps, ((width // 2, (width - 1) // 2), (0, 0)))
    return np.asarray(sum(padded[j : j + len(steps)] for j in range(width)))
