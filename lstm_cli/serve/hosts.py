"""The `Host` and `Origin` headers that a server accepts.

A web page of another site can reach a server on the user's own machine in two ways. It sends
requests to `localhost`; these carry a foreign `Origin`. Or its own name is made to resolve to
127.0.0.1 (DNS rebinding), and the browser takes the server for a part of that site.

Source: RFC 9112, section 3.2 (Host); RFC 6454 (Origin).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve.errors import ApiError

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{0,5}))?")
_ORIGIN = re.compile(r"(https?)://(.+)", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_Authority = tuple[str, int | None]


@dataclass(frozen=True)
class HostPolicy:
    """The host names that a server accepts.

    The loopback names and the address that the client connected to are always accepted.

    Attributes:
        allowed_hosts: Further names and addresses, as `parse_host` returns them; pages of these
            hosts are accepted as origins too.
        allow_any: Whether every host name is accepted.
    """

    allowed_hosts: frozenset[str] = frozenset()
    allow_any: bool = False

    def check(self, scope: Mapping[str, Any]) -> None:
        """Check the headers of a request.

        Args:
            scope: ASGI connection scope.

        Raises:
            ApiError: `Host` is missing, repeated or malformed (400) or names another server (421),
                or the request comes from a page of another origin (403).
        """
        host = self._check_host(scope)
        for origin in _header_values(scope, b"origin"):
            self._check_origin(origin, host)

    def _check_host(self, scope: Mapping[str, Any]) -> _Authority | None:
        values = _header_values(scope, b"host")
        if not values and self.allow_any and scope["http_version"] == "1.0":
            return None  # HTTP/1.0 has no such header, and no browser uses HTTP/1.0
        if len(values) != 1:
            raise ApiError(
                400,
                f"Expected one header 'Host', found {len(values) or 'none'}.",
                "HTTP/1.1 requires it: the name or address of the server.",
            )
        host = _parse_authority(values[0])
        if host is None:
            raise ApiError(
                400,
                "The header 'Host' is not a valid name or address.",
                "Send for example 'Host: localhost:8000'.",
            )
        name, _ = host
        is_allowed = name in _LOOPBACK_NAMES | self.allowed_hosts or name == _local_address(scope)
        if not (self.allow_any or is_allowed):
            raise ApiError(
                421,
                f"The host name '{name}' is not allowed.",
                f"Use localhost, or start the server with --allowed-host {name}.",
            )
        return host

    def _check_origin(self, origin: str, host: _Authority | None) -> None:
        match = _ORIGIN.fullmatch(origin)
        authority = _parse_authority(match[2]) if match else None
        if match is None or authority is None:
            raise ApiError(
                403,
                "The origin of the web page that sent this request is not valid.",
                "Open the server's own page.",
            )
        default_port = _DEFAULT_PORTS[match[1].lower()]
        name, port = authority
        is_same_origin = host is not None and (
            (name, port or default_port) == (host[0], host[1] or default_port)
        )
        if not (is_same_origin or name in self.allowed_hosts):
            raise ApiError(
                403,
                f"Web pages of '{name}' may not use this server.",
                f"Open the server's own page, or start the server with --allowed-host {name}.",
            )


def make_policy(allowed_hosts: Sequence[str], is_loopback: bool, has_key: bool) -> HostPolicy:
    """Return the policy of a server.

    Args:
        allowed_hosts: Values of `--allowed-host`, as `parse_host` returns them.
        is_loopback: Whether only this machine can connect to the server.
        has_key: Whether clients must send an API key, which a foreign page does not have.
    """
    names = frozenset(allowed_hosts)
    return HostPolicy(names, allow_any=not names and (has_key or not is_loopback))


def parse_host(name: str) -> str:
    """Return the normal form of a name or address: lower case, no brackets, no final dot.

    Raises:
        LstmError: The name has a port, a scheme or characters that are not valid in a host name.
    """
    is_bare_ipv6 = name.count(":") > 1 and not name.startswith("[")
    text = f"[{name}]" if is_bare_ipv6 else name
    authority = None if re.search(r":[0-9]*$", text) else _parse_authority(text)
    if authority is None:
        raise LstmError(
            f"--allowed-host: {name[:80]!r} is not a valid name or address without a port.",
            "Examples: 'lstm.example.org', '192.0.2.1', '::1'.",
            ExitCode.USAGE,
        )
    return authority[0]


def _header_values(scope: Mapping[str, Any], name: bytes) -> list[str]:
    values = [value for key, value in scope["headers"] if key == name]
    return [value.strip(b" \t").decode("latin-1") for value in values]


def _parse_authority(text: str) -> _Authority | None:
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


def _local_address(scope: Mapping[str, Any]) -> str | None:
    """Return the address that the client connected to."""
    if not scope.get("server"):
        return None
    try:
        address = ipaddress.ip_address(scope["server"][0].partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
