"""The region embedding in NumPy, and the part that each word has in the regions it is in.

`models.region_embedding` has the equation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.embedded import region_embedding

Array = NDArray[Any]


def embed_regions(weights: Mapping[str, Array], width: int, ids: Array) -> Array:
    """Return the vectors of the regions of a text, `<int>[time]` to `<float>[time, dim]`.

    Args:
        weights: Arrays by the names that `models.get_weights` gives them.
        width: Words in a region.
        ids: As the LSTM reads them.
    """
    name = region_embedding(width)
    vectors, bias = weights[f"{name}/embeddings"][ids], weights[f"{name}/bias"]
    padded = np.pad(vectors, ((width // 2, (width - 1) // 2), (0, 0)))
    sums = sum(padded[j : j + len(ids)] for j in range(width))
    return np.asarray(np.maximum(sums + bias, 0))
