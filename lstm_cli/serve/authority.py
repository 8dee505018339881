"""Host and port as the headers `Host` and `Origin` write them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{0,5}))?")
Authority = tuple[str, int | None]


def parse_authority(text: str) -> Authority | None:
    """Split `name:port`; return None if the text does not have this form."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    port = int(match[2]) if match[2] else None
    if port is not None and port > 65_535:
        return None
    name = match[1].lower()
    if not name.startswith("["):
        name = name.removesuffix(".")
        return (name, port) if name else None
    try:
        return str(ipaddress.IPv6Address(name[1:-1])), port
    except ValueError:
        return None


def header_values(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """Return all values of a header of a request.

    Args:
        scope: ASGI connection scope.
        name: In lower case.
    """
    values = [value for key, value in scope["headers"] if key == name]
    return [value.strip(b" \t").decode("latin-1") for value in values]
