"""One connection of `lstm serve`: a request at a time, each with a time and a size.

uvicorn ends connections that are idle between requests. It waits for ever for the first one, for
the rest of a head, and for a client to take its answer; it queues pipelined requests without bound
and forgets those of which a part has come. Here all of that is bounded, on uvicorn's own parser and
its way to call an application. What this overrides is no public interface of uvicorn, which is why
pyproject.toml has an upper bound for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lstm_cli.serve.framing import Framer
from lstm_cli.serve.middleware import SPARE_CONNECTIONS, Limits, too_many_connections
from lstm_cli.serve.schemas import ApiError
from lstm_cli.serve.transport import PatientTransport

_MAX_HEAD = 64 << 10
# Bytes of later requests that wait for the answers before them, of all connections together.
_MAX_WAITING = 32 << 20
# Requests that waited.
_BEGUN_IN_A_TURN = 8
# To send a head, where there are too many connections already.
_SURPLUS_SECONDS = 1.0
_NO_REQUEST = "This is not an HTTP/1.1 request."


class Shared:
    """What the connections of a server have in common.

    Attributes:
        limits: Times and sizes.
        num_waiting: Bytes received of requests that are not begun.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.num_waiting = 0
        self._queue: deque[Connection] = deque()

    def go_on_later(self, connection: Connection) -> None:
        """Have a connection begin a request that waits, after those of others.

        The event loop accepts one connection a turn, and a turn that begins a pipelined request of
        every connection takes too long.
        """
        if not self._queue:
            connection.loop.call_soon(self._take_turn, connection.loop)
        self._queue.append(connection)

    def _take_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        num_begun = min(_BEGUN_IN_A_TURN, len(self._queue))
        begun = [self._queue.popleft() for _ in range(num_begun)]
        if self._queue:
            loop.call_soon(self._take_turn, loop)
        for connection in begun:
            connection.resume_run()


class Connection(HttpToolsProtocol):
    """One connection.

    Its parser gets the next request when the one before is answered and the client has taken most
    of that: uvicorn's queue of pipelined requests stays empty, and `cycle` is the request that is
    read or answered. From `connection_made`, or the first byte after an answer, to the end of a
    head a timer runs.
    """

    def __init__(self, shared: Shared, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn calls `app` for each request.
        self._inner, self.app = self.app, self._answer
        self._shared = shared
        self._framer = Framer()
        self._timer: asyncio.TimerHandle | None = None
        self._is_surplus = False
        self._in_head = True
        self._has_begun = False
        self._has_turn = True
        self._has_ended = False
        self._has_discarded = False
        self._num_bytes = 0
        self._patient: PatientTransport
        self._answering: asyncio.Task[Any] | None = None
        self._refused: ApiError | None = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept, refuse where there are too many, or take one request to see what it is."""
        limits = self._shared.limits
        self._patient = PatientTransport(
            cast(asyncio.Transport, transport), self.loop, limits.client_timeout, self._sends_more
        )
        super().connection_made(cast(asyncio.Transport, self._patient))
        surplus = len(self.connections) - limits.max_connections
        self._is_surplus = surplus > 0
        if surplus > SPARE_CONNECTIONS:
            self._refuse(too_many_connections())
        else:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and compute no answer that nobody waits for."""
        self._disarm()
        if self._answering is not None:
            self._answering.cancel()
        self._unset_keepalive_if_required()
        self._forget_waiting()
        super().connection_lost(exc)
        self._patient.forget()

    def eof_received(self) -> None:
        """Close: what is still to be sent has the time that answers have."""
        self._has_ended = True
        self._patient.close()

    def data_received(self, data: bytes) -> None:
        """Take what was sent; it is thrown away once the connection is to be closed."""
        if self._patient.is_closing() or self._is_last():
            self._has_discarded = True
            return
        self._framer.receive(data)
        self._shared.num_waiting += len(data)
        self._go_on()

    def pause_writing(self) -> None:
        """Watch that the client takes its answers."""
        super().pause_writing()
        self._patient.watch()

    def resume_writing(self) -> None:
        """Begin what waited for this."""
        super().resume_writing()
        self._patient.unwatch()
        self._go_on_later()

    # One request after the other

    def resume_run(self) -> None:
        """Begin the request that waits."""
        self._has_turn = True
        self.flow.resume_reading()
        self._go_on()

    def _go_on(self) -> None:
        """Give the parser what it may have."""
        while len(self._framer) and not self._patient.is_closing():
            if self._is_answering() or self.flow.write_paused or not self._has_turn:
                self.flow.pause_reading()
                self._unset_keepalive_if_required()
                if self._shared.num_waiting > _MAX_WAITING:
                    self._stop_waiting()
                return
            self._feed()

    def _go_on_later(self) -> None:
        if self._has_turn and len(self._framer) and not self._patient.is_closing():
            self._has_turn = False
            self._unset_keepalive_if_required()
            self._shared.go_on_later(self)

    def _feed(self) -> None:
        piece = self._framer.cut()
        self._shared.num_waiting -= len(piece)
        if self._in_head and self._timer is None:
            self._arm()
        self._num_bytes += len(piece)
        if self._in_head and self._num_bytes > _MAX_HEAD:
            self._refuse(ApiError(431, f"The head has more than {_MAX_HEAD:,} bytes."))
            return
        super().data_received(piece)
        if not self._in_head and self._num_bytes > _MAX_HEAD and self._is_chunked():
            self._refuse(ApiError(431, f"Between chunks are more than {_MAX_HEAD:,} bytes."))

    def _is_answering(self) -> bool:
        """Tell whether a whole request waits for its answer, or for the end of it."""
        return self._in_head and self.cycle is not None and not self.cycle.response_complete

    def _is_last(self) -> bool:
        """Tell whether the connection was announced to be closed after this answer."""
        return self._is_answering() and not self.cycle.keep_alive

    def _sends_more(self) -> bool:
        """Tell whether bytes of the client may come that are not read yet."""
        is_between = self._in_head and not self._has_begun and not len(self._framer)
        return not self._has_ended and (
            not is_between or self._has_discarded or self.flow.read_paused
        )

    def _is_chunked(self) -> bool:
        return any(name == b"transfer-encoding" for name, _ in self.headers)

    def _stop_waiting(self) -> None:
        """Answer no further requests of this client: too many wait, of all together."""
        self._forget_waiting()
        self._has_discarded = True
        if self._is_answering() and not self.cycle.response_started:
            self.cycle.keep_alive = False
        else:
            self._patient.abort()

    def _forget_waiting(self) -> None:
        self._shared.num_waiting -= len(self._framer)
        self._framer.clear()

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._has_begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after a body are none of the request's."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if (version := self.parser.get_http_version()) not in ("1.0", "1.1"):
            status = 400 if version == "0.9" else 505
            self._refused = ApiError(status, _NO_REQUEST, "Write 'HTTP/1.1' after the path.")
            raise self._refused
        self._in_head = False
        self._num_bytes = 0
        self._disarm()
        self._framer.begin_body(self.headers)
        super().on_headers_complete()
        if self.parser.should_upgrade():
            # The parser takes what comes after this for another protocol's.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; what stands between chunks is counted from here."""
        self._num_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._in_head, self._has_begun = True, False
        self._num_bytes = 0
        self._framer.end_body()
        super().on_message_complete()

    # Answers

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the application, and announce where this is the last answer."""
        cycle = self.cycle
        scope["is_surplus"] = self._is_surplus

        async def announce(message: Any) -> None:
            # What comes after a body that nobody has read cannot be told apart from it.
            is_last = cycle.more_body or self._is_surplus or not cycle.keep_alive
            if message["type"] == "http.response.start" and is_last:
                headers = [pair for pair in message["headers"] if pair[0] != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        self._answering = asyncio.current_task()
        try:
            await self._inner(scope, receive, announce)
        except asyncio.CancelledError:
            # The client is gone, or the server ends and has waited for as long as it waits.
            self._give_up(cycle)
        else:
            if not cycle.response_complete:
                self._give_up(cycle)
        finally:
            if cycle is self.cycle:
                self._answering = None

    def _give_up(self, cycle: Any) -> None:
        """End a connection without its answer; uvicorn would write a traceback about it."""
        cycle.disconnected = True
        self._patient.abort()

    def on_response_complete(self) -> None:
        """Close, or go on to the next request."""
        super().on_response_complete()
        self._go_on_later()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser does not take."""
        self._refuse(self._refused or ApiError(400, _NO_REQUEST))

    # The end

    def timeout_keep_alive_handler(self) -> None:
        """Close: the client has sent nothing since its answer."""
        self._end()

    def _arm(self) -> None:
        seconds = self._shared.limits.client_timeout
        if self._is_surplus:
            seconds = min(seconds, _SURPLUS_SECONDS)
        self._timer = self.loop.call_later(seconds, self._late, seconds)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self, seconds: float) -> None:
        if self._is_surplus:
            self._refuse(too_many_connections())
        else:
            self._refuse(ApiError(408, f"The head took longer than {seconds:g} s."))

    def _refuse(self, refused: ApiError) -> None:
        """Answer without the application, and close."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if cycle is None or cycle.response_complete or not cycle.response_started:
            body = refused.body()
            self._patient.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s"
                % (refused.status, HTTPStatus(refused.status).phrase.encode(), len(body), body)
            )
        self._end()

    def _end(self) -> None:
        self._disarm()
        self._patient.close()
