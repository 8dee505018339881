"""The access log: one JSON object a line for each request, without texts and keys."""

from __future__ import annotations

import select
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from io import RawIOBase

import msgspec

from lstm_cli.serve.request_record import RequestRecord

_WRITE_SECONDS = 0.2
# Lines that wait for a reader that is too slow; further ones are dropped and counted.
_MAX_LINES = 10_000
# A reader that has stopped must not keep the server from ending.
_CLOSE_SECONDS = 2.0


class AccessLine(msgspec.Struct, omit_defaults=True):
    """A request that was answered.

    `path` is "other" for paths that the server does not have, and never has a query. `status` is
    499 if the client hung up, and `texts` the number of texts or images in the request.
    """

    time: str
    id: str
    method: str
    path: str
    status: int
    ms: float
    texts: int | None = None
    model: str = ""


class DroppedLines(msgspec.Struct):
    """Lines that are missing, because they were not read as fast as they were written."""

    time: str
    dropped: int


class AccessLog:
    """Writes lines to a stream in a thread, so that a slow reader does not delay answers.

    Args:
        stream: Where the lines go, without a buffer: a thread that waits in a buffered stream
            holds its lock, and the process could not end.
        on_error: Called once, in the thread, if the stream cannot be written any more.
    """

    def __init__(self, stream: RawIOBase, on_error: Callable[[str], None]) -> None:
        self._stream = stream
        self._on_error = on_error
        self._records: deque[RequestRecord] = deque()
        self._num_dropped = 0
        self._has_failed = False
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lstm-access-log", daemon=True)
        self._thread.start()

    def add(self, record: RequestRecord) -> None:
        """Add a request that was answered."""
        if self._has_failed:
            return
        if len(self._records) < _MAX_LINES:
            self._records.append(record)
        else:
            self._num_dropped += 1

    def close(self) -> None:
        """Write what is left, if it is read within two seconds, and end the thread."""
        self._is_closing.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._is_closing.wait(_WRITE_SECONDS):
                self._write()
            self._write()
        except (OSError, ValueError) as error:
            self._has_failed = True
            self._records.clear()
            self._on_error(f"The access log ends here: it cannot be written ({error}).")

    def _write(self) -> None:
        lines = [_encode(self._records.popleft()) for _ in range(len(self._records))]
        if self._num_dropped:
            num_dropped, self._num_dropped = self._num_dropped, 0
            now = datetime.now(UTC).timestamp()
            lines.append(msgspec.json.encode(DroppedLines(_timestamp(now), num_dropped)))
        data = memoryview(b"\n".join([*lines, b""]))
        while data:
            num_bytes = self._stream.write(data)
            if num_bytes is None:  # a pipe that is full and does not block
                select.select([], [self._stream], [])
            data = data[num_bytes or 0 :]


def _encode(record: RequestRecord) -> bytes:
    return msgspec.json.encode(
        AccessLine(
            _timestamp(record.finished),
            record.id,
            record.method,
            record.path,
            record.status,
            round(1000 * record.seconds, 1),
            record.num_inputs,
            record.model,
        )
    )


def _timestamp(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
