"""JSON of any value that a table or a prediction may hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from lstm_cli.io.text_format import to_text


def json_line(value: Any) -> str:
    """Return JSON on one line, for a file of UTF-8."""
    return encode(value, ensure_ascii=False)


def encode(value: Any, **options: Any) -> str:
    """Return JSON; what it has no type for, such as a date in Parquet, becomes text.

    NaN and infinite numbers become null: JSON has no word for them.
    """
    encoder = _encoder(**options)
    try:
        return encoder.encode(value)
    except ValueError:
        return encoder.encode(_finite(value))


@cache
def _encoder(**options: Any) -> json.JSONEncoder:
    return json.JSONEncoder(default=to_text, allow_nan=False, **options)


def _finite(value: Any) -> Any:
    """Replace the numbers that JSON cannot hold by None."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
