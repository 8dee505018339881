"""`lstm serve`: serve a run over HTTP, with a page in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli.options import Run, RunsDir


def command(
    run: Run = None,
    runs_dir: RunsDir = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on. 0.0.0.0 lets other machines connect.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Port to listen on; 0 chooses a free one.",
        ),
    ] = 8000,
    key_env: Annotated[
        str,
        typer.Option(
            "--api-key-env",
            metavar="NAME",
            help="Environment variable with the API key that clients must send. If it is not set, "
            "no key is needed.",
        ),
    ] = "LSTM_API_KEY",
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="NAME",
            help="Host name or address, without a port, that clients may use for this server, and "
            "whose web pages may use it. localhost, 127.0.0.1, ::1 and the server's own address "
            "are always allowed; other names get status 421. Repeatable.",
            show_default="any name if an API key is set or other machines can connect, else none",
        ),
    ] = None,
    examples: Annotated[
        bool | None,
        typer.Option(
            "--examples/--no-examples",
            help="Show examples from the run's data on the page.",
            show_default="only if no other machine can connect",
        ),
    ] = None,
    max_body: Annotated[
        int,
        typer.Option(
            "--max-body",
            metavar="BYTES",
            min=1,
            help="Largest body of a request. Larger bodies get status 413.",
        ),
    ] = 1 << 20,
    max_texts: Annotated[
        int,
        typer.Option(
            "--max-texts",
            metavar="N",
            min=1,
            help="Most texts or images in a request. More get status 422.",
        ),
    ] = 128,
    max_tokens: Annotated[
        int,
        typer.Option(
            "--max-tokens",
            metavar="N",
            min=1,
            help="Most tokens in a text. Longer texts get status 422.",
        ),
    ] = 10_000,
    max_queue: Annotated[
        int,
        typer.Option(
            "--max-queue",
            metavar="N",
            min=1,
            help="Most texts or images that wait to be computed. More get status 429.",
        ),
    ] = 1024,
    max_connections: Annotated[
        int,
        typer.Option(
            "--max-connections",
            metavar="N",
            min=1,
            help="Most open connections. More get status 503, except for /healthz and /readyz.",
        ),
    ] = 512,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0.001,
            help="Longest time to compute a response. Slower requests get status 504.",
        ),
    ] = 10.0,
    client_timeout: Annotated[
        float,
        typer.Option(
            "--client-timeout",
            metavar="SECONDS",
            min=0.1,
            help="Longest time a client may take to send a request (then status 408), or may not "
            "read its response (then the connection is closed).",
        ),
    ] = 10.0,
) -> None:
    """Serve a run over HTTP, with a page in the browser.

    POST /v1/predict classifies, POST /v1/explain explains a prediction, and GET /docs describes all
    paths. SIGINT and SIGTERM stop the server: it finishes open requests and exits with code 0. A
    second signal stops it at once.

    Needs: pip install 'lstm-cli[serve]'.

    Examples: 'lstm serve --run imdb', 'LSTM_API_KEY=secret lstm serve --host 0.0.0.0',
    'curl localhost:8000/v1/predict --json @request.json'.
    """
    from lstm_cli.io.optional import require

    # Before the modules of the server, which import these packages.
    require("starlette", "uvicorn", "httptools", "prometheus_client")
    from lstm_cli.cli import output
    from lstm_cli.explain.explainer import Explainer
    from lstm_cli.io import environment
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find
    from lstm_cli.serve import hosts, server
    from lstm_cli.serve.app import serve
    from lstm_cli.serve.settings import Limits, ServerSettings, check_limits

    limits = Limits(
        max_body, max_texts, max_tokens, max_queue, timeout, client_timeout, max_connections
    )
    check_limits(limits)
    api_key = environment.read_secret(key_env)
    names = [hosts.parse_host(name) for name in allowed_hosts or ()]
    run_directory = find(runs_root(runs_dir), run)
    output.print_note(f"Run: {run_directory.name}")
    with server.bind(host, port) as sock:
        is_loopback = server.is_loopback(sock)
        if not is_loopback and api_key is None:
            output.print_note(
                f"Warning: everyone who can connect to {host} can use this server. Set {key_env} "
                "to require an API key."
            )
        settings = ServerSettings(
            limits,
            api_key,
            is_loopback if examples is None else examples,
            hosts.make_policy(names, is_loopback, api_key is not None),
        )
        address = server.url(sock)
        serve(
            Explainer.load(run_directory),
            sock,
            settings,
            lambda _: output.print_note(f"Serving on {address} (press Ctrl-C to stop)"),
        )
