"""When two labels are equal: one rule for all readers.

Labels are equal after these steps (`docs/own-data.md` explains them):

1. Unicode's NFC; format characters that cannot be seen are removed; white space is one space.
2. The words true and false, in any case, are the Booleans of JSON.
3. Whole numbers count by value: `1`, `1.0`, `+1` and `01`. Other fractions count as they are
   written: `1.10` may be a version, `250.00` a code.

The name of a class is the spelling that most rows of the training data have, so a code such as `01`
keeps its zero.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_cli.io.text_format import pluralize, visible

_BOOLEANS = ("true", "false")
# A spreadsheet writes whole numbers so if a cell of the column is empty.
_WHOLE_FRACTION = re.compile(r"([+-]?[0-9]+)\.0")
_WHOLE = re.compile(r"([+-]?)0*([0-9]+)")
_MAX_MERGES_SHOWN = 3


@functools.cache
def _format_characters() -> Any:
    """Return the pattern of invisible format characters.

    Two kinds stay: joiners between letters of scripts that need them (Persian, Hindi) and between
    the parts of an emoji, and tags, which make the flags of countries such as Scotland.
    """
    import regex

    joined = r"\p{Arabic}\p{Syriac}\p{Mongolian}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}"
    return regex.compile(
        r"(?!(?<=[" + joined + r"])[\u200c\u200d](?=[\p{L}\p{Extended_Pictographic}]))"
        r"[\p{Cf}&&\p{Default_Ignorable_Code_Point}--[\U000E0020-\U000E007F]]",
        regex.V1,
    )


def written_label(value: Any) -> str:
    """Return a label as it is written; empty where there is none.

    Args:
        value: A cell, or a value of JSON or Parquet: a string, a number, a Boolean, a date or a
            time. Lists, objects and bytes are not labels.
    """
    if isinstance(value, bool):
        return str(value).lower()
    # A date or a time. Importing their types, and that of decimals, would take time at each start.
    if isinstance(value, int) or hasattr(value, "isoformat"):
        return str(value)
    is_number = isinstance(value, float) or type(value).__name__ == "Decimal"
    if is_number and math.isfinite(value):
        is_whole = value == int(value) and abs(value) < 2**53
        return f"{int(value)}.0" if is_whole else str(value)
    return value.strip() if isinstance(value, str) and clean_label(value) else ""


@functools.lru_cache(maxsize=4096)
def clean_label(label: str) -> str:
    """Return a label without what makes no difference: steps 1 and 2, and `1.0` as `1`."""
    # Letters can be composed once an invisible character between them is removed.
    before = "" if not label.isascii() else label
    while label != before:
        before, label = label, _format_characters().sub("", unicodedata.normalize("NFC", label))
    label = " ".join(label.split())
    if label.lower() in _BOOLEANS:
        return label.lower()
    number = _WHOLE_FRACTION.fullmatch(label)
    return number[1] if number else label


def label_identity(label: str) -> str:
    """Return what equal labels have in common."""
    label = clean_label(label)
    number = _WHOLE.fullmatch(label)
    if number is None:
        return label
    sign, digits = number.groups()
    return f"-{digits}" if sign == "-" and digits != "0" else digits


@dataclass(frozen=True)
class Merge:
    """A spelling of a label that counts as another one.

    Attributes:
        written: As it is written.
        name: The name of its class.
        num: How often it is written so.
    """

    written: str
    name: str
    num: int


def name_labels(counts: Mapping[str, int]) -> tuple[dict[str, str], tuple[Merge, ...]]:
    """Choose the name of each label: the most frequent of equal spellings.

    Args:
        counts: How often each label of the training data is written, by `written_label`.

    Returns:
        The name of each written label, and the spellings that were merged.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for written in counts:
        groups[label_identity(written)].append(written)
    names: dict[str, str] = {}
    merges = []
    for group in groups.values():
        by_name: Counter[str] = Counter()
        for written in group:
            by_name[clean_label(written)] += counts[written]
        name = min(by_name, key=lambda spelling: (-by_name[spelling], len(spelling), spelling))
        names |= dict.fromkeys(group, name)
        if len(group) > 1:
            merges += [
                Merge(written, name, counts[written]) for written in group if written != name
            ]
    return names, tuple(merges)


def find_labels(labels: Iterable[str], names: Sequence[str]) -> dict[str, int]:
    """Return the index of each label in the names of the classes; without those that have none.

    Args:
        labels: Labels of other data, as they are written.
        names: The names of the classes.
    """
    exact = {name: i for i, name in enumerate(names)}
    equal = {label_identity(name): i for i, name in reversed([*enumerate(names)])}
    found = {label: exact.get(label, equal.get(label_identity(label))) for label in labels}
    return {label: i for label, i in found.items() if i is not None}


def describe_merges(merges: Sequence[Merge]) -> str:
    """Return a sentence on the spellings that were merged, and on how many rows have them."""
    shown = [
        f"{visible(merge.written)} ({pluralize(merge.num, 'row')}) counts as {visible(merge.name)}"
        for merge in sorted(merges, key=lambda merge: -merge.num)[:_MAX_MERGES_SHOWN]
    ]
    more = len(merges) - len(shown)
    others = f", and {more:,} more" if more else ""
    return f"Labels that are only written differently are one class: {', '.join(shown)}{others}."
