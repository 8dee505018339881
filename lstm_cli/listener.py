"""The socket, and connections that end: slow and half-open clients, and a server told to stop.

uvicorn ends connections that are idle between requests. It waits for ever for the first one, and
for the rest of a head; here both have a time and a size.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.gate import Limits
from lstm_cli.wire import RefusedError

_MAX_HEAD = 64 << 10
# What one request may send in all, a body that is refused and thrown away included.
_MAX_REQUEST = 256 << 20
_BACKLOG = 2048
_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


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

    config = uvicorn.Config(
        app,
        http=_protocol(limits),
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


def _protocol(limits: Limits) -> type[Any]:
    """Build uvicorn's HTTP protocol with a time and a size for heads."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Protocol(HttpToolsProtocol):
        """One connection.

        Between `connection_made`, or the first byte after an answer, and the end of a head a
        timer runs.
        """

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._timer: asyncio.TimerHandle | None = None
            self._in_head = True
            self._whole = True
            self._num_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.max_connections:
                self._refuse(
                    RefusedError(503, "Too many connections are open.", "Try again in 1 s.")
                )
                return
            self._arm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            self._in_head = self._in_head or self._whole
            if self._in_head and self._timer is None:
                self._arm()
            self._num_bytes += len(data)
            super().data_received(data)
            if self._num_bytes > (_MAX_HEAD if self._in_head else _MAX_REQUEST):
                self._refuse(RefusedError(431, f"The head has more than {_MAX_HEAD:,} bytes.", ""))

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head, self._whole = True, False

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._num_bytes = 0
            self._disarm()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._whole = True
            self._num_bytes = 0
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._whole:
                # The rest of a body that nobody reads; what comes after it cannot be told apart.
                self.transport.close()

        def send_400_response(self, msg: str) -> None:
            self._refuse(RefusedError(400, "This is no HTTP request.", ""))

        def timeout_keep_alive_handler(self) -> None:
            self._end()

        def _arm(self) -> None:
            self._timer = self.loop.call_later(limits.client_timeout, self._late)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            told = f"The head took longer than {limits.client_timeout:g} s."
            if self.cycle is None or self.cycle.response_complete:
                self._refuse(RefusedError(408, told, ""))
            else:
                self._end()

        def _refuse(self, refused: RefusedError) -> None:
            if self.transport.is_closing():
                return
            body = refused.body()
            reason = _REASONS.get(refused.status, b"Service Unavailable")
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (refused.status, reason, len(body), body)
            )
            self._end()

        def _end(self) -> None:
            self._disarm()
            if self.transport.is_closing():
                return
            if self.transport.get_write_buffer_size():
                # Whoever takes no answer would hold it for ever.
                self.transport.abort()
            else:
                self.transport.close()

    return Protocol


def _cannot_bind(host: str, port: int, error: Exception) -> LstmError:
    return LstmError(
        f"Cannot listen on {host}, port {port}: {error}.",
        "Name another with --host and --port; --port 0 takes one that is free.",
        ExitCode.ERROR,
    )
