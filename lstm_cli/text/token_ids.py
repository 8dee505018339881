"""The ids of tokens: special tokens, and unknown words that the LSTM reads as known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PAD_ID, UNKNOWN_ID = 0, 1
# They begin every vocabulary.
SPECIAL_TOKENS = ("[PAD]", "[UNK]")
# An unknown word that the LSTM reads as a known one has the id of the latter plus this number. The
# linear model reads it as `[UNK]`, with the character n-grams of the word itself.
READ_AS = 65_536


def is_unknown(ids: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which tokens are not in the vocabulary, `<bool>` in the shape of the ids."""
    unknown: NDArray[np.bool_] = (ids == UNKNOWN_ID) | (ids >= READ_AS)
    return unknown


def lstm_ids(ids: NDArray[Any]) -> NDArray[Any]:
    """Return the ids that the LSTM reads: those of similar words for unknown ones."""
    return ids if ids.dtype == np.uint16 else ids % READ_AS


def own_ids(ids: NDArray[Any]) -> NDArray[Any]:
    """Return the ids of the words themselves: `[UNK]` for each unknown one."""
    return ids if ids.dtype == np.uint16 else np.where(ids >= READ_AS, UNKNOWN_ID, ids)
