"""The protocol of one connection: one request at a time, with limits of time and size.

Uvicorn ends connections that are idle between requests. But it waits without limit for the first
request, for the rest of a head, and for a client to read its response; it queues pipelined requests
without limit and drops those that have arrived in part. This subclass limits all of these, and
keeps Uvicorn's parser and the way it calls an application. It overrides methods that are not a
public interface, so pyproject.toml has an upper bound for Uvicorn.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lstm_cli.serve.errors import ApiError, too_many_connections
from lstm_cli.serve.framing import Framer
from lstm_cli.serve.request_record import HEADER, RequestRecord, record_of
from lstm_cli.serve.settings import Limits
from lstm_cli.serve.transport import WriteTimeoutTransport

_MAX_HEAD_BYTES = 64 << 10
# Pipelined bytes that wait for earlier responses, of all connections together.
_MAX_PENDING_BYTES = 32 << 20
# Pipelined requests that start in one iteration of the event loop.
_MAX_STARTS_PER_ITERATION = 8
# Connections beyond `max_connections` that are accepted: health checks are answered there, all
# other requests get 503. Each of them has this time to send its head.
_NUM_SPARE_CONNECTIONS = 64
_SPARE_HEAD_SECONDS = 1.0
_NOT_HTTP = "This is not a valid HTTP/1.1 request."
_HTTP_HINT = "Write 'HTTP/1.1' after the path."


class RequestScheduler:
    """Starts the pipelined requests of all connections of a server, in turn.

    The event loop accepts one connection per iteration, and an iteration that starts a request of
    every connection takes too long.

    Attributes:
        num_pending_bytes: Received bytes of requests that have not started.
    """

    def __init__(self) -> None:
        self.num_pending_bytes = 0
        self._queue: deque[HttpProtocol] = deque()

    def schedule(self, protocol: HttpProtocol) -> None:
        """Start the next request of a connection after those that other connections scheduled."""
        if not self._queue:
            protocol.loop.call_soon(self._start_requests, protocol.loop)
        self._queue.append(protocol)

    def _start_requests(self, loop: asyncio.AbstractEventLoop) -> None:
        num_starts = min(_MAX_STARTS_PER_ITERATION, len(self._queue))
        protocols = [self._queue.popleft() for _ in range(num_starts)]
        if self._queue:
            loop.call_soon(self._start_requests, loop)
        for protocol in protocols:
            protocol.start_next_request()


class HttpProtocol(HttpToolsProtocol):
    """The protocol of one connection.

    The parser gets the next request after the response of the previous one is complete and the
    client has read most of it. So Uvicorn's own queue of pipelined requests stays empty, and
    `cycle` is the request that is being received or answered. A timer runs from `connection_made`,
    or from the first byte after a response, to the end of the head.

    Args:
        limits: Limits of requests and connections.
        scheduler: Shared by all connections of a server.
        observe: Receives the record of each request that the application does not see.
        *args: Of Uvicorn's protocol.
        **kwargs: Of Uvicorn's protocol.
    """

    transport: WriteTimeoutTransport  # type: ignore[assignment]

    def __init__(
        self,
        limits: Limits,
        scheduler: RequestScheduler,
        observe: Callable[[RequestRecord], None],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # Uvicorn calls `app` for each request.
        self._asgi_app, self.app = self.app, self._run_app
        self._limits = limits
        self._scheduler = scheduler
        self._observe = observe
        self._framer = Framer()
        self._head_timer: asyncio.TimerHandle | None = None
        self._request_task: asyncio.Task[Any] | None = None
        self._parse_error: ApiError | None = None
        self._is_over_limit = False
        self._is_scheduled = False
        self._reading_head = True
        self._head_started = False
        self._eof_received = False
        self._has_dropped_bytes = False
        # Bytes of the head, or between two chunks of a body.
        self._num_overhead_bytes = 0

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection; beyond the limit, accept one request or refuse it at once."""
        wrapped = WriteTimeoutTransport(
            cast(asyncio.Transport, transport),
            self.loop,
            self._limits.client_timeout,
            self._may_receive_more,
        )
        super().connection_made(cast(asyncio.Transport, wrapped))
        num_over_limit = len(self.connections) - self._limits.max_connections
        self._is_over_limit = num_over_limit > 0
        if num_over_limit > _NUM_SPARE_CONNECTIONS:
            self._send_error(too_many_connections())
        else:
            self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the request: no client waits for its response."""
        self._cancel_head_timer()
        if self._request_task is not None:
            self._request_task.cancel()
        self._unset_keepalive_if_required()
        self._clear_buffer()
        super().connection_lost(exc)
        self.transport.cancel_timers()

    def eof_received(self) -> None:
        """Close after the data that is still to be sent."""
        self._eof_received = True
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Process received bytes; drop them if the connection is about to be closed."""
        if self.transport.is_closing() or self._closes_after_response():
            self._has_dropped_bytes = True
            return
        self._framer.feed(data)
        self._scheduler.num_pending_bytes += len(data)
        self._process_buffer()

    def pause_writing(self) -> None:
        """Start the write timeout: the client does not read fast enough."""
        super().pause_writing()
        self.transport.start_write_timeout()

    def resume_writing(self) -> None:
        """Stop the write timeout, and start a request that has waited for the client to read."""
        super().resume_writing()
        self.transport.stop_write_timeout()
        self._schedule_next_request()

    # One request after the other

    def start_next_request(self) -> None:
        """Start the next pipelined request; called by the scheduler."""
        self._is_scheduled = False
        self.flow.resume_reading()
        self._process_buffer()

    def _process_buffer(self) -> None:
        """Pass the buffer to the parser, up to the end of the current request."""
        while len(self._framer) and not self.transport.is_closing():
            if self._is_responding() or self.flow.write_paused or self._is_scheduled:
                self.flow.pause_reading()
                self._unset_keepalive_if_required()
                if self._scheduler.num_pending_bytes > _MAX_PENDING_BYTES:
                    self._drop_pipelined_requests()
                return
            self._parse_next_piece()

    def _schedule_next_request(self) -> None:
        if not self._is_scheduled and len(self._framer) and not self.transport.is_closing():
            self._is_scheduled = True
            self._unset_keepalive_if_required()
            self._scheduler.schedule(self)

    def _parse_next_piece(self) -> None:
        piece = self._framer.next_piece()
        self._scheduler.num_pending_bytes -= len(piece)
        if self._reading_head and self._head_timer is None:
            self._start_head_timer()
        self._num_overhead_bytes += len(piece)
        if self._reading_head and self._num_overhead_bytes > _MAX_HEAD_BYTES:
            self._send_error(
                ApiError(431, f"The request head has more than {_MAX_HEAD_BYTES:,} bytes.")
            )
            return
        super().data_received(piece)
        is_in_body = not self._reading_head
        if is_in_body and self._num_overhead_bytes > _MAX_HEAD_BYTES and self._is_chunked():
            self._send_error(
                ApiError(431, f"There are more than {_MAX_HEAD_BYTES:,} bytes between two chunks.")
            )

    def _is_responding(self) -> bool:
        """Return whether a request was received whole and its response is not complete."""
        return self._reading_head and self.cycle is not None and not self.cycle.response_complete

    def _closes_after_response(self) -> bool:
        """Return whether the current response announces the end of the connection."""
        return self._is_responding() and not self.cycle.keep_alive

    def _may_receive_more(self) -> bool:
        """Return whether the client may send bytes that have not been received."""
        is_between_requests = (
            self._reading_head and not self._head_started and not len(self._framer)
        )
        return not self._eof_received and (
            not is_between_requests or self._has_dropped_bytes or self.flow.read_paused
        )

    def _is_chunked(self) -> bool:
        return any(name == b"transfer-encoding" for name, _ in self.headers)

    def _drop_pipelined_requests(self) -> None:
        """Close after the current response: too many bytes are pending on all connections."""
        self._clear_buffer()
        self._has_dropped_bytes = True
        if self._is_responding() and not self.cycle.response_started:
            self.cycle.keep_alive = False
        else:
            self.transport.abort()

    def _clear_buffer(self) -> None:
        self._scheduler.num_pending_bytes -= len(self._framer)
        self._framer.clear()

    # Called by the parser

    def on_message_begin(self) -> None:
        """Start a request head."""
        super().on_message_begin()
        self._head_started = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; trailers, which follow a chunked body, are ignored."""
        if self._reading_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the application; the body may still be arriving."""
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            if version == "0.9":
                self._parse_error = ApiError(400, _NOT_HTTP, _HTTP_HINT)
            else:
                self._parse_error = ApiError(505, _NOT_HTTP, _HTTP_HINT)
            raise self._parse_error
        self._reading_head = False
        self._num_overhead_bytes = 0
        self._cancel_head_timer()
        self._framer.start_body(self.headers)
        super().on_headers_complete()
        if self.parser.should_upgrade():
            # The parser takes the following bytes for another protocol.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        self._num_overhead_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the head of the next request."""
        self._reading_head, self._head_started = True, False
        self._num_overhead_bytes = 0
        self._framer.end_body()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser rejects."""
        self._send_error(self._parse_error or ApiError(400, _NOT_HTTP))

    # Responses

    async def _run_app(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the application; the last response of a connection says `Connection: close`."""
        cycle = self.cycle
        scope["over_connection_limit"] = self._is_over_limit

        async def send_with_close(message: Any) -> None:
            # After a body that was not read, the start of the next request cannot be found.
            is_last = cycle.more_body or self._is_over_limit or not cycle.keep_alive
            if message["type"] == "http.response.start" and is_last:
                headers = [pair for pair in message["headers"] if pair[0] != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        self._request_task = asyncio.current_task()
        try:
            await self._asgi_app(scope, receive, send_with_close)
        except asyncio.CancelledError:
            # The client has disconnected, or the time for a graceful shutdown is over.
            self._abort(cycle)
        else:
            if not cycle.response_complete:
                self._abort(cycle)
        finally:
            if cycle is self.cycle:
                self._request_task = None

    def _abort(self, cycle: Any) -> None:
        """Close without a response; marked as disconnected, or Uvicorn would log a traceback."""
        cycle.disconnected = True
        self.transport.abort()

    def on_response_complete(self) -> None:
        """Close the connection, or start the next request."""
        super().on_response_complete()
        self._schedule_next_request()

    def _send_error(self, error: ApiError) -> None:
        """Send an error without the application, and close."""
        cycle = self.cycle
        is_idle = cycle is None or cycle.response_complete
        record = RequestRecord() if is_idle else record_of(cycle.scope)
        if not is_idle:
            cycle.disconnected = True
            cycle.message_event.set()
        if is_idle or not cycle.response_started:
            body = error.body(record.id)
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"%s: %s\r\nconnection: close\r\n\r\n%s"
                % (
                    error.status,
                    HTTPStatus(error.status).phrase.encode(),
                    len(body),
                    HEADER,
                    record.id.encode("ascii"),
                    body,
                )
            )
            record.status = error.status
        if is_idle:
            record.finished = time.time()
            self._observe(record)
        self._close()

    # Timeouts

    def timeout_keep_alive_handler(self) -> None:
        """Close: the client has sent nothing since its last response."""
        self._close()

    def _start_head_timer(self) -> None:
        seconds = self._limits.client_timeout
        if self._is_over_limit:
            seconds = min(seconds, _SPARE_HEAD_SECONDS)
        self._head_timer = self.loop.call_later(seconds, self._on_head_timeout, seconds)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self, seconds: float) -> None:
        if self._is_over_limit:
            self._send_error(too_many_connections())
        else:
            self._send_error(
                ApiError(408, f"The request head took longer than {seconds:g} s to arrive.")
            )

    def _close(self) -> None:
        self._cancel_head_timer()
        self.transport.close()
