"""Load a server with keep-alive clients, each with one request at a time.

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
# One of so many responses is compared; to compare all would take CPU time from the server.
_COMPARE_EVERY = 8
_TOLERANCE = 1e-4


@dataclass
class Measurements:
    """Responses that were received after the warm-up.

    Attributes:
        started: End of the warm-up, by `time.perf_counter`.
        latencies: Milliseconds of every response.
        failures: Descriptions of failures.
        compared: Responses whose probability was compared.
    """

    started: float
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    compared: int = 0


class Client(asyncio.Protocol):
    """One connection, which sends the next request after each response."""

    def __init__(
        self,
        requests: list[bytes],
        expected: list[float],
        first: int,
        measurements: Measurements,
        end: float,
    ) -> None:
        self._requests, self._expected, self._next = requests, expected, first
        self._measurements, self._end = measurements, end
        self._sent = 0.0
        self._buffer = b""
        self._num_responses = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._send_request()

    def data_received(self, data: bytes) -> None:
        """Process a response when it is complete."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        now = time.perf_counter()
        if now >= self._measurements.started:
            self._measurements.latencies.append(1000 * (now - self._sent))
            self._check(head, body)
        self._next = (self._next + 1) % len(self._requests)
        if now < self._end:
            self._send_request()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Count a connection that the server closed as a failure."""
        if time.perf_counter() < self._end:
            self._measurements.failures.append(f"connection lost: {error}")
        if not self.done.done():
            self.done.set_result(None)

    def _send_request(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next])  # type: ignore[attr-defined]

    def _check(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200"):
            self._measurements.failures.append(f"{head[:30]!r} {body[:200]!r}")
            return
        is_compared = self._num_responses % _COMPARE_EVERY == 0
        self._num_responses += 1
        if is_compared:
            self._measurements.compared += 1
            probabilities = json.loads(body)["predictions"][0]["probabilities"]
            if abs(next(iter(probabilities.values())) - self._expected[self._next]) > _TOLERANCE:
                self._measurements.failures.append(f"wrong probabilities: {probabilities}")


def texts_of(predictor: Predictor, num_tokens: int) -> list[str]:
    """Return random texts with `num_tokens` tokens of the vocabulary."""
    tokenizer = predictor.tokenizer
    assert tokenizer is not None
    words = [tokenizer.id_to_token(i) for i in range(2, tokenizer.vocab_size)]
    known = [word for word in words if word.isascii() and word.isalpha()]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(known, num_tokens)) for _ in range(_NUM_TEXTS)]
    assert all(e.num_tokens == num_tokens for e in tokenizer.encode(texts))
    return texts


def request_of(text: str) -> bytes:
    """Return a whole request."""
    body = json.dumps({"text": text}).encode()
    return (
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )


def _same(client: Client) -> Client:
    return client


async def load(
    requests: list[bytes], expected: list[float], host: str, port: int, clients: int, seconds: float
) -> tuple[Measurements, float]:
    """Send requests, after a warm-up; return the measurements and seconds of CPU time."""
    started = time.perf_counter() + _WARM_UP_SECONDS
    measurements, loop = Measurements(started), asyncio.get_running_loop()
    connected = []
    for index in range(clients):
        first = index * len(requests) // clients
        client = Client(requests, expected, first, measurements, started + seconds)
        await loop.create_connection(partial(_same, client), host, port)
        connected.append(client)
    await asyncio.sleep(max(0.0, started - time.perf_counter()))
    cpu = time.process_time()
    await asyncio.gather(*(client.done for client in connected))
    return measurements, time.process_time() - cpu


def main(
    run: str, host: str, port: int, clients: int, tokens: int, seconds: float, out: str
) -> None:
    """Measure, and write the results."""
    predictor = Predictor.load(RunDir(Path(run)))
    texts = texts_of(predictor, tokens)
    expected = predictor.text_probabilities(texts)[:, 0].tolist()
    requests = [request_of(text) for text in texts]
    measurements, cpu = asyncio.run(load(requests, expected, host, port, clients, seconds))
    elapsed = time.perf_counter() - measurements.started
    ordered = sorted(measurements.latencies)
    result = {
        "responses": len(ordered),
        "seconds": elapsed,
        "per_second": len(ordered) / elapsed,
        "latency_ms": {f"p{p}": float(np.percentile(ordered, p)) for p in (50, 90, 99, 99.9, 100)},
        "compared": measurements.compared,
        "num_failures": len(measurements.failures),
        "failures": measurements.failures[:20],
        "cpu_seconds": cpu,
    }
    clock.write(out, result)


if __name__ == "__main__":
    port_, clients_, tokens_ = map(int, sys.argv[3:6])
    main(sys.argv[1], sys.argv[2], port_, clients_, tokens_, float(sys.argv[6]), sys.argv[7])
