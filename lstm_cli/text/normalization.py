r"""Normalization: texts that look the same become the same text, and their parts keep their place.

The steps, in order. Each is also a step of `tokenizer.json`, so the library `tokenizers` does the
same:

1. HTML line breaks become spaces.
2. Invisible characters are removed: joiners (Persian, Hindi), soft hyphens, direction marks,
   variation selectors. The zero-width space stays, because it separates words (Khmer, Thai).
3. The typographic apostrophes become the straight one.
4. Symbols and numbers that are not digits are set apart: "Lego™" is "lego" and "tm", "3½" is "3",
   "1", "⁄" and "2".
5. Unicode's NFKC: composed and decomposed letters, full-width and half-width forms, ligatures and
   Arabic presentation forms become one. It also turns "²" into "2", "①" into "1" and "…" into
   three full stops. This loses the typography; step 4 keeps the words beside a symbol.
6. The vowel AM of Thai and Lao, which NFKC decomposes, is composed again.
7. Optional signs are removed: vowel points and cantillation of Hebrew, vowel signs and tatweel of
   Arabic. Most texts are written without them.
8. Letters become lowercase, each alone: the final sigma has no form of its own.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

# Regular expressions for `regex` (version 1) and for Oniguruma, which `tokenizers` uses. Characters
# that are invisible or look alike are written as escapes and reach the expressions themselves.
LINE_BREAK = r"<br\s*/?>"
INVISIBLE = "[\\p{Default_Ignorable_Code_Point}&&[^\u200b]]"
APOSTROPHES = "[\u2019\u02bc\u00b4]"
# With two Arabic phrases in one character. The first part excludes what is frequent and needs no
# step: ASCII, its full-width forms, and Chinese and Korean characters.
SYMBOL = "[[^\\0-\\x7f\u4e00-\ud7ff\uff01-\uff5e]&&[\\p{No}\\p{S}\ufdfa\ufdfb]]"
OPTIONAL_SIGNS = (
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
    "\u08d3-\u08e1\u08e3-\u08ff]"
)
# Thai and Lao: the two parts of the vowel AM, and the vowel.
AM_VOWELS = (("\u0e4d\u0e32", "\u0e33"), ("\u0ecd\u0eb2", "\u0eb3"))

# No character below this one combines with the character before it.
_FIRST_MARK = "\u0300"
_OPTIONAL_SIGNS = re.compile(OPTIONAL_SIGNS)


@functools.cache
def _patterns() -> tuple[Any, Any, Any]:
    """Return the compiled patterns of line breaks, invisible characters and symbols."""
    import regex

    line_break = regex.compile(LINE_BREAK, regex.V1 | regex.IGNORECASE)
    return line_break, regex.compile(INVISIBLE, regex.V1), regex.compile(SYMBOL, regex.V1)


def normalize(text: str) -> str:
    """Return the normalized text.

    A lone surrogate, which is not valid in UTF-8, becomes a question mark.
    """
    text = _replace_surrogates(text)
    if "<" in text:
        text = _patterns()[0].sub(" ", text)
    return _normalize_characters(text)


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _normalize_characters(text: str) -> str:
    """Do the steps after that of the line breaks."""
    _, invisible, symbol = _patterns()
    text = invisible.sub("", text)
    for apostrophe in APOSTROPHES[1:-1]:
        text = text.replace(apostrophe, "'")
    # A symbol that NFKC does not change is a token of its own in any case.
    if not unicodedata.is_normalized("NFKC", text):
        text = symbol.sub(r" \g<0> ", text)
    text = _OPTIONAL_SIGNS.sub("", _compose(text))
    # Python's `lower` looks at the neighbours of this letter alone.
    return text.replace("\u03a3", "\u03c3").lower()


def _compose(text: str) -> str:
    """Do the steps that join characters to others."""
    text = unicodedata.normalize("NFKC", text)
    for parts, vowel in AM_VOWELS:
        text = text.replace(parts, vowel)
    return text


@dataclass(frozen=True)
class AlignedText:
    """A normalized text whose characters know their place in the original.

    Attributes:
        text: The normalized text; the number of spaces can differ from that of `normalize`.
        starts: Where the original of each character starts.
        ends: Where it ends; removed characters belong to the character before them.
    """

    text: str
    starts: list[int]
    ends: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original of the characters `[start, end)`."""
        return self.starts[start], self.ends[end - 1]


def normalize_aligned(text: str) -> AlignedText:
    """Normalize a text and keep the place of each character."""
    line_break, *_ = _patterns()
    text = line_break.sub(lambda match: " " * len(match[0]), _replace_surrogates(text))
    normalized: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _independent_parts(text):
        part = text[start:end]
        part = _normalize_letter(part) if end - start == 1 else _normalize_characters(part)
        if not part and ends:
            ends[-1] = end
        normalized.append(part)
        starts += [start] * len(part)
        ends += [end] * len(part)
    return AlignedText("".join(normalized), starts, ends)


@functools.lru_cache(maxsize=4096)
def _normalize_letter(letter: str) -> str:
    """Normalize one character; a text repeats its letters."""
    return _normalize_characters(letter)


def _independent_parts(text: str) -> list[tuple[int, int]]:
    """Return the spans of the smallest parts that are normalized independently of each other."""
    if not text:
        return []
    starts = [0]
    for position in range(1, len(text)):
        if _is_independent(text, starts[-1], position):
            starts.append(position)
    spans: list[tuple[int, int]] = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if end - start > 1 and _is_one_part(text[start:end]):
            spans.append((start, end))
        else:
            spans += [(position, position + 1) for position in range(start, end)]
    return spans


def _is_one_part(text: str) -> bool:
    """Return whether characters that could join do so."""
    # Whether a symbol is set apart depends on what else is in the text.
    alone = _without_spaces("".join(map(_normalize_letter, text)))
    return alone != _without_spaces(_normalize_characters(text))


def _without_spaces(text: str) -> str:
    return text.replace(" ", "")


def _is_independent(text: str, start: int, position: int) -> bool:
    """Return whether the character at a position neither joins nor passes those from `start`."""
    character = text[position]
    if character < _FIRST_MARK and character != "\u00ad":
        return True
    _, invisible, _ = _patterns()
    # A mark behind an invisible character still joins the letter before it.
    if invisible.match(character):
        return False
    if unicodedata.combining(unicodedata.normalize("NFKD", character)[0]):
        return False
    before = invisible.sub("", text[start:position])
    return _compose(before + character) == _compose(before) + _compose(character)
