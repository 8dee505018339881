"""Types of numbers and texts in a run's JSON files, and how the files are decoded.

Every number has a smallest and a largest value, which also excludes NaN and infinities. Every
text except class names has a largest length. So what is decoded can be printed and computed with.
"""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

MAX_INTEGER = 2**53  # the largest integer up to which a float holds all integers exactly
MAX_EPOCHS = 100_000
_MAX_REASON_CHARS = 300

Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Number = Annotated[float, Meta(ge=-1e300, le=1e300)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
# A mean of fractions may be rounded to slightly more than 1.
Mean = Annotated[float, Meta(ge=0, le=1.001)]
Loss = Annotated[float, Meta(ge=0, le=1e6)]
Perplexity = Annotated[float, Meta(ge=1, le=1e305)]
EpochNumber = Annotated[int, Meta(ge=1, le=MAX_EPOCHS)]
ShortText = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=65_536)]


def decode(content: bytes, kind: type[T]) -> T:
    """Decode JSON into a type.

    Args:
        content: UTF-8.
        kind: A msgspec struct, a dataclass, or a tuple of these.

    Raises:
        ValueError: It is not JSON, or not of that type. The message continues after the name of
            the file, and names the key.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Python accepts half of a surrogate pair, and allows to name the key of a NaN.
        pass
    try:
        return msgspec.convert(json.loads(content), kind)
    except msgspec.ValidationError as error:
        raise ValueError(_reason(error)) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f" is not JSON ({str(error)[:_MAX_REASON_CHARS]})") from None


def _reason(error: msgspec.ValidationError) -> str:
    """Turn the error of a decoder into `, dataset.sizes: expected ...`."""
    message, key = str(error), ""
    if " - at `$" in message:
        message, _, key = message.rpartition(" - at `$")
    key = key.removesuffix("`").lstrip(".")[:_MAX_REASON_CHARS]
    # The message may quote a value of any length.
    message = message[:_MAX_REASON_CHARS]
    return f", {key}: {message}" if key else f": {message}"
