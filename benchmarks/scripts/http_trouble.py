"""Clients that nobody wants: huge bodies, slow ones, half-open connections, malformed JSON.

Usage: http_trouble.py HOST PORT SECONDS RESULT.json
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter

from benchmarks.scripts import clock

_HUGE_BYTES = 64 << 20
_HUGE_EVERY = 2.0
_SLOW, _HALF_OPEN = 16, 64
_HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_MALFORMED = (
    b"{", b'{"text": 1}', b"\xff\xfe", b'{"text": "a", "texts": []}', b"[" * 10_000, b"null",
    b'{"texts": ["a", 2]}',
)  # fmt: skip


async def huge(host: str, port: int, chunked: bool) -> bytes:
    """Send 64 MiB; return the status."""
    reader, writer = await asyncio.open_connection(host, port)
    chunk = b"x" * (1 << 18)
    told = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % _HUGE_BYTES
    frame = b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk
    try:
        writer.write(_HEAD + told + b"\r\n\r\n")
        for _ in range(_HUGE_BYTES // len(chunk)):
            writer.write(frame)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if chunked else b"")
        return (await reader.readline())[9:12]
    except ConnectionError:
        return b"cut"
    finally:
        writer.close()


async def malformed(host: str, port: int, body: bytes) -> bytes:
    """Send what is no request; return the status."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return (await reader.readline())[9:12]
    finally:
        writer.close()


async def slow(host: str, port: int, byte: bytes) -> bytes:
    """Send a head or a body byte by byte, until the server ends it."""
    reader, writer = await asyncio.open_connection(host, port)
    with contextlib.suppress(ConnectionError):
        writer.write(_HEAD + (b"Content-Length: 9999\r\n\r\n" if byte == b"{" else b"X-Slow: "))
        while not writer.is_closing() and not reader.at_eof():
            writer.write(byte)
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    return (await reader.readline())[9:12] or b"cut"
    writer.close()
    return b"cut"


async def half_open(host: str, port: int) -> bytes:
    """Connect, send nothing, and wait for the server to end it."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return (await reader.readline())[9:12] or b"cut"
    finally:
        writer.close()


async def trouble(host: str, port: int, seconds: float) -> Counter[str]:
    """Make trouble of all kinds; return how each attempt ended."""
    end = time.monotonic() + seconds
    ended: Counter[str] = Counter()

    async def again(name: str, attempt: object, pause: float) -> None:
        while time.monotonic() < end:
            try:
                status = (await attempt()).decode()  # type: ignore[operator]
            except ConnectionError:
                status = "cut"
            ended[f"{name}: {status}"] += 1
            await asyncio.sleep(pause)

    work = [
        again("64 MiB", lambda: huge(host, port, False), _HUGE_EVERY),
        again("64 MiB, chunked", lambda: huge(host, port, True), _HUGE_EVERY),
    ]
    for body in _MALFORMED:
        work.append(again("malformed", lambda body=body: malformed(host, port, body), 0.5))
    for place in range(_SLOW):
        byte = b"{" if place % 2 else b"y"
        work.append(again("slow", lambda byte=byte: slow(host, port, byte), 0.1))
    work += [again("half-open", lambda: half_open(host, port), 0.1) for _ in range(_HALF_OPEN)]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*work)
    return ended


def main(host: str, port: int, seconds: float, out: str) -> None:
    """Make trouble."""
    ended = asyncio.run(trouble(host, port, seconds))
    clock.write(out, {"ended": dict(sorted(ended.items())), "cpu_seconds": time.process_time()})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
