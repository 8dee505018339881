"""Cross-origin resource sharing: which web pages of other origins may use the server.

The server never allows credentials, so browsers add no cookies; a page that needs the API key must
have it and send it by itself.

Source: Fetch standard, section 3.3 (CORS protocol).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve.authority import Authority, header_values, parse_authority

ANY_ORIGIN = "*"
_ORIGIN = re.compile(r"(https?)://(.+)", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PREFLIGHT_HEADERS = (
    (b"access-control-allow-methods", b"GET, POST"),
    # "*" would not include Authorization.
    (b"access-control-allow-headers", b"Authorization, Content-Type, X-Request-ID"),
    (b"access-control-max-age", b"600"),
)
_EXPOSED_HEADERS = (b"access-control-expose-headers", b"Retry-After, X-Request-ID")
_Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class CorsPolicy:
    """The origins whose pages may use the server, beside those of the server itself.

    Attributes:
        origins: As `parse_origin` returns them; `ANY_ORIGIN` among them allows every page.
    """

    origins: frozenset[str] = frozenset()

    @property
    def allows_any(self) -> bool:
        """Whether every page may use the server."""
        return ANY_ORIGIN in self.origins

    def allows(self, origin: str) -> bool:
        """Return whether pages of an origin may use the server.

        Args:
            origin: Value of the header `Origin`.
        """
        if self.allows_any:
            return True
        parts = split_origin(origin)
        return parts is not None and _join(*parts) in self.origins

    def headers(self, scope: Mapping[str, Any]) -> _Headers:
        """Return the headers that let the page that sent a request read its response.

        Args:
            scope: ASGI connection scope.
        """
        if not self.origins:
            return []
        vary = [] if self.allows_any else [(b"vary", b"Origin")]
        origins = header_values(scope, b"origin")
        if len(origins) != 1 or not self.allows(origins[0]):
            return vary
        origin = ANY_ORIGIN if self.allows_any else origins[0]
        return [
            *vary, (b"access-control-allow-origin", origin.encode("latin-1")), _EXPOSED_HEADERS
        ]  # fmt: skip

    def preflight_headers(self, scope: Mapping[str, Any]) -> _Headers | None:
        """Return the headers that answer the question of a browser before a request of a page.

        A browser asks without the API key, so it must be answered without one.

        Args:
            scope: ASGI connection scope.

        Returns:
            None if this is another request, or the page may not use the server.
        """
        if scope["method"] != "OPTIONS" or not self.origins:
            return None
        origins = header_values(scope, b"origin")
        asks = header_values(scope, b"access-control-request-method")
        if not asks or len(origins) != 1 or not self.allows(origins[0]):
            return None
        return list(_PREFLIGHT_HEADERS)


def parse_origin(text: str) -> str:
    """Return the normal form of a value of `--cors-origin`.

    Raises:
        LstmError: It is neither `*` nor scheme, host and port (exit code 2).
    """
    if text == ANY_ORIGIN:
        return text
    parts = split_origin(text)
    if parts is None:
        reason = (
            "'null' is the origin of files and of frames that any page can make"
            if text == "null"
            else "an origin is a scheme, a host and perhaps a port, without a path"
        )
        raise LstmError(
            f"--cors-origin: {text[:80]!r} is not an origin: {reason}.",
            "Examples: 'https://app.example.org', 'http://localhost:3000'. '*' allows every page.",
            ExitCode.USAGE,
        )
    return _join(*parts)


def split_origin(text: str) -> tuple[str, Authority] | None:
    """Return scheme, and host and port, of an origin; None if it is not one.

    A port that is missing is that of the scheme.
    """
    match = _ORIGIN.fullmatch(text)
    authority = parse_authority(match[2]) if match else None
    if match is None or authority is None:
        return None
    scheme = match[1].lower()
    return scheme, (authority[0], authority[1] or _DEFAULT_PORTS[scheme])


def default_port(scheme: str) -> int:
    """Return the port that URLs of a scheme mean if they have none."""
    return _DEFAULT_PORTS[scheme]


def _join(scheme: str, authority: Authority) -> str:
    name, port = authority
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"
