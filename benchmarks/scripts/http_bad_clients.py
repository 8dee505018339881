"""Clients that misbehave.

`faulty`: huge bodies, slow bodies, half-open connections, malformed JSON. `hostile`: clients that
disconnect during a response, never read, pipeline requests in parts, or send many bodies that are
too large. HTTP allows the last two, so a reset of these is the server's fault.

Usage: http_bad_clients.py faulty|hostile HOST PORT SECONDS RESULT.json
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import select
import socket
import sys
import time
from collections import Counter

from benchmarks.scripts import clock

_HUGE_BYTES = 64 << 20
_HUGE_PAUSE_SECONDS = 2.0
_NUM_SLOW, _NUM_HALF_OPEN = 16, 64
_HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_REQUEST = _HEAD + b'Content-Length: 16\r\n\r\n{"text": "fine"}'
_PAGE = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n"
_TEXTS = json.dumps({"texts": ["a fine film " * 200] * 32}).encode()
_LONG = _HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(_TEXTS), _TEXTS)
_NUM_PIPELINED = 50
_MAX_OPEN_SECONDS = 20
_MALFORMED = (
    b"{", b'{"text": 1}', b"\xff\xfe", b'{"text": "a", "texts": []}', b"[" * 10_000, b"null",
    b'{"texts": ["a", 2]}',
)  # fmt: skip


async def huge(host: str, port: int, chunked: bool) -> bytes:
    """Send 64 MiB; return the status."""
    reader, writer = await asyncio.open_connection(host, port)
    chunk = b"x" * (1 << 18)
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % _HUGE_BYTES
    piece = b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk
    try:
        writer.write(_HEAD + length + b"\r\n\r\n")
        for _ in range(_HUGE_BYTES // len(chunk)):
            writer.write(piece)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if chunked else b"")
        return (await reader.readline())[9:12]
    except ConnectionError:
        return b"cut"
    finally:
        writer.close()


async def malformed(host: str, port: int, body: bytes) -> bytes:
    """Send a body that is not valid; return the status."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return (await reader.readline())[9:12]
    finally:
        writer.close()


async def slow(host: str, port: int, byte: bytes) -> bytes:
    """Send a head or a body byte by byte, until the server closes the connection."""
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
    """Connect, send nothing, and wait until the server closes the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return (await reader.readline())[9:12] or b"cut"
    finally:
        writer.close()


async def read_status(reader: asyncio.StreamReader) -> str:
    """Read a whole response; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return head[9:12].decode()


async def pipelined(host: str, port: int, outcomes: Counter[str]) -> None:
    """Send each request with the first half of the next one, and read each response."""
    reader, writer = await asyncio.open_connection(host, port)
    half = len(_REQUEST) // 2
    try:
        writer.write(_REQUEST[:half])
        for _ in range(_NUM_PIPELINED):
            writer.write(_REQUEST[half:] + _REQUEST[:half])
            outcomes[f"pipelined: {await read_status(reader)}"] += 1
    except (ConnectionError, asyncio.IncompleteReadError):
        outcomes["pipelined: reset"] += 1
    finally:
        writer.close()


async def oversized(host: str, port: int, outcomes: Counter[str]) -> None:
    """Send bodies of 1.5 MB, each before the previous response, and read each response."""
    reader, writer = await asyncio.open_connection(host, port)
    request = _HEAD + b"Content-Length: 1500000\r\n\r\n" + b"x" * 1_500_000
    try:
        writer.write(request)
        for _ in range(10):
            writer.write(request)
            outcomes[f"1.5 MB: {await read_status(reader)}"] += 1
    except (ConnectionError, asyncio.IncompleteReadError):
        outcomes["1.5 MB: reset"] += 1
    finally:
        writer.transport.abort()


async def disconnect(host: str, port: int, outcomes: Counter[str]) -> None:
    """Request many predictions or two pages, and close without reading."""
    _, writer = await asyncio.open_connection(host, port)
    writer.write(random.choice((_LONG, _PAGE * 2)))
    await asyncio.sleep(random.uniform(0, 0.05))
    writer.close() if random.random() < 0.5 else writer.transport.abort()
    outcomes["disconnect: done"] += 1


async def never_read(host: str, port: int, outcomes: Counter[str]) -> None:
    """Request more than buffers hold, read nothing, and wait until the server closes."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        with contextlib.suppress(BlockingIOError):
            sock.send(_PAGE * 2000)
        poll = select.poll()
        poll.register(sock, 0)
        for _ in range(round(_MAX_OPEN_SECONDS / 0.1)):
            await asyncio.sleep(0.1)
            if poll.poll(0):
                outcomes["never reads: closed"] += 1
                return
        outcomes[f"never reads: open after {_MAX_OPEN_SECONDS} s"] += 1


async def hostile(host: str, port: int, seconds: float) -> Counter[str]:
    """Run two hostile clients of each kind; return the number of each outcome."""
    end = time.monotonic() + seconds
    outcomes: Counter[str] = Counter()

    async def repeat(attempt: object) -> None:
        while time.monotonic() < end:
            try:
                await attempt(host, port, outcomes)  # type: ignore[operator]
            except ConnectionError:
                outcomes["connect: refused"] += 1
                await asyncio.sleep(0.1)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            kinds = (pipelined, oversized, disconnect, never_read)
            await asyncio.gather(*(repeat(kind) for kind in kinds * 2))
    return outcomes


async def faulty(host: str, port: int, seconds: float) -> Counter[str]:
    """Run faulty clients of each kind; return the number of each outcome."""
    end = time.monotonic() + seconds
    outcomes: Counter[str] = Counter()

    async def repeat(name: str, attempt: object, pause: float) -> None:
        while time.monotonic() < end:
            try:
                status = (await attempt()).decode()  # type: ignore[operator]
            except ConnectionError:
                status = "cut"
            outcomes[f"{name}: {status}"] += 1
            await asyncio.sleep(pause)

    clients = [
        repeat("64 MiB", lambda: huge(host, port, False), _HUGE_PAUSE_SECONDS),
        repeat("64 MiB, chunked", lambda: huge(host, port, True), _HUGE_PAUSE_SECONDS),
    ]
    for body in _MALFORMED:
        clients.append(repeat("malformed", lambda body=body: malformed(host, port, body), 0.5))
    for index in range(_NUM_SLOW):
        byte = b"{" if index % 2 else b"y"
        clients.append(repeat("slow", lambda byte=byte: slow(host, port, byte), 0.1))
    clients += [
        repeat("half-open", lambda: half_open(host, port), 0.1) for _ in range(_NUM_HALF_OPEN)
    ]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*clients)
    return outcomes


def main(kind: str, host: str, port: int, seconds: float, out: str) -> None:
    """Run bad clients, and write their outcomes."""
    outcomes = asyncio.run({"faulty": faulty, "hostile": hostile}[kind](host, port, seconds))
    clock.write(
        out, {"outcomes": dict(sorted(outcomes.items())), "cpu_seconds": time.process_time()}
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
