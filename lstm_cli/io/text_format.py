"""Text output: cleaned, shortened, and with formatted numbers and durations."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

# Control characters, lone surrogates, line separators and bidirectional marks: with them, data can
# change the text beside it.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Limits of a message and of one word in it: an argument can have 128 KiB, a list any length.
_MAX_MESSAGE = 3000
_LONG_WORD = re.compile(r"(\S{200})\S{300,}(\S{100})")
# With the wrong column, a whole text can be a label.
_MAX_VISIBLE = 60


def clean(text: str) -> str:
    """Make data safe to print: control characters and bidirectional marks become spaces.

    Terminals interpret ESC and C1 bytes, and data must not be able to move the cursor.
    """
    return _UNSAFE.sub(" ", text)


def clean_lines(text: str) -> str:
    """Clean a text and keep its line breaks."""
    return "\n".join(map(clean, text.split("\n")))


def to_text(value: object) -> str:
    """Return a value of a table that JSON has no type for as text: bytes, a date, a decimal."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def shorten(text: str, width: int = 80) -> str:
    """Clean a text and shorten it to a width, with an ellipsis at the end."""
    text = " ".join(clean(text).split())
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def visible(label: str, width: int = _MAX_VISIBLE) -> str:
    r"""Return a label in quotes, shortened, with what cannot be seen as escapes: `'pos\u200b'`.

    Decomposed letters are escaped, too: they look like composed ones.
    """
    label = label if len(label) <= width else label[: width - 1] + "…"
    is_composed = unicodedata.is_normalized("NFC", label)
    shown = "".join(
        char
        if char.isprintable() and (is_composed or not unicodedata.combining(char))
        else ascii(char)[1:-1]
        for char in label
    )
    return f"'{shown}'"


def short_label(label: str, width: int = 40) -> str:
    """Return a label on one line; the middle of a longer one is left out.

    Long labels often differ at their start or end.
    """
    if len(label) > 2 * _MAX_MESSAGE:
        label = label[:_MAX_MESSAGE] + label[-_MAX_MESSAGE:]
    label = " ".join(clean(label).split())
    tail = (width - 1) // 2
    return label if len(label) <= width else f"{label[: width - 1 - tail]}…{label[-tail:]}"


def short_labels(labels: Sequence[str], width: int = 40) -> dict[str, str]:
    """Return the short form of each label; a number tells equal ones apart.

    Args:
        labels: Different labels.
        width: As for `short_label`.
    """
    shown: dict[str, str] = {}
    used: set[str] = set()
    for label in labels:
        short, count = short_label(label, width), 1
        while short in used:
            count += 1
            short = f"{short_label(label, width)} ({count})"
        used.add(short)
        shown[label] = short
    return shown


def excerpt(text: str) -> str:
    """Shorten a message: words of over 600 characters, then the message itself.

    The middle is removed: the beginning and the end of a message say the most.
    """
    text = _LONG_WORD.sub(r"\1[…]\2", text)
    if len(text) <= _MAX_MESSAGE:
        return text
    half = _MAX_MESSAGE // 2
    return f"{text[:half]} […] {text[-half:]}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """Format a fraction: 0.8765 -> `87.7%`; a dash for None."""
    return number(fraction, f".{digits}%")


def duration(seconds: float | None) -> str:
    """Format a duration: `42 s`, `3 min 05 s`, `1 h 12 min`; a dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 1 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def file_size(num_bytes: int) -> str:
    """Format a number of bytes: `7.4 kB`, `38.0 MB`, `1.2 GB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= size / 10:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes / 1e3:,.1f} kB"


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun: `1 epoch`, `1,200 epochs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def abbreviate_count(count: int) -> str:
    """Return a number in at most seven characters: `123,456`, `3.31 M`, `12.3 G`."""
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,}"


def number(value: float | None, spec: str = ".4f") -> str:
    """Format a number; a dash for None and NaN.

    Args:
        value: A metric can be undefined, such as the ROC area of a single class.
        spec: Format specification of Python.
    """
    return "-" if value is None or math.isnan(value) else format(value, spec)


def interval(bounds: Sequence[float | None] | None, spec: str = ".4f") -> str:
    """Format the bounds of an interval; a dash for None."""
    return " to ".join(number(bound, spec) for bound in bounds) if bounds else "-"
