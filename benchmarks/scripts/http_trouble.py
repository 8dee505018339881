"""Clients that nobody wants.

`trouble`: huge bodies, slow ones, half-open connections, malformed JSON. `abuse`: clients that hang
up in an answer, that never read, that pipeline requests in parts, and that send bodies too large
one after the other; the last two do what HTTP allows, so a reset is the server's fault.

Usage: http_trouble.py trouble|abuse HOST PORT SECONDS RESULT.json
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
_HUGE_EVERY = 2.0
_SLOW, _HALF_OPEN = 16, 64
_HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_REQUEST = _HEAD + b'Content-Length: 16\r\n\r\n{"text": "fine"}'
_PAGE = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n"
_TEXTS = json.dumps({"texts": ["a fine film " * 200] * 32}).encode()
_LONG = _HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(_TEXTS), _TEXTS)
_ANSWERS = 50
_HELD_SECONDS = 20
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


async def read_status(reader: asyncio.StreamReader) -> str:
    """Read a whole answer; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return head[9:12].decode()


async def pipelined(host: str, port: int, ended: Counter[str]) -> None:
    """Send with each request the first half of the next one, and read each answer."""
    reader, writer = await asyncio.open_connection(host, port)
    half = len(_REQUEST) // 2
    try:
        writer.write(_REQUEST[:half])
        for _ in range(_ANSWERS):
            writer.write(_REQUEST[half:] + _REQUEST[:half])
            ended[f"pipelined: {await read_status(reader)}"] += 1
    except (ConnectionError, asyncio.IncompleteReadError):
        ended["pipelined: reset"] += 1
    finally:
        writer.close()


async def oversized(host: str, port: int, ended: Counter[str]) -> None:
    """Send bodies of 1.5 MB, the next one before the answer, and read each answer."""
    reader, writer = await asyncio.open_connection(host, port)
    request = _HEAD + b"Content-Length: 1500000\r\n\r\n" + b"x" * 1_500_000
    try:
        writer.write(request)
        for _ in range(10):
            writer.write(request)
            ended[f"1.5 MB: {await read_status(reader)}"] += 1
    except (ConnectionError, asyncio.IncompleteReadError):
        ended["1.5 MB: reset"] += 1
    finally:
        writer.transport.abort()


async def hang_up(host: str, port: int, ended: Counter[str]) -> None:
    """Ask for a long answer, or for two pages, and close without reading."""
    _, writer = await asyncio.open_connection(host, port)
    writer.write(random.choice((_LONG, _PAGE * 2)))
    await asyncio.sleep(random.uniform(0, 0.05))
    writer.close() if random.random() < 0.5 else writer.transport.abort()
    ended["hang-up: done"] += 1


async def never_read(host: str, port: int, ended: Counter[str]) -> None:
    """Ask for more than buffers hold, read nothing, and wait for the server to end it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        with contextlib.suppress(BlockingIOError):
            sock.send(_PAGE * 2000)
        poll = select.poll()
        poll.register(sock, 0)
        for _ in range(round(_HELD_SECONDS / 0.1)):
            await asyncio.sleep(0.1)
            if poll.poll(0):
                ended["never reads: ended"] += 1
                return
        ended[f"never reads: held {_HELD_SECONDS} s"] += 1


async def abuse(host: str, port: int, seconds: float) -> Counter[str]:
    """Abuse the server in all ways, each by two clients; return how each attempt ended."""
    end = time.monotonic() + seconds
    ended: Counter[str] = Counter()

    async def again(attempt: object) -> None:
        while time.monotonic() < end:
            try:
                await attempt(host, port, ended)  # type: ignore[operator]
            except ConnectionError:
                ended["connect: refused"] += 1
                await asyncio.sleep(0.1)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            kinds = (pipelined, oversized, hang_up, never_read)
            await asyncio.gather(*(again(kind) for kind in kinds * 2))
    return ended


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


def main(kind: str, host: str, port: int, seconds: float, out: str) -> None:
    """Make trouble."""
    ended = asyncio.run({"trouble": trouble, "abuse": abuse}[kind](host, port, seconds))
    clock.write(out, {"ended": dict(sorted(ended.items())), "cpu_seconds": time.process_time()})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
