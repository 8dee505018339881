"""Which requests a server answers by the headers `Host` and `Origin`.

A page of another site can reach a server on the reader's own machine. It sends requests to
`localhost`, which carry a foreign `Origin`; or its own name is made to resolve to 127.0.0.1 (DNS
rebinding), so that the browser takes the server for a part of that site.

Source: RFC 9112, section 3.2 (Host); RFC 6454 (Origin).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve.schemas import ApiError

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{0,5}))?")
_ORIGIN = re.compile(r"(https?)://(.+)", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Hosts:
    """The names a server answers to.

    The loopback names and the address that the client connected to are always among them.

    Attributes:
        allowed: Further names and addresses, as `parse` returns them; their pages are answered too.
        any_host: Every name is answered.
    """

    allowed: frozenset[str] = frozenset()
    any_host: bool = False

    def check(self, scope: Mapping[str, Any]) -> None:
        """Check the headers of a request.

        Args:
            scope: Of ASGI.

        Raises:
            ApiError: `Host` is missing, there several times or malformed (400), or names
                another server (421); or the request comes from a page of another origin (403).
        """
        host = self._check_host(scope)
        for origin in _values(scope, b"origin"):
            self._check_origin(origin, host)

    def _check_host(self, scope: Mapping[str, Any]) -> tuple[str, int | None] | None:
        given = _values(scope, b"host")
        if not given and self.any_host and scope["http_version"] == "1.0":
            return None  # HTTP/1.0 has no such header, and no browser sends it
        if len(given) != 1:
            raise ApiError(
                400,
                f"Expected one header 'Host', found {len(given) or 'none'}.",
                "HTTP/1.1 requires it: the name or address of the server.",
            )
        host = _parse_authority(given[0])
        if host is None:
            raise ApiError(
                400,
                "The header 'Host' is not a name or an address with or without a port.",
                "Send one such as 'Host: localhost:8000'.",
            )
        name, _ = host
        if not (self.any_host or name in _LOOPBACK | self.allowed or name == _own_address(scope)):
            raise ApiError(
                421,
                f"This server does not answer to the name '{name}'.",
                f"Use localhost, or start the server with --allowed-host {name}.",
            )
        return host

    def _check_origin(self, origin: str, host: tuple[str, int | None] | None) -> None:
        match = _ORIGIN.fullmatch(origin)
        scheme = match[1].lower() if match else ""
        found = _parse_authority(match[2]) if match else None
        if found is None:
            raise ApiError(
                403,
                "A page of an unknown origin may not use this server.",
                "Open the server's own page.",
            )
        default = _DEFAULT_PORTS[scheme]
        name, port = found
        if name in self.allowed or (
            host is not None and (name, port or default) == (host[0], host[1] or default)
        ):
            return
        raise ApiError(
            403,
            f"A page of '{name}' may not use this server.",
            f"Open the server's own page, or start the server with --allowed-host {name}.",
        )


def choose(allowed: Sequence[str], is_loopback: bool, has_key: bool) -> Hosts:
    """Return the names that a server answers to.

    Args:
        allowed: Values of `--allowed-host`, as `parse` returns them.
        is_loopback: Whether only this machine reaches the server.
        has_key: Whether clients must bring a key, which no foreign page has.
    """
    names = frozenset(allowed)
    return Hosts(names, any_host=not names and (has_key or not is_loopback))


def parse(name: str) -> str:
    """Return a name or an address as it is compared: in lower case, without brackets or a dot.

    Raises:
        LstmError: It has a port, a scheme or characters that no name has.
    """
    is_bare_ipv6 = name.count(":") > 1 and not name.startswith("[")
    text = f"[{name}]" if is_bare_ipv6 else name
    found = None if re.search(r":[0-9]*$", text) else _parse_authority(text)
    if found is None:
        raise LstmError(
            f"--allowed-host: {name[:80]!r} is not a name or an address without a port.",
            "Give what clients put before the port: 'lstm.example.org', '192.0.2.1', '::1'.",
            ExitCode.USAGE,
        )
    return found[0]


def _values(scope: Mapping[str, Any], name: bytes) -> list[str]:
    found = [value for key, value in scope["headers"] if key == name]
    return [value.strip(b" \t").decode("latin-1") for value in found]


def _parse_authority(text: str) -> tuple[str, int | None] | None:
    """Split `name:port`; None where it is not of that form."""
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


def _own_address(scope: Mapping[str, Any]) -> str | None:
    """Return the address that the client connected to."""
    if not scope.get("server"):
        return None
    try:
        address = ipaddress.ip_address(scope["server"][0].partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
