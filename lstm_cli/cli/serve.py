"""`lstm serve`: a run behind HTTP, with a page to try it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_cli.cli import options

if TYPE_CHECKING:
    from lstm_cli.serve.settings import Limits

_PACKAGES = ("starlette", "uvicorn", "httptools", "prometheus_client")

_Host = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Address to listen on; 0.0.0.0 accepts connections from other machines.",
    ),
]
_Port = Annotated[
    int,
    typer.Option(
        "--port", metavar="PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one."
    ),
]
_ApiKeyEnv = Annotated[
    str,
    typer.Option(
        "--api-key-env",
        metavar="NAME",
        help="Environment variable that holds the key clients must send, or several keys separated "
        "by commas: the old one and the new one. If it is not set, no key is needed.",
    ),
]
_AllowedHosts = Annotated[
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
_Examples = Annotated[
    bool | None,
    typer.Option(
        "--examples/--no-examples",
        help="Show example inputs of the run's data on the page.",
        show_default="only if no other machine can connect",
    ),
]
_MaxBody = Annotated[
    int,
    typer.Option(
        "--max-body", metavar="BYTES", min=1, help="Largest request; a larger one gets 413."
    ),
]
_MaxTexts = Annotated[
    int,
    typer.Option(
        "--max-texts", metavar="N", min=1, help="Most texts or images in a request; more get 422."
    ),
]
_MaxTokens = Annotated[
    int,
    typer.Option(
        "--max-tokens", metavar="N", min=1, help="Longest text in tokens; a longer one gets 422."
    ),
]
_MaxQueue = Annotated[
    int,
    typer.Option(
        "--max-queue", metavar="N", min=1, help="Most inputs that wait; further ones get 429."
    ),
]
_MaxConnections = Annotated[
    int,
    typer.Option(
        "--max-connections",
        metavar="N",
        min=1,
        help="Most open connections; further ones get 503, except for /healthz and /readyz.",
    ),
]
_Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        help="Longest time until an answer; after it the client gets 504.",
    ),
]
_ClientTimeout = Annotated[
    float,
    typer.Option(
        "--client-timeout",
        metavar="SECONDS",
        min=0.1,
        help="Longest time a client may take to send its request (else 408), or to read nothing of "
        "its answer (else the connection ends).",
    ),
]


def command(
    run: options.Run = None,
    runs_dir: options.RunsDir = None,
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    key_env: _ApiKeyEnv = "LSTM_API_KEY",
    allowed_hosts: _AllowedHosts = None,
    examples: _Examples = None,
    max_body: _MaxBody = 1 << 20,
    max_texts: _MaxTexts = 128,
    max_tokens: _MaxTokens = 10_000,
    max_queue: _MaxQueue = 1024,
    max_connections: _MaxConnections = 512,
    timeout: _Timeout = 10.0,
    client_timeout: _ClientTimeout = 10.0,
) -> None:
    """Answer requests over HTTP, and show a page in the browser.

    POST /v1/predict classifies, POST /v1/explain explains; GET /docs describes all requests. Ctrl-C
    or SIGTERM ends the server when open requests are answered; the exit code is 0. A second signal
    ends it at once.

    Needs more packages: pip install 'lstm-cli[serve]'

    For example:

    ```
    lstm serve --run imdb
    LSTM_API_KEY=secret lstm serve --host 0.0.0.0
    curl localhost:8000/v1/predict --json '{"text": "A triumph."}'
    ```
    """
    from lstm_cli.io.optional import require

    # Before the room is imported, which needs them.
    require(*_PACKAGES)
    from lstm_cli.serve.settings import Limits, check_limits

    limits = Limits(
        max_body, max_texts, max_tokens, max_queue, timeout, client_timeout, max_connections
    )
    check_limits(limits)
    _serve(limits, run, runs_dir, host, port, key_env, allowed_hosts or [], examples)


def _serve(
    limits: Limits,
    run: str | None,
    runs_dir: Path | None,
    host: str,
    port: int,
    key_env: str,
    allowed_hosts: list[str],
    examples: bool | None,
) -> None:
    """Open the run and the socket, and serve until a signal.

    Raises:
        LstmError: There is no such run, a name is not valid, or the port is in use.
    """
    from lstm_cli.cli import output
    from lstm_cli.explain.explainer import Explainer
    from lstm_cli.io import environment
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find
    from lstm_cli.serve import hosts, server
    from lstm_cli.serve.app import serve
    from lstm_cli.serve.settings import ServerSettings

    key = environment.read_secret(key_env)
    names = [hosts.parse_host(name) for name in allowed_hosts]
    found = find(runs_root(runs_dir), run)
    output.print_note(f"Run: {found.name}")
    with server.bind(host, port) as sock:
        is_local = server.is_loopback(sock)
        if not is_local and key is None:
            output.print_note(
                f"Warning: everyone who can reach {host} can use this; set {key_env} to require a "
                "key."
            )
        url = server.url(sock)
        settings = ServerSettings(
            limits,
            key,
            is_local if examples is None else examples,
            hosts.make_policy(names, is_local, key is not None),
        )
        serve(
            Explainer.load(found),
            sock,
            settings,
            lambda _: output.print_note(f"Serving on {url} (press Ctrl-C to stop)"),
        )
