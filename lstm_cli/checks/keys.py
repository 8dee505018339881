"""Keys: texts, or labels, with equal keys look the same to a reader."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.text.equality import ZERO_WIDTH_SPACE, comparable, text_keys

_SPACES = {i: " " for i in range(128) if not chr(i).isalnum()}
# A float does not hold longer numbers exactly.
_MAX_DIGITS = 15
# Small Cyrillic and Greek letters, and the Latin ones that they look like.
LATIN_LOOK_ALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u03bf\u03b9\u03bd",
    "aeopcyxijsoiv",
)
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


def letters(text: str) -> str:
    """Return a comparable text in which punctuation is white space; emoji stay."""
    text = comparable(text)
    text = text.translate(_SPACES) if text.isascii() else str(_punctuation().sub(" ", text))
    return " ".join(text.split())


@functools.cache
def _punctuation() -> Any:
    """Return the pattern of characters that are neither letters, marks, digits nor pictures."""
    import regex

    return regex.compile(r"[^\p{L}\p{M}\p{N}\p{So}]+", regex.V1)


def input_keys(inputs: Sequence[str] | NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a hash of each text, as `text_keys`, or of each image; 0 for one brightness."""
    if not isinstance(inputs, np.ndarray):
        return text_keys(inputs)
    digests = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in inputs)
    keys = np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)
    pixels = inputs.reshape(len(inputs), -1)
    return np.where((pixels == pixels[:, :1]).all(axis=1), np.uint64(0), keys)


def label_key(label: str) -> str:
    """Return what labels that look alike have in common.

    They may differ in case, white space, underscores, quotes around them, composed and invisible
    characters, letters of another alphabet, or in how a number is written (`1`, `1.00`).
    """
    key = comparable(label.replace(ZERO_WIDTH_SPACE, "").strip("\"'")).translate(LATIN_LOOK_ALIKES)
    key = " ".join(key.replace("_", " ").split())
    return repr(float(key)) if _NUMBER.fullmatch(key) and len(key) <= _MAX_DIGITS else key
