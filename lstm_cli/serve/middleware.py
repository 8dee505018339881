"""The middleware around every route: request ids, hosts, CORS, API key, headers, errors."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Set
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lstm_cli.serve.errors import ApiError, too_many_connections
from lstm_cli.serve.request_record import HEADER, RequestRecord, read_id
from lstm_cli.serve.settings import ServerSettings

# The paths that are answered on connections beyond `Limits.max_connections`.
_PROBE_PATHS = {"/healthz", "/readyz"}
# How much of a rejected body is received and dropped before the response.
_DRAIN_SECONDS, _MAX_DRAINED_BYTES = 5.0, 256 << 20
_CLIENT_DISCONNECTED = 499
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_DEFAULT_CONTENT_SECURITY_POLICY = b"default-src 'none'; frame-ancestors 'none'"


class Middleware:
    """An ASGI application around another one; it answers exceptions with JSON.

    Args:
        app: The inner application; it raises `ApiError` for requests that it rejects.
        settings: Limits, API key, allowed hosts and origins.
        public_paths: Paths that need no API key.
        identify: Sets path and model of a record, from the path of its request.
        observe: Receives the record of each request after its response.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        public_paths: Set[str],
        identify: Callable[[RequestRecord, str], None],
        observe: Callable[[RequestRecord], None],
    ) -> None:
        self._app = app
        self._hosts = settings.hosts
        keys = (settings.api_key or "").encode().split(b",")
        self._key_digests = [_digest(key.strip()) for key in keys if key.strip()]
        self._public_paths = public_paths
        self._identify = identify
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        record = RequestRecord(method=scope["method"])
        record.id = read_id(scope["headers"]) or record.id
        record.attach(scope)
        self._identify(record, scope["path"])
        responder = _Responder(scope, receive, send, record, self._hosts.cors.headers(scope))
        # With an "app" in the scope, Starlette's router raises 404 and 405 as exceptions.
        scope["app"] = self
        try:
            await self._answer(scope, responder)
        except ApiError as error:
            await responder.send_error(error)
        except HTTPException as error:
            await responder.send_error(_routing_error(scope, error))
        except (ConnectionError, asyncio.CancelledError) as error:
            record.status = record.status or _CLIENT_DISCONNECTED
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception as error:  # one request must not end the server
            await responder.send_error(_internal_error(error, record.id))
        finally:
            record.seconds, record.finished = time.perf_counter() - started, time.time()
            self._observe(record)

    async def _answer(self, scope: Scope, responder: _Responder) -> None:
        if scope.get("over_connection_limit") and scope["path"] not in _PROBE_PATHS:
            raise too_many_connections()
        self._hosts.check(scope)
        preflight = self._hosts.cors.preflight_headers(scope)
        if preflight is not None:
            await responder.send_no_content(preflight)
            return
        self._check_api_key(scope)
        await self._app(scope, responder.receive, responder.send)

    def _check_api_key(self, scope: Scope) -> None:
        if not self._key_digests or scope["path"] in self._public_paths:
            return
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = header.partition(b" ")
        # All digests have the same length and all keys are compared: the time reveals nothing.
        sent = _digest(key.strip())
        equal = [hmac.compare_digest(sent, digest) for digest in self._key_digests]
        if not (any(equal) and scheme.lower() == b"bearer"):
            raise ApiError(
                401,
                "The API key is not valid." if header else "This path needs the API key.",
                "Send the header 'Authorization: Bearer KEY'.",
                {"WWW-Authenticate": "Bearer"},
            )


class _Responder:
    """One request and its response.

    Args:
        scope: ASGI connection scope.
        receive: Of the connection.
        send: Of the connection.
        record: Of the request; its status is that of the response, 0 before it starts.
        headers: Added to those that all responses have.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        record: RequestRecord,
        headers: Iterable[tuple[bytes, bytes]],
    ) -> None:
        self._expects_continue = any(name == b"expect" for name, _ in scope["headers"])
        self._receive = receive
        self._send = send
        self._record = record
        self._headers = (*_HEADERS, (HEADER, record.id.encode("ascii")), *headers)
        self._is_body_complete = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._is_body_complete = True
        return message

    async def send(self, message: Message) -> None:
        """Send a message; the start of a response gets the headers that all responses have."""
        if message["type"] == "http.response.start":
            self._record.status = message["status"]
            headers = [*message.get("headers", ()), *self._headers]
            if all(name != b"content-security-policy" for name, _ in headers):
                headers.append((b"content-security-policy", _DEFAULT_CONTENT_SECURITY_POLICY))
            message = {**message, "headers": headers}
        await self._send(message)

    async def send_error(self, error: ApiError) -> None:
        """Send an error, after the rest of the body was received and dropped.

        Otherwise a client that is still sending would see a connection reset instead of the
        response. If the rest is too large or too slow, the connection is closed after the response.
        """
        if self._record.status:
            return
        # A client that waits for "100 Continue" does not send its body after an error, and a
        # client that timed out has had its time.
        if not (self._expects_continue or error.status == 408):
            await self._drain_body()
        body = error.body(self._record.id)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **error.headers,
        }
        if not self._is_body_complete:
            headers["Connection"] = "close"
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": error.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def send_no_content(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send a response without a body."""
        raw = [*headers]
        await self.send({"type": "http.response.start", "status": 204, "headers": raw})
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain_body(self) -> None:
        num_bytes = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._is_body_complete and num_bytes <= _MAX_DRAINED_BYTES:
                    num_bytes += len((await self.receive()).get("body", b""))


def _routing_error(scope: Scope, error: HTTPException) -> ApiError:
    """Return the error for an unknown path (404) or a method that a path does not have (405)."""
    return ApiError(
        error.status_code,
        f"{scope['method']} {scope['path'][:200]} does not exist.",
        "See /docs for all paths.",
        error.headers,
    )


def _internal_error(error: Exception, request_id: str) -> ApiError:
    """Report an error that is a bug, and return the response.

    The message of the exception may hold a text, so only LSTM_DEBUG=1 shows it.
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
    sys.stderr.write(f"Request {request_id} failed: {where}.\n")
    if os.environ.get("LSTM_DEBUG"):
        traceback.print_exception(error)
    return ApiError(
        500,
        "The server failed to answer this request.",
        "This is a bug in lstm. Start the server with LSTM_DEBUG=1 to see the traceback on stderr.",
    )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
