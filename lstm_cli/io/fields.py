"""Texts that are made of the values of several columns, with a separator between them."""

from __future__ import annotations

from collections.abc import Sequence

# The symbol for the control character "unit separator": a token of its own for the tokenizer (it is
# neither a letter nor white space, and no normalization changes it), visible in explanations, and
# in no text by accident.
SEPARATOR = "\u241f"


def join_fields(values: Sequence[str]) -> str:
    """Join the values of several columns to one text.

    Args:
        values: One for each column; a missing value is empty. A separator inside a value becomes a
            space, so that the number of columns stays the same.

    Returns:
        The values with ` ␟ ` between them; nothing if all are blank, so that the text counts as
        empty. One value is returned unchanged.
    """
    if len(values) == 1:
        return values[0]
    if not any(value.strip() for value in values):
        return ""
    return f" {SEPARATOR} ".join(value.replace(SEPARATOR, " ") for value in values)


def split_fields(text: str) -> list[str]:
    """Return the values that `join_fields` joined, without white space around them."""
    return [value.strip() for value in text.split(SEPARATOR)]
