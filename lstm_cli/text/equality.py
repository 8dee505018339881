"""When two texts are equal: one rule for leaks, copies, near copies and unlabeled texts."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lstm_cli.io.text_store import JoinedTexts, StoredTexts
from lstm_cli.text.normalization import LINE_BREAK, normalize

_LINE_BREAK = re.compile(LINE_BREAK, re.ASCII | re.IGNORECASE)
ZERO_WIDTH_SPACE = "\u200b"
# Several checks read the same texts: up to this many are normalized once.
_MAX_KEYS = 1 << 17


def comparable(text: str) -> str:
    """Return what equal texts have in common: all that the model reads, and punctuation.

    Case, white space, composed letters and invisible characters make no difference.
    """
    if text.isascii():
        # The same as below, in a tenth of the time.
        text = _LINE_BREAK.sub(" ", text) if "<" in text else text
        return " ".join(text.lower().split())
    return " ".join(normalize(text).replace(ZERO_WIDTH_SPACE, " ").split())


@functools.lru_cache(maxsize=_MAX_KEYS)
def text_key(text: str) -> int:
    """Return a hash of 64 bits that equal texts have in common; 0 for an empty one."""
    content = comparable(text).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) if content else 0


def text_keys(texts: Iterable[str]) -> NDArray[np.uint64]:
    """Return the `text_key` of each text, `<uint64>[num]`; 0 for an empty one."""
    if isinstance(texts, StoredTexts):
        return texts.derive("keys", text_key)
    if isinstance(texts, JoinedTexts):
        return np.concatenate([text_keys(part) for part in texts.parts])
    return np.fromiter(map(text_key, texts), np.uint64)
