"""The options of `lstm serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli.completion import complete_run
from lstm_cli.cli.options import RUN_HELP

if TYPE_CHECKING:
    from lstm_cli.serve.settings import Limits

Runs = Annotated[
    list[str] | None,
    typer.Option(
        "--run",
        metavar="[NAME=]RUN",
        help=f"Which run to serve: {RUN_HELP}. Repeatable: /v1/models/NAME/predict asks a run by "
        "its name, and paths without a name ask the first one. NAME is the last part of RUN if it "
        "is not given.",
        show_default="the newest finished run",
        autocompletion=complete_run,
    ),
]
Host = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Address to listen on; 0.0.0.0 accepts connections from other machines.",
    ),
]
Port = Annotated[
    int,
    typer.Option(
        "--port", metavar="PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one."
    ),
]
ApiKeyEnv = Annotated[
    str,
    typer.Option(
        "--api-key-env",
        metavar="NAME",
        help="Environment variable that holds the key clients must send, or several keys separated "
        "by commas: the old one and the new one. If it is not set, no key is needed.",
    ),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        metavar="NAME",
        help="Name or address that requests may have in their Host header, beside localhost, "
        "127.0.0.1, ::1 and the server's own address. Other names get status 421. Web pages of "
        "these hosts may send requests too. Repeatable.",
        show_default="any with an API key or if other machines can connect, else none",
    ),
]
Examples = Annotated[
    bool | None,
    typer.Option(
        "--examples/--no-examples",
        help="Show example inputs of the run's data on the page.",
        show_default="only if no other machine can connect",
    ),
]
MaxBody = Annotated[
    int,
    typer.Option(
        "--max-body", metavar="BYTES", min=1, help="Largest request; a larger one gets 413."
    ),
]
MaxTexts = Annotated[
    int,
    typer.Option(
        "--max-texts", metavar="N", min=1, help="Most texts or images in a request; more get 422."
    ),
]
MaxTokens = Annotated[
    int,
    typer.Option(
        "--max-tokens", metavar="N", min=1, help="Longest text in tokens; a longer one gets 422."
    ),
]
MaxQueue = Annotated[
    int,
    typer.Option(
        "--max-queue",
        metavar="N",
        min=1,
        help="Most inputs that wait, of all runs; further ones get 429.",
    ),
]
MaxConnections = Annotated[
    int,
    typer.Option(
        "--max-connections",
        metavar="N",
        min=1,
        help="Most open connections; further ones get 503, except for /healthz and /readyz.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        help="Longest time until an answer; after it the client gets 504.",
    ),
]
ClientTimeout = Annotated[
    float,
    typer.Option(
        "--client-timeout",
        metavar="SECONDS",
        min=0.1,
        help="Longest time a client may take to send its request (else 408), or to read nothing of "
        "its answer (else the connection ends).",
    ),
]
CorsOrigins = Annotated[
    list[str] | None,
    typer.Option(
        "--cors-origin",
        metavar="ORIGIN",
        help="Origin whose web pages may use the server, such as https://app.example.org; '*' "
        "allows every page. A page must send the API key itself. Repeatable.",
        show_default="only the server's own pages",
    ),
]
AccessLogFormat = Annotated[
    Literal["none", "json"],
    typer.Option(
        "--access-log",
        help="With json, write a line to stdout for each request: time, id, method, path, status, "
        "milliseconds, number of texts. Texts and keys are not in it.",
    ),
]
UnixSocket = Annotated[
    Path | None,
    typer.Option(
        "--unix-socket",
        metavar="PATH",
        help="Listen on a Unix socket at PATH instead of an address; its file is removed at the "
        "end. curl --unix-socket PATH http://localhost/ asks it.",
        show_default=False,
    ),
]
UnixSocketMode = Annotated[
    str,
    typer.Option(
        "--unix-socket-mode",
        metavar="OCTAL",
        help="Permissions of the Unix socket: 600 for your user only, 660 for its group too.",
    ),
]
Reload = Annotated[
    bool,
    typer.Option(
        "--reload",
        help="Look every 5 seconds for a newer finished run that --run means, and let it answer. "
        "SIGHUP does that once. A run that fails its checks is refused.",
    ),
]


@dataclass(frozen=True)
class SocketOptions:
    """The options for where to listen."""

    host: Host = "127.0.0.1"
    port: Port = 8000
    unix_socket: UnixSocket = None
    unix_socket_mode: UnixSocketMode = "600"


@dataclass(frozen=True)
class LimitOptions:
    """The options for the limits of requests and connections."""

    max_body: MaxBody = 1 << 20
    max_texts: MaxTexts = 128
    max_tokens: MaxTokens = 10_000
    max_queue: MaxQueue = 1024
    max_connections: MaxConnections = 512
    timeout: Timeout = 10.0
    client_timeout: ClientTimeout = 10.0

    def limits(self) -> Limits:
        """Return the limits.

        Raises:
            LstmError: One is out of range (exit code 2).
        """
        from lstm_cli.serve.settings import Limits, check_limits

        limits = Limits(
            max_body=self.max_body,
            max_texts=self.max_texts,
            max_tokens=self.max_tokens,
            max_queue=self.max_queue,
            timeout=self.timeout,
            client_timeout=self.client_timeout,
            max_connections=self.max_connections,
        )
        check_limits(limits)
        return limits
