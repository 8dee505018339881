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
from dataclasses import dataclass, field
from typing import Any

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve.authority import Authority, header_values, parse_authority
from lstm_cli.serve.cors import CorsPolicy, default_port, split_origin
from lstm_cli.serve.errors import ApiError

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class HostPolicy:
    """The host names that a server accepts.

    The loopback names and the address that the client connected to are always accepted.

    Attributes:
        allowed_hosts: Further names and addresses, as `parse_host` returns them; pages of these
            hosts are accepted as origins too.
        allow_any: Whether every host name is accepted.
        cors: Further origins that are accepted.
    """

    allowed_hosts: frozenset[str] = frozenset()
    allow_any: bool = False
    cors: CorsPolicy = field(default_factory=CorsPolicy)

    def check(self, scope: Mapping[str, Any]) -> None:
        """Check the headers of a request.

        Args:
            scope: ASGI connection scope.

        Raises:
            ApiError: `Host` is missing, repeated or malformed (400) or names another server (421),
                or the request comes from a page of another origin (403).
        """
        host = self._check_host(scope)
        for origin in header_values(scope, b"origin"):
            self._check_origin(origin, host)

    def _check_host(self, scope: Mapping[str, Any]) -> Authority | None:
        values = header_values(scope, b"host")
        if not values and self.allow_any and scope["http_version"] == "1.0":
            return None  # HTTP/1.0 has no such header, and no browser uses HTTP/1.0
        if len(values) != 1:
            raise ApiError(
                400,
                f"Expected one header 'Host', found {len(values) or 'none'}.",
                "HTTP/1.1 requires it: the name or address of the server.",
            )
        host = parse_authority(values[0])
        if host is None:
            raise ApiError(
                400,
                "The header 'Host' is not a valid name or address.",
                "Send for example 'Host: localhost:8000'.",
            )
        name, _ = host
        is_allowed = self.allow_any or name in _LOOPBACK_NAMES or name in self.allowed_hosts
        if not (is_allowed or name == _local_address(scope)):
            raise ApiError(
                421,
                f"The host name '{name}' is not allowed.",
                f"Use localhost, or start the server with --allowed-host {name}.",
            )
        return host

    def _check_origin(self, origin: str, host: Authority | None) -> None:
        if self.cors.allows(origin):
            return
        parts = split_origin(origin)
        if parts is None:
            raise ApiError(
                403,
                "The origin of the web page that sent this request is not valid.",
                "Open the server's own page.",
            )
        scheme, (name, port) = parts
        is_same_origin = host is not None and (
            (name, port) == (host[0], host[1] or default_port(scheme))
        )
        if not (is_same_origin or name in self.allowed_hosts):
            raise ApiError(
                403,
                f"Web pages of '{name}' may not use this server.",
                "Open the server's own page, or start the server with --cors-origin "
                f"{origin.lower()}.",
            )


def make_policy(
    allowed_hosts: Sequence[str],
    is_loopback: bool,
    has_key: bool,
    cors_origins: Sequence[str] = (),
) -> HostPolicy:
    """Return the policy of a server.

    Args:
        allowed_hosts: Values of `--allowed-host`, as `parse_host` returns them.
        is_loopback: Whether only this machine can connect to the server.
        has_key: Whether clients must send an API key, which a foreign page does not have.
        cors_origins: Values of `--cors-origin`, as `cors.parse_origin` returns them.
    """
    names = frozenset(allowed_hosts)
    allow_any = not names and (has_key or not is_loopback)
    return HostPolicy(names, allow_any, CorsPolicy(frozenset(cors_origins)))


def parse_host(name: str) -> str:
    """Return the normal form of a name or address: lower case, no brackets, no final dot.

    Raises:
        LstmError: The name has a port, a scheme or characters that are not valid in a host name.
    """
    is_bare_ipv6 = name.count(":") > 1 and not name.startswith("[")
    text = f"[{name}]" if is_bare_ipv6 else name
    authority = None if re.search(r":[0-9]*$", text) else parse_authority(text)
    if authority is None:
        raise LstmError(
            f"--allowed-host: {name[:80]!r} is not a valid name or address without a port.",
            "Examples: 'lstm.example.org', '192.0.2.1', '::1'.",
            ExitCode.USAGE,
        )
    return authority[0]


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
