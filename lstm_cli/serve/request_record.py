"""What the server records of a request: its id, and what the metrics and the access log get."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

HEADER = b"x-request-id"
# Letters, digits and what ids in base64, UUIDs and trace ids are made of.
_SAFE_ID = re.compile(rb"[A-Za-z0-9._~:+/=@-]{1,128}")
_SCOPE_KEY = "lstm.record"
# The path of a request that has no path of its own in the metrics and the access log: a path can
# hold anything, also a text or a key.
OTHER_PATH = "other"


@dataclass(slots=True)
class RequestRecord:
    """One request.

    Attributes:
        id: From the header `X-Request-ID`, or a random one.
        method: HTTP method; empty if the request could not be read.
        path: The path if the server has it, else `OTHER_PATH`.
        route: The path without the name of a model, so that the metrics have few paths.
        model: Name of the model that the path means; empty for other paths.
        status: Of the response; 0 before it starts.
        seconds: From the head of the request to the end of its response.
        num_inputs: Texts or images in the request; None if they were not read.
        finished: Time at which the response ended, in seconds since 1970.
    """

    id: str = field(default_factory=lambda: os.urandom(16).hex())
    method: str = ""
    path: str = OTHER_PATH
    route: str = OTHER_PATH
    model: str = ""
    status: int = 0
    seconds: float = 0.0
    num_inputs: int | None = None
    finished: float = 0.0

    def attach(self, scope: MutableMapping[str, Any]) -> None:
        """Make the record known to those who answer the request."""
        scope[_SCOPE_KEY] = self


def record_of(scope: Any) -> RequestRecord:
    """Return the record of a request; a new one if the scope has none."""
    found: RequestRecord = scope.get(_SCOPE_KEY) or RequestRecord()
    return found


def read_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the id that the client sent; None if there is none, several, or it is not safe.

    A safe id has at most 128 characters that need no escape in a header, in JSON or in a shell.
    """
    values = [value for name, value in headers if name == HEADER]
    if len(values) == 1 and _SAFE_ID.fullmatch(values[0]):
        return values[0].decode("ascii")
    return None
