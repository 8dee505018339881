"""Keep-alive clients of a server, each with one request at a time; and what they cost themselves.

Usage: http_load.py RUN HOST PORT CLIENTS TOKENS SECONDS RESULT.json
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.scripts import clock
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.directory import RunDir

_NUM_TEXTS = 256
_WARM_UP_SECONDS = 1.0
# Every so many answers are read and compared; to read all would cost the cores the server needs.
_COMPARED = 8
_TOLERANCE = 1e-4


@dataclass
class Tally:
    """What came back.

    Attributes:
        began: When counting begins, by `time.perf_counter`.
        latencies: Milliseconds of every answer.
        failures: What went wrong, in words.
        compared: Answers whose probability was compared.
    """

    began: float
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    compared: int = 0


class Client(asyncio.Protocol):
    """One connection, asking again as soon as it has its answer."""

    def __init__(
        self, requests: list[bytes], expected: list[float], first: int, tally: Tally, end: float
    ) -> None:
        self._requests, self._expected, self._next = requests, expected, first
        self._tally, self._end = tally, end
        self._sent = 0.0
        self._buffer = b""
        self._num_answers = first
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the first question."""
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Take an answer once it is whole."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        now = time.perf_counter()
        if now >= self._tally.began:
            self._tally.latencies.append(1000 * (now - self._sent))
            self._check(head, body)
        self._next = (self._next + 1) % len(self._requests)
        if now < self._end:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Count a connection that the server ended."""
        if time.perf_counter() < self._end:
            self._tally.failures.append(f"connection lost: {error}")
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next])  # type: ignore[attr-defined]

    def _check(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200"):
            self._tally.failures.append(f"{head[:30]!r} {body[:200]!r}")
            return
        self._num_answers += 1
        if self._num_answers % _COMPARED == 0:
            self._tally.compared += 1
            told = json.loads(body)["predictions"][0]["probabilities"]
            if abs(next(iter(told.values())) - self._expected[self._next]) > _TOLERANCE:
                self._tally.failures.append(f"another probability: {told}")


def texts_of(predictor: Predictor, num_tokens: int) -> list[str]:
    """Make texts of exactly so many words that the run knows."""
    tokenizer = predictor.tokenizer
    assert tokenizer is not None
    words = [tokenizer.id_to_token(i) for i in range(2, tokenizer.vocab_size)]
    known = [word for word in words if word.isascii() and word.isalpha()]
    rng = np.random.default_rng(0)
    drawn = [" ".join(rng.choice(known, num_tokens)) for _ in range(_NUM_TEXTS)]
    assert all(e.num_tokens == num_tokens for e in tokenizer.encode(drawn))
    return drawn


def request_of(text: str) -> bytes:
    """Write a whole request."""
    body = json.dumps({"text": text}).encode()
    return (
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )


def _same(client: Client) -> Client:
    return client


async def load(
    requests: list[bytes], expected: list[float], host: str, port: int, clients: int, seconds: float
) -> tuple[Tally, float]:
    """Ask for some seconds, after some that are not counted; return seconds of CPU too."""
    began = time.perf_counter() + _WARM_UP_SECONDS
    tally, loop = Tally(began), asyncio.get_running_loop()
    connected = []
    for place in range(clients):
        first = place * len(requests) // clients
        client = Client(requests, expected, first, tally, began + seconds)
        await loop.create_connection(partial(_same, client), host, port)
        connected.append(client)
    await asyncio.sleep(max(0.0, began - time.perf_counter()))
    cpu = time.process_time()
    await asyncio.gather(*(client.done for client in connected))
    return tally, time.process_time() - cpu


def main(
    run: str, host: str, port: int, clients: int, tokens: int, seconds: float, out: str
) -> None:
    """Measure."""
    predictor = Predictor.load(RunDir(Path(run)))
    texts = texts_of(predictor, tokens)
    expected = predictor.text_probabilities(texts)[:, 0].tolist()
    requests = [request_of(text) for text in texts]
    tally, cpu = asyncio.run(load(requests, expected, host, port, clients, seconds))
    taken = time.perf_counter() - tally.began
    ordered = sorted(tally.latencies)
    result = {
        "answers": len(ordered),
        "seconds": taken,
        "per_second": len(ordered) / taken,
        "latency_ms": {f"p{p}": float(np.percentile(ordered, p)) for p in (50, 90, 99, 99.9, 100)},
        "compared": tally.compared,
        "num_failures": len(tally.failures),
        "failures": tally.failures[:20],
        "cpu_seconds": cpu,
    }
    clock.write(out, result)


if __name__ == "__main__":
    port_, clients_, tokens_ = map(int, sys.argv[3:6])
    main(sys.argv[1], sys.argv[2], port_, clients_, tokens_, float(sys.argv[6]), sys.argv[7])
