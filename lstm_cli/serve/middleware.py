"""What stands before every route: hosts, key, size and time of bodies, headers, errors, counts."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import re
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from lstm_cli.serve.hosts import Hosts
from lstm_cli.serve.schemas import ApiError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# Beyond `max_connections`; they get an answer from `_PROBES`, and 503 from everything else.
SPARE_CONNECTIONS = 64
_PROBES = {"/healthz", "/readyz"}
# What is read and thrown away of a body that is refused, before the answer.
_DISCARD_SECONDS, _MAX_DISCARDED = 5.0, 256 << 20
# All bodies being received, together, in bodies of the greatest size.
_BODIES_AT_ONCE = 64
_RETRY_SECONDS = 1
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_NO_CONTENT_POLICY = b"default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Attributes:
        max_body: Bytes of a body; 413.
        max_texts: Inputs in a request; 422.
        max_tokens: Tokens in a text, before the run's own cut; 422.
        max_queue: Inputs that wait to be computed; 429.
        timeout: Seconds from the whole request to its answer; 504.
        client_timeout: Seconds a client may take to send a head, then a body; 408. And seconds it
            may go without taking anything of an answer; then the connection is aborted.
        max_connections: Open at once; 503, but for `/healthz` and `/readyz`.
    """

    max_body: int = 1 << 20
    max_texts: int = 128
    max_tokens: int = 10_000
    max_queue: int = 1024
    timeout: float = 10.0
    client_timeout: float = 10.0
    max_connections: int = 512


class Middleware:
    """An ASGI application around another: what it raises becomes JSON, what it counts a metric."""

    def __init__(
        self,
        app: App,
        limits: Limits,
        hosts: Hosts,
        key: str | None,
        is_protected: Callable[[str], bool],
        count: Callable[[str, int, float], None],
    ) -> None:
        """Stand before an application.

        Args:
            app: Raises `ApiError` for what it does not answer.
            limits: What a request may cost.
            hosts: The names that are answered.
            key: What clients must bring; None lets everyone in.
            is_protected: Whether a path asks for the key.
            count: Told path, status and seconds of each request.
        """
        self._app = app
        self._limits = limits
        self._hosts = hosts
        self._key = _digest(key.encode()) if key else None
        self._is_protected = is_protected
        self._count = count
        self._held = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        expects = any(name == b"expect" for name, _ in scope["headers"])
        exchange = _Exchange(receive, send, expects)
        # Starlette raises, instead of answering by itself, where there is an application.
        scope["app"] = self
        scope["middleware"] = self
        try:
            if scope.get("is_surplus") and scope["path"] not in _PROBES:
                raise too_many_connections()
            self._hosts.check(scope)
            self._check_key(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except ApiError as refused:
            await exchange.refuse(refused)
        except HTTPException as error:
            await exchange.refuse(_unknown(scope, error))
        except (ConnectionError, asyncio.CancelledError) as error:
            # The client is gone.
            exchange.status = exchange.status or 499
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception as error:  # one request must not end the server
            await exchange.refuse(_unexpected(error))
        finally:
            self._count(scope["path"], exchange.status, time.perf_counter() - began)

    async def read(self, headers: Headers, receive: Receive) -> bytes:
        """Read a JSON body, counted as it comes.

        Raises:
            ApiError: It is of another type or encoded (415, 501), too large (413), too slow
                (408), or there are too many others (429).
            ConnectionError: The client went away.
        """
        self._check_type(headers)
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.client_timeout):
                await self._fill(body, receive)
        except TimeoutError:
            raise ApiError(
                408, f"The body took longer than {self._limits.client_timeout:g} s.", "Try again."
            ) from None
        finally:
            self._held -= len(body)
        return bytes(body)

    async def _fill(self, body: bytearray, receive: Receive) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > self._limits.max_body:
                raise self._too_large()
            body += chunk
            self._held += len(chunk)
            if self._held > _BODIES_AT_ONCE * self._limits.max_body:
                raise busy("Too many bodies are on their way.")
            more = message.get("more_body", False)

    def _check_type(self, headers: Headers) -> None:
        if "upgrade" in headers:
            # The parser takes what follows such a head for another protocol's: the body is lost.
            raise ApiError(
                400,
                "This speaks HTTP/1.1 and upgrades to nothing else.",
                "Leave out the header 'Upgrade'; curl does with --http1.1.",
            )
        given = headers.getlist("content-type")
        media, _, parameters = (given[0] if len(given) == 1 else "").partition(";")
        # A page of another site can send anything but this without being asked.
        if media.strip().lower() != "application/json":
            found = f"'{given[0][:80]}'" if len(given) == 1 else f"{len(given) or 'no'} types"
            raise ApiError(
                415,
                f"Expected a body of type application/json, found {found}.",
                "Send the header 'Content-Type: application/json'.",
            )
        charset = re.search(r"charset\s*=\s*\"?([^\s\";]*)", parameters, re.IGNORECASE)
        if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
            raise ApiError(
                415, f"JSON is UTF-8, found the charset '{charset[1][:80]}'.", "Send it as UTF-8."
            )
        self._check_codings(headers)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._limits.max_body:
            raise self._too_large()

    def _check_codings(self, headers: Headers) -> None:
        """Refuse a body that is compressed: nothing here unpacks one."""
        codings = _tokens(headers.getlist("content-encoding"))
        if codings - {"identity"}:
            raise ApiError(
                415,
                "Expected a body that is not compressed, found the header 'Content-Encoding: "
                f"{', '.join(sorted(codings))[:80]}'.",
                "Send the JSON as it is.",
                {"Accept-Encoding": "identity"},
            )
        if _tokens(headers.getlist("transfer-encoding")) - {"chunked"}:
            raise ApiError(
                501, "The only transfer coding here is 'chunked'.", "Send the JSON as it is."
            )

    def _too_large(self) -> ApiError:
        return ApiError(
            413,
            f"The body has more than {self._limits.max_body:,} bytes.",
            "Send fewer or shorter inputs in a request.",
        )

    def _check_key(self, scope: MutableMapping[str, Any]) -> None:
        if self._key is None or not self._is_protected(scope["path"]):
            return
        given = next((v for name, v in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = given.partition(b" ")
        # Digests have one length, so that the time to compare them says nothing about the key.
        right = hmac.compare_digest(_digest(key.strip()), self._key)
        if not (right and scheme.lower() == b"bearer"):
            raise ApiError(
                401,
                "This needs the API key." if not given else "This is not the API key.",
                "Send the header 'Authorization: Bearer KEY'.",
                {"WWW-Authenticate": "Bearer"},
            )


class _Exchange:
    """One request and its answer: what was read of it, and what was sent."""

    def __init__(self, receive: Receive, send: Send, expects: bool) -> None:
        self.status = 0
        self._expects = expects
        self._receive = receive
        self._send = send
        self._all_read = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._all_read = True
        return message

    async def send(self, message: Message) -> None:
        """Send on, with the headers every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *_HEADERS]
            if all(name != b"content-security-policy" for name, _ in headers):
                headers.append((b"content-security-policy", _NO_CONTENT_POLICY))
            message = {**message, "headers": headers}
        await self._send(message)

    async def refuse(self, refused: ApiError) -> None:
        """Answer with an error, after what is still coming is read and forgotten.

        A client that is still sending would otherwise find its connection reset, and never see
        the answer. Where too much comes, or too slowly, the connection ends with this answer.
        """
        if self.status:
            return
        # A client that asked whether to send its body will not send it now, and a slow one has
        # had its time.
        if not (self._expects or refused.status == 408):
            await self._discard()
        body = refused.body()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **refused.headers,
        }
        if not self._all_read:
            headers["Connection"] = "close"
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refused.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _discard(self) -> None:
        num_bytes = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while not self._all_read and num_bytes <= _MAX_DISCARDED:
                    num_bytes += len((await self.receive()).get("body", b""))


def too_many_connections() -> ApiError:
    """Refuse a connection beyond `Limits.max_connections`."""
    return ApiError(503, "Too many connections are open.", "Try again in 1 s.")


def busy(message: str) -> ApiError:
    """Refuse for now: the client may come back."""
    return ApiError(
        429, message, f"Try again in {_RETRY_SECONDS} s.", {"Retry-After": str(_RETRY_SECONDS)}
    )


def _unknown(scope: MutableMapping[str, Any], error: HTTPException) -> ApiError:
    """Say that there is no such path, or not with this method."""
    asked = f"{scope['method']} {scope['path'][:200]}"
    return ApiError(
        error.status_code, f"There is no {asked}.", "/docs lists what there is.", error.headers
    )


def _unexpected(error: Exception) -> ApiError:
    if os.environ.get("LSTM_DEBUG"):
        traceback.print_exception(error)
    return ApiError(
        500,
        "The server failed on this request.",
        "This is a defect of lstm; the server's LSTM_DEBUG=1 shows on its stderr where.",
    )


def _tokens(values: list[str]) -> set[str]:
    """Return the entries of a header that is a list, in lower case."""
    found = (part.strip().lower() for value in values for part in value.split(","))
    return {part for part in found if part}


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
