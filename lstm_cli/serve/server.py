"""The socket of `lstm serve`, Uvicorn's server on it, and graceful shutdown on a signal."""

from __future__ import annotations

import asyncio
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.signals import HeldHangup, has_terminal
from lstm_cli.serve.request_record import RequestRecord
from lstm_cli.serve.settings import Limits

_BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket; it does not listen yet.

    Raises:
        LstmError: The address is in use, or does not belong to this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _bind_error(host, port, error) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _bind_error(host, port, error) from None
    sock.setblocking(False)
    return sock


def curl_url(sock: socket.socket) -> str:
    """Return what `curl` needs to reach a bound socket, before a path, as typed in a shell."""
    if _is_unix(sock):
        return f"--unix-socket {shlex.quote(sock.getsockname())} http://localhost"
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(sock: socket.socket) -> bool:
    """Return whether only this machine can connect to a bound socket."""
    if _is_unix(sock):
        return True
    host = str(sock.getsockname()[0])
    return host.startswith("127.") or host == "::1"


def _is_unix(sock: socket.socket) -> bool:
    return hasattr(socket, "AF_UNIX") and sock.family == socket.AF_UNIX


async def serve(
    app: Any,
    sock: socket.socket,
    limits: Limits,
    on_ready: Callable[[Callable[[], None]], None],
    on_shutdown: Callable[[], None],
    on_hangup: Callable[[], None],
    observe: Callable[[RequestRecord], None],
) -> None:
    """Serve until SIGINT or SIGTERM, then finish open requests; a second signal ends at once.

    Args:
        app: ASGI application.
        sock: From `bind` or `unix_socket.bind_unix`; closed at the end.
        limits: Limits of requests and connections.
        on_ready: Called when the server accepts connections, with a function that shuts it down as
            a signal does. That function must be called in the server's thread.
        on_shutdown: Called when the shutdown starts.
        on_hangup: Called on SIGHUP. If the terminal has gone, SIGHUP ends the server instead.
        observe: Receives the record of each request that the application does not see.
    """
    import uvicorn

    from lstm_cli.serve.protocol import HttpProtocol, RequestScheduler

    config = uvicorn.Config(
        app,
        http=cast(Any, partial(HttpProtocol, limits, RequestScheduler(), observe)),
        ws="none",
        lifespan="off",
        log_config=None,
        # Errors of clients are answered but not logged: clients could fill the log.
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, round(limits.client_timeout)),
        timeout_graceful_shutdown=round(limits.timeout + 2 * limits.client_timeout) + 1,
        backlog=_BACKLOG,
    )

    def shut_down() -> None:
        on_shutdown()
        server.should_exit = True

    server = _make_server(config, lambda: on_ready(shut_down))
    with _signal_handlers(shut_down, on_hangup):
        await server.serve(sockets=[sock])


@contextmanager
def _signal_handlers(
    shut_down: Callable[[], None], on_hangup: Callable[[], None]
) -> Iterator[None]:
    """Call a function on the first SIGINT or SIGTERM, and one on each SIGHUP.

    A SIGHUP that `hold_hangup` has recorded counts too. The second SIGINT or SIGTERM ends the
    process. Outside the main thread, Python handles no signals, and this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    ending = [signal.SIGINT, signal.SIGTERM]
    hangup = [signal.SIGHUP] if sys.platform != "win32" else []
    # A signal that the process was started to ignore, as by `nohup`, stays ignored.
    previous = {
        number: handler
        for number in (*ending, *hangup)
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }
    had_terminal = has_terminal()

    def end() -> None:
        for number in ending:
            if number in previous:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
        shut_down()

    def hang_up() -> None:
        if had_terminal and not has_terminal():
            end()
        else:
            on_hangup()

    for number in previous:
        loop.add_signal_handler(number, hang_up if number in hangup else end)
    # Only now, so that none is lost in between.
    for handler in previous.values():
        if isinstance(handler, HeldHangup) and handler.is_pending:
            on_hangup()
    try:
        yield
    finally:
        for number, handler in previous.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _make_server(config: Any, on_ready: Callable[[], None]) -> Any:
    """Return Uvicorn's server, without its signal handlers and with a callback after start-up."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready()

    return Server(config)


def _bind_error(host: str, port: int, error: Exception) -> LstmError:
    return LstmError(
        f"Cannot listen on {host}, port {port}: {error}.",
        "Choose another address with --host and --port; --port 0 chooses a free port.",
        ExitCode.ERROR,
    )
