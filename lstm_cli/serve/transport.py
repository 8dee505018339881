"""A transport with a write timeout, which closes without losing the last response."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

if sys.platform == "linux":
    import fcntl
    import termios

# After the last response: time for the client to read it and close. Bytes it sends are dropped.
_LINGER_SECONDS = 2.0
# Bytes that a client must read within each write timeout.
_MIN_PROGRESS_BYTES = 1024


class WriteTimeoutTransport:
    """Wraps the transport of a connection.

    While the write timeout runs, it aborts the connection if the client does not read, also when
    the connection is being closed. After `close` it writes nothing more.

    Args:
        transport: The event loop's transport.
        loop: The event loop.
        write_timeout: Seconds a client may read nothing.
        may_receive_more: Returns whether the client may still send bytes.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        write_timeout: float,
        may_receive_more: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._write_timeout = write_timeout
        self._may_receive_more = may_receive_more
        self._is_closed = False
        self._write_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._num_unsent = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, unless the connection is being closed."""
        if not self.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Return whether the connection is closed or being closed."""
        return self._is_closed or self._transport.is_closing()

    def pause_reading(self) -> None:
        """Leave further bytes of the client in the socket."""
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close after all data is sent.

        If the client may still send, read on for a while; the protocol drops these bytes. Closing a
        socket with unread bytes resets the connection, and the client may lose the last response.
        """
        if self._is_closed:
            return
        if self._may_receive_more() and not self._transport.is_closing():
            self._transport.write_eof()
            self._transport.resume_reading()
            self._linger_timer = self._loop.call_later(_LINGER_SECONDS, self._transport.close)
        else:
            self._transport.close()
        self._is_closed = True
        self.start_write_timeout()

    def abort(self) -> None:
        """Close at once; unsent data is lost, in the kernel's buffers too."""
        self._is_closed = True
        if not self._transport.is_closing() or self._transport.get_write_buffer_size():
            with contextlib.suppress(OSError):
                self._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
        self._transport.abort()

    def start_write_timeout(self) -> None:
        """From now on, abort the connection if the client does not read."""
        if self._write_timer is None:
            self._restart_write_timer()

    def stop_write_timeout(self) -> None:
        """Stop the write timeout, unless the connection is being closed."""
        if self._write_timer is not None and not self._is_closed:
            self._write_timer.cancel()
            self._write_timer = None

    def cancel_timers(self) -> None:
        """Cancel all timers, after the connection was lost."""
        for timer in (self._write_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()

    def _restart_write_timer(self) -> None:
        self._num_unsent = self._count_unsent()
        self._write_timer = self._loop.call_later(self._write_timeout, self._check_progress)

    def _check_progress(self) -> None:
        num_unsent = self._count_unsent()
        if num_unsent and num_unsent > self._num_unsent - _MIN_PROGRESS_BYTES:
            self.abort()
        elif num_unsent or not self._is_closed:
            self._restart_write_timer()

    def _count_unsent(self) -> int:
        """Return the bytes that the client has not acknowledged.

        On Linux this includes the kernel's buffer. The kernel takes more from the process only when
        most of its own buffer is sent, so a slow client would seem to read nothing for seconds.
        """
        num_bytes = self._transport.get_write_buffer_size()
        if num_bytes and sys.platform == "linux":
            value = bytearray(4)
            with contextlib.suppress(OSError):
                descriptor = self._transport.get_extra_info("socket").fileno()
                fcntl.ioctl(descriptor, termios.TIOCOUTQ, value)
            num_bytes += int.from_bytes(value, sys.byteorder)
        return num_bytes
