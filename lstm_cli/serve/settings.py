"""Settings of a server: the limits of requests, the API key and the allowed hosts."""

from __future__ import annotations

from dataclasses import dataclass, field

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve.hosts import HostPolicy


@dataclass(frozen=True)
class Limits:
    """Limits of requests and connections.

    Attributes:
        max_body: Bytes in a body; more is 413.
        max_texts: Inputs in a request; more is 422.
        max_tokens: Tokens in a text, before the run truncates it; more is 422.
        max_queue: Inputs in the queue; more is 429.
        timeout: Seconds from the complete request to its response; longer is 504.
        client_timeout: Seconds a client may take to send the head, and again for the body; longer
            is 408. Also the seconds in which it must read part of a response, or the connection is
            aborted.
        max_connections: Open connections; more is 503, except for `/healthz` and `/readyz`.
    """

    max_body: int = 1 << 20
    max_texts: int = 128
    max_tokens: int = 10_000
    max_queue: int = 1024
    timeout: float = 10.0
    client_timeout: float = 10.0
    max_connections: int = 512


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a server.

    Attributes:
        limits: Limits of requests and connections.
        api_key: The key that clients must send, or several keys separated by commas, of which they
            must send one; None allows every client.
        show_examples: Whether `/v1/model` and the page show inputs of the run's data.
        hosts: The values of `Host` and `Origin` that are accepted.
        curl_url: What `curl` needs to reach the server, before the path, as typed in a shell.
        reload_seconds: How often to look for newer runs; None for only on SIGHUP.
    """

    limits: Limits
    api_key: str | None = None
    show_examples: bool = True
    hosts: HostPolicy = field(default_factory=HostPolicy)
    curl_url: str = "http://localhost:8000"
    reload_seconds: float | None = None


def check_limits(limits: Limits) -> None:
    """Check that the queue has room for the largest request.

    Raises:
        LstmError: The queue is shorter than one request may be.
    """
    if limits.max_queue < limits.max_texts:
        raise LstmError(
            f"The queue holds {limits.max_queue:,} inputs, but a request may have "
            f"{limits.max_texts:,}: such a request could never be answered.",
            "Raise --max-queue or lower --max-texts.",
            ExitCode.USAGE,
        )
