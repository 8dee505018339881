"""A transport that waits for no client for ever, and whose last answer is not lost in a reset."""

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

# For the client to read the last answer and to close, while what it still sends is thrown away.
_LINGER_SECONDS = 2.0
# What a client has to take of an answer in each interval that it is given.
_LEAST_PROGRESS = 1024


class PatientTransport:
    """Stands before the transport of a connection.

    It aborts a client that takes nothing of its answer for some time, whether the connection is
    being closed or not. After `close` it writes nothing more.

    Args:
        transport: Of the event loop.
        loop: That one.
        seconds: A client may go without taking anything.
        sends_more: Whether the client may still be sending.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        sends_more: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._sends_more = sends_more
        self._is_closed = False
        self._watch: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._num_unsent = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, unless the connection is closed."""
        if not self.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Tell whether nothing more is written."""
        return self._is_closed or self._transport.is_closing()

    def pause_reading(self) -> None:
        """Leave what the client sends in the socket."""
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close once everything is sent.

        Where the client may still be sending, read on for a while; the owner throws away what
        comes. A socket that is closed with bytes unread resets the connection, and the client may
        lose the answer that is on its way.
        """
        if self._is_closed:
            return
        if self._sends_more() and not self._transport.is_closing():
            self._transport.write_eof()
            self._transport.resume_reading()
            self._linger = self._loop.call_later(_LINGER_SECONDS, self._transport.close)
        else:
            self._transport.close()
        self._is_closed = True
        self.watch()

    def abort(self) -> None:
        """Close at once; what is not sent is lost, in the kernel's buffers too."""
        self._is_closed = True
        if not self._transport.is_closing() or self._transport.get_write_buffer_size():
            with contextlib.suppress(OSError):
                self._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
        self._transport.abort()

    def watch(self) -> None:
        """Abort, from now on, where the client takes nothing of what is written."""
        if self._watch is None:
            self._wait()

    def unwatch(self) -> None:
        """End `watch`, unless the connection is being closed."""
        if self._watch is not None and not self._is_closed:
            self._watch.cancel()
            self._watch = None

    def forget(self) -> None:
        """End all waiting: the connection is gone."""
        for timer in (self._watch, self._linger):
            if timer is not None:
                timer.cancel()

    def _wait(self) -> None:
        self._num_unsent = self._count_unsent()
        self._watch = self._loop.call_later(self._seconds, self._check)

    def _check(self) -> None:
        unsent = self._count_unsent()
        if unsent and unsent > self._num_unsent - _LEAST_PROGRESS:
            self.abort()
        elif unsent or not self._is_closed:
            self._wait()

    def _count_unsent(self) -> int:
        """Count bytes that the client has not confirmed: of the process and, on Linux, the kernel.

        The kernel takes more from the process only when much of what it holds is sent: a slow
        client would seem to take nothing for seconds.
        """
        num_bytes = self._transport.get_write_buffer_size()
        if num_bytes and sys.platform == "linux":
            held = bytearray(4)
            with contextlib.suppress(OSError):
                descriptor = self._transport.get_extra_info("socket").fileno()
                fcntl.ioctl(descriptor, termios.TIOCOUTQ, held)
            num_bytes += int.from_bytes(held, sys.byteorder)
        return num_bytes
