"""Which encoding bytes have that are not UTF-8: a guess where it is safe, else candidates.

A guess can be wrong, so the callers report it, with the number of lines. It is made only for text
in Latin letters: English with curly quotes, or a Western language with accents, saved by an old
program. The encodings of other scripts cannot be distinguished by one line, so these are never
guessed; the error shows what the line would be in some encodings, for a person to choose.
"""

from __future__ import annotations

import re
import unicodedata

GUESS = "windows-1252"

# Bytes of windows-1252 that occur in texts: punctuation such as curly quotes and dashes, letters.
_PUNCTUATION = re.compile(
    rb"[\x80\x82\x84\x85\x91-\x97\x99\xa0\xa1\xa3\xa7\xa9\xab\xae\xb0\xb2\xb3\xb4\xb7\xbb\xbf]"
)
_LETTERS = re.compile(
    rb"[\x83\x8a\x8c\x8e\x9a\x9c\x9e\x9f\xaa\xb5\xba\xc0-\xd6\xd8-\xf6\xf8-\xff]{1,2}"
)
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
_MAX_PUNCTUATION = 3
# The encodings to show, and the script whose letters they must give.
_CANDIDATES = (
    ("windows-1251", "CYRILLIC"),
    ("gb18030", "CJK"),
    ("shift_jis", "HIRAGANA KATAKANA CJK"),
    ("windows-1253", "GREEK"),
    ("euc-kr", "HANGUL"),
    ("big5", "CJK"),
    ("koi8-r", "CYRILLIC"),
    ("windows-1255", "HEBREW"),
    ("windows-1256", "ARABIC"),
    ("cp874", "THAI"),
    ("windows-1252", "LATIN"),
)
_MAX_CANDIDATES = 4
_SAMPLE = 24


def guess_line(raw: bytes) -> str | None:
    """Decode a line that is not UTF-8 as windows-1252; None if it does not look like that.

    Args:
        raw: The bytes of a line.
    """
    if not all(_is_western(raw, run) for run in _HIGH_BYTES.finditer(raw)):
        return None
    return raw.decode(GUESS)


def _is_western(raw: bytes, run: re.Match[bytes]) -> bool:
    """Return whether bytes outside ASCII look like letters with accents, or like punctuation.

    Such letters stand alone, or in pairs beside letters of ASCII. In other scripts, and in
    encodings of several bytes, they follow each other.
    """
    letters = [part for part in _PUNCTUATION.split(run[0]) if part]
    if len(run[0]) - sum(map(len, letters)) > _MAX_PUNCTUATION:
        return False
    neighbours = raw[max(0, run.start() - 1) : run.start()] + raw[run.end() : run.end() + 1]
    has_neighbour = re.search(rb"[A-Za-z]", neighbours) is not None
    return all(_LETTERS.fullmatch(part) and (len(part) == 1 or has_neighbour) for part in letters)


def candidates(raw: bytes) -> list[tuple[str, str]]:
    """Return encodings that a line may have, the more probable first, and what it begins with.

    Args:
        raw: The bytes of a line that is not UTF-8.
    """
    is_western = guess_line(raw) is not None
    found = []
    for encoding, scripts in _CANDIDATES:
        try:
            text = raw.decode(encoding).strip()
        except UnicodeDecodeError:
            continue
        letters = [char for char in text if char > "\x7f"]
        share = sum(_script(char) in scripts.split() for char in letters) / max(1, len(letters))
        # In the wrong one of two encodings of a script, upper and lower case change places.
        inside = sum(char.isupper() for char in letters) / max(1, len(letters))
        if share > 0.8:
            is_less_probable = (encoding == GUESS) != is_western or inside > 0.5
            found.append((is_less_probable, -share, encoding, _first_letters(text)))
    found.sort(key=lambda each: each[:2])
    return [(encoding, sample) for _, _, encoding, sample in found[:_MAX_CANDIDATES]]


def _script(char: str) -> str:
    """Return the first word of a character's name: `CYRILLIC`, `CJK`."""
    return unicodedata.name(char, "").partition(" ")[0]


def _first_letters(text: str) -> str:
    """Return the text around the first character that is not ASCII."""
    start = next((i for i, char in enumerate(text) if char > "\x7f"), 0)
    return text[max(0, start - 4) :][:_SAMPLE]
