"""`lstm serve`: runs behind HTTP, with a page to try the first one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lstm_cli.cli import options
from lstm_cli.cli import serve_options as of_serve
from lstm_cli.cli.command import Conflict, check_conflicts
from lstm_cli.cli.option_groups import with_groups
from lstm_cli.cli.output import print_note
from lstm_cli.io.signals import hold_hangup

if TYPE_CHECKING:
    from socket import socket

    from lstm_cli.serve.access_log import AccessLog
    from lstm_cli.serve.run_names import FoundRun
    from lstm_cli.serve.settings import ServerSettings

_CONFLICTS = (
    Conflict("--unix-socket", ("--host", "--port"), "the server listens on the socket only"),
)
_CONFLICTS_WITHOUT_SOCKET = (
    Conflict("", ("--unix-socket-mode",), "the server does not listen on a Unix socket"),
)
_RELOAD_SECONDS = 5.0
_PACKAGES = ("starlette", "uvicorn", "httptools", "prometheus_client")


@with_groups
def command(
    ctx: typer.Context,
    *,
    runs: of_serve.Runs = None,
    runs_dir: options.RunsDir = None,
    address: of_serve.SocketOptions,
    key_env: of_serve.ApiKeyEnv = "LSTM_API_KEY",
    allowed_hosts: of_serve.AllowedHosts = None,
    cors_origins: of_serve.CorsOrigins = None,
    examples: of_serve.Examples = None,
    reload: of_serve.Reload = False,
    access_log: of_serve.AccessLogFormat = "none",
    limits: of_serve.LimitOptions,
) -> None:
    """Answer requests over HTTP, and show a page in the browser.

    POST /v1/predict classifies, POST /v1/explain explains; GET /docs describes all requests. Ctrl-C
    or SIGTERM ends the server when open requests are answered; the exit code is 0. A second signal
    ends it at once. SIGHUP looks for a newer run.

    Needs more packages: pip install 'lstm-cli[serve]'

    For example:

    ```
    lstm serve --run imdb
    lstm serve --run imdb --run spam=runs/mails/v3
    LSTM_API_KEY=secret lstm serve --host 0.0.0.0
    curl localhost:8000/v1/predict --json '{"text": "A triumph."}'
    ```
    """
    from lstm_cli.io.optional import require

    # By default, a SIGHUP that comes before the server is ready would end it.
    ctx.with_resource(hold_hangup())
    check_conflicts(ctx, _CONFLICTS)
    if address.unix_socket is None:
        check_conflicts(ctx, _CONFLICTS_WITHOUT_SOCKET)
    # Before the room is imported, which needs them.
    require(*_PACKAGES)
    from lstm_cli.io import environment
    from lstm_cli.serve import app, cors, hosts, server
    from lstm_cli.serve.settings import ServerSettings

    checked = limits.limits()
    key = environment.read_secret(key_env)
    names = [hosts.parse_host(name) for name in allowed_hosts or ()]
    origins = [cors.parse_origin(origin) for origin in cors_origins or ()]
    found = _find_runs(runs or (), runs_dir)
    with _bind(address) as sock, _access_log(access_log) as log:
        is_local = server.is_loopback(sock)
        settings = ServerSettings(
            checked,
            key,
            is_local if examples is None else examples,
            hosts.make_policy(names, is_local, key is not None, origins),
            server.curl_url(sock),
            _RELOAD_SECONDS if reload else None,
        )
        _warn(settings, None if is_local else address.host, key_env)
        where = address.unix_socket or settings.curl_url
        app.serve(
            [one.source() for one in found],
            sock,
            settings,
            lambda _: print_note(f"Serving on {where} (press Ctrl-C to stop)"),
            log,
            print_note,
        )


def _find_runs(values: Sequence[str], runs_dir: Path | None) -> list[FoundRun]:
    """Find the runs to serve, and print them on stderr."""
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.serve import run_names

    found = run_names.find_runs(values, runs_root(runs_dir))
    for one in found:
        print_note(f"{f'Model {one.name}' if len(found) > 1 else 'Run'}: {one.run.name}")
    return found


def _bind(address: of_serve.SocketOptions) -> AbstractContextManager[socket]:
    """Return the socket to listen on, which is closed at the end of a `with` block."""
    from lstm_cli.serve import server
    from lstm_cli.serve.unix_socket import bind_unix, parse_mode

    if address.unix_socket is None:
        return server.bind(address.host, address.port)
    return bind_unix(address.unix_socket, parse_mode(address.unix_socket_mode))


def _warn(settings: ServerSettings, host: str | None, key_env: str) -> None:
    """Warn if people or web pages can use the server that perhaps should not.

    Args:
        settings: Of the server.
        host: The address, if other machines can connect to it.
        key_env: Name of the environment variable with the key.
    """
    if settings.api_key is not None:
        return
    if host is not None:
        print_note(
            f"Warning: everyone who can reach {host} can use this; set {key_env} to require a key."
        )
    if settings.hosts.cors.allows_any:
        print_note(
            "Warning: with --cors-origin '*' every web page that is opened where this server can "
            f"be reached can use it; set {key_env} to require a key."
        )


@contextmanager
def _access_log(format_: str) -> Iterator[AccessLog | None]:
    """Return the access log on stdout, which is closed at the end; None for no log.

    Raises:
        LstmError: The process was started with stdout closed.
    """
    from lstm_cli.cli import streams
    from lstm_cli.serve.access_log import AccessLog

    if format_ == "none":
        yield None
        return
    with streams.open_results() as stream:
        log = AccessLog(stream, print_note)
        try:
            yield log
        finally:
            log.close()
