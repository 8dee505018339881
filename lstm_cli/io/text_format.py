"""Text for people: safe to show, short enough, numbers and durations formatted."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

# Controls, halves of surrogate pairs, line separators, and the marks that turn the direction of a
# line: they would let data rewrite what stands beside it.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Of an error or a note, and of one word in it: an argument may have 128 KiB, a list of names any
# length.
_MAX_MESSAGE = 3000
_LONG_WORD = re.compile(r"(\S{200})\S{300,}(\S{100})")


def clean(text: str) -> str:
    """Make data safe to show: controls and marks of direction become spaces.

    Terminals act on ESC and C1 bytes; a review must not be able to move the cursor.
    """
    return _UNSAFE.sub(" ", text)


def clean_lines(text: str) -> str:
    """Clean a text and keep its line breaks."""
    return "\n".join(map(clean, text.split("\n")))


def shorten(text: str, width: int) -> str:
    """Fit cleaned text into a width, an ellipsis where it was cut."""
    text = " ".join(clean(text).split())
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def excerpt(text: str) -> str:
    """Shorten what a message echoes: words of over 600 characters, then the message itself.

    The middle is left out: a message says what it is about, and why, at its ends.
    """
    text = _LONG_WORD.sub(r"\1[…]\2", text)
    if len(text) <= _MAX_MESSAGE:
        return text
    half = _MAX_MESSAGE // 2
    return f"{text[:half]} […] {text[-half:]}"


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share for people: 0.8765 -> `87.7%`; a dash where there is none."""
    return number(share, f".{digits}%")


def duration(seconds: float | None) -> str:
    """Write a time for people: `42 s`, `3 min 05 s`, `1 h 12 min`; a dash where there is none."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 1 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun: `1 epoch`, `1,200 epochs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def number(value: float | None, spec: str = ".4f") -> str:
    """Write a number for people; a dash where there is none, or where it is NaN.

    Args:
        value: A metric may be undefined, as the ROC area of a single class.
        spec: How Python formats it.
    """
    return "-" if value is None or math.isnan(value) else format(value, spec)


def interval(bounds: Sequence[float | None] | None, spec: str = ".4f") -> str:
    """Write the two bounds of an interval for people; a dash where there is none."""
    return " to ".join(number(bound, spec) for bound in bounds) if bounds else "-"
