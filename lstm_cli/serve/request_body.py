"""Bodies of requests: receive them within limits, and decode their JSON."""

from __future__ import annotations

import asyncio
import re
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope

from lstm_cli.serve.authority import header_values
from lstm_cli.serve.errors import ApiError, too_many_requests
from lstm_cli.serve.settings import Limits

# Limit of all bodies that are being received, in bodies of the largest size.
_MAX_CONCURRENT_BODIES = 64
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s\";]*)", re.IGNORECASE)
_Body = TypeVar("_Body")


class BodyReader:
    """Receives JSON bodies within limits of size, time and memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._num_buffered = 0

    async def read(self, request: Request) -> bytes:
        """Receive the whole body.

        Raises:
            ApiError: The body has another type or encoding (415, 501), is too large (413) or too
                slow (408), or too many other bodies are being received (429).
            ConnectionError: The client has disconnected.
        """
        self._check_headers(request.scope)
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.client_timeout):
                await self._receive_into(body, request.receive)
        except TimeoutError:
            raise ApiError(
                408,
                f"The body took longer than {self._limits.client_timeout:g} s to arrive.",
                "Try again.",
            ) from None
        finally:
            self._num_buffered -= len(body)
        return bytes(body)

    async def _receive_into(self, body: bytearray, receive: Receive) -> None:
        more_body = True
        while more_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > self._limits.max_body:
                raise self._too_large()
            body += chunk
            self._num_buffered += len(chunk)
            if self._num_buffered > _MAX_CONCURRENT_BODIES * self._limits.max_body:
                raise too_many_requests("The server is receiving too many bodies.")
            more_body = message.get("more_body", False)

    def _check_headers(self, scope: Scope) -> None:
        if header_values(scope, b"upgrade"):
            # The parser takes what follows such a head for another protocol: the body is lost.
            raise ApiError(
                400,
                "The server supports HTTP/1.1 only and cannot upgrade the connection.",
                "Leave out the header 'Upgrade'. With curl, use --http1.1.",
            )
        _check_media_type(header_values(scope, b"content-type"))
        _check_codings(scope)
        # The parser accepts one such header at most.
        length = next(iter(header_values(scope, b"content-length")), "0")
        if not length.isdecimal() or int(length[:20]) > self._limits.max_body:
            raise self._too_large()

    def _too_large(self) -> ApiError:
        return ApiError(
            413,
            f"The body has more than {self._limits.max_body:,} bytes.",
            "Send fewer or shorter inputs in a request.",
        )


def _check_media_type(content_types: list[str]) -> None:
    """Require JSON: a browser lets a page of another site send only other types unasked."""
    media_type, _, parameters = (content_types[0] if len(content_types) == 1 else "").partition(";")
    if media_type.strip().lower() != "application/json":
        found = (
            f"'{content_types[0][:80]}'"
            if len(content_types) == 1
            else f"{len(content_types) or 'no'} headers 'Content-Type'"
        )
        raise ApiError(
            415,
            f"Expected a body of type application/json, found {found}.",
            "Send the header 'Content-Type: application/json'.",
        )
    charset = _CHARSET.search(parameters)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise ApiError(
            415,
            f"Expected JSON in UTF-8, found the charset '{charset[1][:80]}'.",
            "Send the body in UTF-8.",
        )


def _check_codings(scope: Scope) -> None:
    """Refuse compressed bodies: the server does not decompress."""
    codings = _list_entries(header_values(scope, b"content-encoding"))
    if codings - {"identity"}:
        raise ApiError(
            415,
            "Expected a body that is not compressed, found the header 'Content-Encoding: "
            f"{', '.join(sorted(codings))[:80]}'.",
            "Send the JSON without compression.",
            {"Accept-Encoding": "identity"},
        )
    if _list_entries(header_values(scope, b"transfer-encoding")) - {"chunked"}:
        raise ApiError(
            501,
            "The only supported transfer coding is 'chunked'.",
            "Send the JSON without compression.",
        )


def _list_entries(values: list[str]) -> set[str]:
    """Return the entries of a header whose value is a list, in lower case."""
    entries = (entry.strip().lower() for value in values for entry in value.split(","))
    return {entry for entry in entries if entry}


def decode(body: bytes, decoder: msgspec.json.Decoder[_Body]) -> _Body:
    """Decode a body.

    Raises:
        ApiError: The body is not valid JSON (400), or does not match the schema (422).
    """
    try:
        return _decode(body, decoder)
    except msgspec.ValidationError as error:
        raise ApiError(422, f"The request is not valid: {error}.", "See /docs.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(
            400, f"The body is not valid JSON: {error}.", 'Send an object such as {"text": "..."}.'
        ) from None


def _decode(body: bytes, decoder: msgspec.json.Decoder[_Body]) -> _Body:
    """Decode a body; 1.0 is an integer in JSON Schema, and some clients write integers so."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        return msgspec.convert(_with_integers(msgspec.json.decode(body)), decoder.type)


def _with_integers(value: Any) -> Any:
    """Turn each float without a fraction into an integer."""
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_integers(item) for name, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
