"""Split a text into tokens, what stands between them, and the part that was not read.

Terminal, page, picture and report all show a text through this one walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Tokens below this share of the strongest effect are shown without a mark.
MIN_SHARE = 0.12


class Segment(NamedTuple):
    """A part of a text.

    Attributes:
        kind: `token`, `between` (spaces and the like) or `truncated` (the part not read).
        text: The part as it is spelled; empty for a token whose characters belong to the token
            before it ("½" holds three tokens).
        token_index: Index of the token; -1 for the other kinds.
    """

    kind: Literal["token", "between", "truncated"]
    text: str
    token_index: int = -1


def segments(
    text: str, spans: Iterable[tuple[int, int]], truncated_span: tuple[int, int] | None
) -> Iterator[Segment]:
    """Yield the parts of a text in order; joined, they are the text.

    Args:
        text: The text.
        spans: Start and end offset of each token that was read, in order.
        truncated_span: Start and end offset of the part that was not read, if any.
    """
    position = 0
    for index, (start, end) in enumerate(spans):
        yield from _between(text, position, start, truncated_span)
        yield Segment("token", text[max(position, start) : end], index)
        position = max(position, end)
    yield from _between(text, position, len(text), truncated_span)


def relative_effects(effects: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """Scale effects to -1 to 1, by the strongest one."""
    strongest = max(map(abs, effects), default=0.0)
    return [float(effect / strongest) if strongest else 0.0 for effect in effects]


def _between(
    text: str, start: int, end: int, truncated_span: tuple[int, int] | None
) -> Iterator[Segment]:
    if truncated_span is None or not start <= truncated_span[0] < end:
        parts = [Segment("between", text[start:end])]
    else:
        first, last = truncated_span
        parts = [
            Segment("between", text[start:first]),
            Segment("truncated", text[first:last]),
            Segment("between", text[last:end]),
        ]
    yield from (part for part in parts if part.text)
