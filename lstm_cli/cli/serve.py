"""`lstm serve`: a run behind HTTP, with a page to try it."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli.options import Run, RunsDir


def command(
    run: Run = None,
    runs_dir: RunsDir = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 is all.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0 takes one that is free.")
    ] = 8000,
    key_env: Annotated[
        str,
        typer.Option(
            "--api-key-env",
            metavar="NAME",
            help="Environment variable with the key that clients must bring. Where it is not set, "
            "there is none.",
        ),
    ] = "LSTM_API_KEY",
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="NAME",
            help="A name or address, without a port, that the header Host may have beside "
            "localhost, 127.0.0.1, ::1 and the server's own address; pages of it are answered too. "
            "Others get 421. Repeatable.",
            show_default="any with an API key or where others can connect, else none",
        ),
    ] = None,
    examples: Annotated[
        bool | None,
        typer.Option(
            "--examples/--no-examples",
            help="Show inputs of the run's data on the page.",
            show_default="where only this machine can connect",
        ),
    ] = None,
    max_body: Annotated[
        int, typer.Option("--max-body", metavar="BYTES", min=1, help="Of a request; else 413.")
    ] = 1 << 20,
    max_texts: Annotated[
        int, typer.Option("--max-texts", min=1, help="Or images, in a request; else 422.")
    ] = 128,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="In a text; else 422.")
    ] = 10_000,
    max_queue: Annotated[
        int, typer.Option("--max-queue", min=1, help="Inputs that wait; else 429.")
    ] = 1024,
    max_connections: Annotated[
        int,
        typer.Option(
            "--max-connections",
            min=1,
            help="Open at once; else 503, but for /healthz and /readyz.",
        ),
    ] = 512,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=0.001, help="To an answer; else 504."),
    ] = 10.0,
    client_timeout: Annotated[
        float,
        typer.Option(
            "--client-timeout",
            metavar="SECONDS",
            min=0.1,
            help="A client may take to send a request, else 408; or go without taking anything of "
            "its answer, else the connection ends.",
        ),
    ] = 10.0,
) -> None:
    """Answer requests over HTTP, and show a page in the browser.

    POST /v1/predict classifies, POST /v1/explain says why; GET /docs describes the rest. SIGINT and
    SIGTERM end it: what is in flight is answered first, and the exit code is 0. A second signal
    ends it at once.

    Needs: pip install 'lstm-cli[serve]'.

    Examples: 'lstm serve --run imdb', 'LSTM_API_KEY=secret lstm serve --host 0.0.0.0',
    'curl localhost:8000/v1/predict --json @request.json'.
    """
    from lstm_cli.serve.app import check_limits, require_extra

    require_extra()
    from lstm_cli.cli import output
    from lstm_cli.explain.explainer import Explainer
    from lstm_cli.io import environment
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find
    from lstm_cli.serve import hosts, server
    from lstm_cli.serve.app import Settings, serve
    from lstm_cli.serve.middleware import Limits

    limits = Limits(
        max_body, max_texts, max_tokens, max_queue, timeout, client_timeout, max_connections
    )
    check_limits(limits)
    key = environment.read_secret(key_env)
    names = [hosts.parse(name) for name in allowed_hosts or ()]
    found = find(runs_root(runs_dir), run)
    output.print_note(f"Run: {found.name}")
    with server.bind(host, port) as sock:
        alone = server.is_loopback(sock)
        if not alone and key is None:
            output.print_note(
                f"Warning: whoever reaches {host} can use this; set {key_env} to ask for a key."
            )
        where = server.url(sock)
        settings = Settings(
            limits,
            key,
            alone if examples is None else examples,
            hosts.choose(names, alone, key is not None),
        )
        serve(
            Explainer.load(found),
            sock,
            settings,
            lambda _: output.print_note(f"Serving on {where}  (Ctrl-C ends it)"),
        )
