"""Check arrays that were read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Values per step. Pieces that stay in the cache take half the time of one pass over the array.
_CHUNK = 1 << 18


def check_finite(arrays: Mapping[str, Array]) -> None:
    """Check that all values are finite.

    Raises:
        ValueError: Some are infinite or NaN. The message continues after the name of the file.
    """
    finite = np.empty(_CHUNK, bool)
    for name, array in arrays.items():
        flat = array.reshape(-1)
        for start in range(0, len(flat), _CHUNK):
            chunk = flat[start : start + _CHUNK]
            if not np.isfinite(chunk, out=finite[: len(chunk)]).all():
                raise ValueError(f"has infinite or NaN values in {name!r}")
