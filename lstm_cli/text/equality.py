"""When two texts are equal: one rule for leaks, copies, near copies and unlabeled texts."""

from __future__ import annotations

import re

from lstm_cli.text.normalization import LINE_BREAK, normalize

_LINE_BREAK = re.compile(LINE_BREAK, re.ASCII | re.IGNORECASE)
ZERO_WIDTH_SPACE = "\u200b"


def comparable(text: str) -> str:
    """Return what equal texts have in common: all that the model reads, and punctuation.

    Case, white space, composed letters and invisible characters make no difference.
    """
    if text.isascii():
        # The same as below, in a tenth of the time.
        text = _LINE_BREAK.sub(" ", text) if "<" in text else text
        return " ".join(text.lower().split())
    return " ".join(normalize(text).replace(ZERO_WIDTH_SPACE, " ").split())
