"""From tokens back to a text that a person reads: the spaces between them.

The tokenizer drops spaces and case, so this is a guess by rules of English. Case stays lower: the
model knows no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from lstm_cli.text.tokenizer import is_unspaced

# After the ASCII marks those of Chinese and Japanese: full stops, comma, brackets, and so on.
_WIDE_CLOSING = "\u3002\uff0c\uff01\uff1f\uff1b\uff1a\u3001\uff09\u3011\u300d\u300f"
_NO_SPACE_BEFORE = set(".,!?;:)]}%\u2026\u2019\u201d\u00bb" + _WIDE_CLOSING)
_NO_SPACE_AFTER = set("([{$#@\u00a3\u20ac\u201c\u00ab" + "\uff08\u3010\u300c\u300e")
_INSIDE_WORDS = set("-/&_*")
_QUOTES = set("\"'`")


def detokenize(tokens: Sequence[str]) -> str:
    """Join tokens as English is written: `( well - known , so` -> `(well-known, so`.

    Args:
        tokens: From `tokenize`.
    """
    if not tokens:
        return ""
    return tokens[0] + "".join(spaced(tokens)[1:])


def spaced(tokens: Sequence[str]) -> list[str]:
    """Return each token with the space that belongs before it; the first has none."""
    pieces = list(tokens[:1])
    num_quotes = int(bool(tokens) and tokens[0] in _QUOTES)
    for index, (before, token) in enumerate(pairwise(tokens), 1):
        after = tokens[index + 1] if index + 1 < len(tokens) else ""
        two_before = tokens[index - 2] if index > 1 else ""
        if token in _QUOTES:
            num_quotes += 1
            is_joined = num_quotes % 2 == 0 or before in _NO_SPACE_AFTER
        elif before in _QUOTES:
            is_joined = num_quotes % 2 == 1 or token in _NO_SPACE_BEFORE
        else:
            is_joined = _is_joined(two_before, before, token, after)
        pieces.append(token if is_joined else f" {token}")
    return pieces


def _is_joined(two_before: str, before: str, token: str, after: str) -> bool:
    """Return whether there is no space before a token that has no quote beside it."""
    if token in _NO_SPACE_BEFORE or before in _NO_SPACE_AFTER:
        return True
    if is_unspaced(token) and not _is_spaced_word(before):
        return True
    # One mark between two words: well-known, 7/10; but two hyphens are a dash.
    if token in _INSIDE_WORDS:
        return _is_word(before) and _is_word(after)
    if before in _INSIDE_WORDS:
        return _is_word(two_before) and _is_word(token)
    # Numbers: 7.5, 10:30, 1,000.
    return before in (".", ",", ":") and two_before.isdigit() and token.isdigit()


def _is_spaced_word(token: str) -> bool:
    return _is_word(token) and not is_unspaced(token)


def _is_word(token: str) -> bool:
    return token[:1].isalnum()
