"""The classes of characters of the tokenizer, as ranges: for languages with another Unicode."""

from __future__ import annotations

import functools
import unicodedata

from lstm_cli.text import normalization, tokenizer

# Without surrogates, which no text has.
_ALL = (range(0xD800), range(0xE000, 0x110000))


@functools.cache
def character_classes() -> dict[str, tuple[tuple[int, int], ...]]:
    """Return the first and the last code point of each range of each class.

    `space` to `optional_sign` are of the normalization, where `combining` are characters that join
    the one before them; `word` to `other` are of the tokens.
    """
    expressions = {
        "space": r"\s",
        "invisible": normalization.INVISIBLE,
        "apostrophe": normalization.APOSTROPHES,
        "symbol": normalization.SYMBOL,
        "optional_sign": normalization.OPTIONAL_SIGNS,
        "word": tokenizer.WORD_LETTER,
        "mark": tokenizer.MARK,
        "unspaced_letter": tokenizer.UNSPACED_LETTER,
        "stacker": f"[{tokenizer.STACKERS}]",
        "other": tokenizer.OTHER_TOKEN,
    }
    found = {name: _ranges(expression) for name, expression in expressions.items()}
    return found | {"combining": _combining()}


def _ranges(expression: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of the characters that an expression for one character matches."""
    import regex

    pattern = regex.compile(f"(?:{expression})+", regex.V1)
    return tuple(
        (ord(match[0][0]), ord(match[0][-1]))
        for characters in _ALL
        for match in pattern.finditer("".join(map(chr, characters)))
    )


def _combining() -> tuple[tuple[int, int], ...]:
    """Return the ranges of characters whose first part has a combining class."""
    ranges: list[tuple[int, int]] = []
    for characters in _ALL:
        for code in characters:
            first = unicodedata.normalize("NFKD", chr(code))[0]
            if not unicodedata.combining(first):
                continue
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    return tuple(ranges)
