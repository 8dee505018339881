"""Errors that the server sends to clients as JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_RETRY_SECONDS = 1


class ErrorDetail(msgspec.Struct):
    """What is wrong, what the client can do, and the id of the request in the logs."""

    message: str
    hint: str
    request_id: str


class ErrorResponse(msgspec.Struct):
    """The body of every response with an error status."""

    error: ErrorDetail


class ApiError(Exception):
    """A request that is answered with an error status.

    Args:
        status: HTTP status code.
        message: What was expected and what was found.
        hint: What the client can do.
        headers: Additional headers of the response.
    """

    def __init__(
        self, status: int, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})

    def body(self, request_id: str) -> bytes:
        """Return the JSON of an `ErrorResponse`."""
        return msgspec.json.encode(ErrorResponse(ErrorDetail(self.message, self.hint, request_id)))


def too_many_requests(message: str) -> ApiError:
    """Return the error for a client that should try again later."""
    return ApiError(
        429, message, f"Try again in {_RETRY_SECONDS} s.", {"Retry-After": str(_RETRY_SECONDS)}
    )


def too_many_connections() -> ApiError:
    """Return the error for a connection beyond `Limits.max_connections`."""
    return ApiError(503, "Too many connections are open.", f"Try again in {_RETRY_SECONDS} s.")
