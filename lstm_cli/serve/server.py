"""The socket of `lstm serve`, the server on it, and its end when a signal asks for that."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve.middleware import Limits

_BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """Take an address; nobody is answered yet.

    Raises:
        LstmError: It is taken, or none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _cannot_bind(host, port, error) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _cannot_bind(host, port, error) from None
    sock.setblocking(False)
    return sock


def url(sock: socket.socket) -> str:
    """Return where a bound socket is reached."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(sock: socket.socket) -> bool:
    """Tell whether only this machine reaches a bound socket."""
    host = str(sock.getsockname()[0])
    return host.startswith("127.") or host == "::1"


async def serve(
    app: Any,
    sock: socket.socket,
    limits: Limits,
    on_ready: Callable[[Callable[[], None]], None],
    on_drain: Callable[[], None],
) -> None:
    """Answer until SIGINT or SIGTERM, then finish what is in flight; a second signal ends at once.

    Args:
        app: An ASGI application.
        sock: Bound by `bind`; closed in the end.
        limits: Times and sizes.
        on_ready: Called once connections are accepted, with what ends the server as a signal does;
            to be called in the server's thread.
        on_drain: Called when the end begins.
    """
    import uvicorn

    from lstm_cli.serve.connection import Connection, Shared

    config = uvicorn.Config(
        app,
        http=cast(Any, partial(Connection, Shared(limits))),
        ws="none",
        lifespan="off",
        log_config=None,
        # What clients do wrong they are told, and nobody else: it would fill a log.
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, round(limits.client_timeout)),
        timeout_graceful_shutdown=round(limits.timeout + 2 * limits.client_timeout) + 1,
        backlog=_BACKLOG,
    )

    def drain() -> None:
        on_drain()
        server.should_exit = True

    server = _server(config, lambda: on_ready(drain))
    with _heard(drain):
        await server.serve(sockets=[sock])


@contextmanager
def _heard(drain: Callable[[], None]) -> Iterator[None]:
    """Call once when the process is asked to end; the system answers the next signal.

    Outside the main thread nothing is heard.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    # What the process was started to ignore, as by `nohup`, stays ignored.
    wanted = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.getsignal(number) for number in wanted}

    def hear() -> None:
        for number in wanted:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        drain()

    for number in wanted:
        loop.add_signal_handler(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _server(config: Any, on_ready: Callable[[], None]) -> Any:
    """Build uvicorn's server, which leaves signals to us and says when it is there."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready()

    return Server(config)


def _cannot_bind(host: str, port: int, error: Exception) -> LstmError:
    return LstmError(
        f"Cannot listen on {host}, port {port}: {error}.",
        "Name another with --host and --port; --port 0 takes one that is free.",
        ExitCode.ERROR,
    )
