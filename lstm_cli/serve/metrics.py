"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_INPUTS = (1, 2, 4, 8, 16, 32, 64, 128)


class ServerMetrics:
    """Requests, their seconds, batches and the queue.

    Attributes:
        paths: Paths counted by name; others are counted as one, so that clients cannot fill the
            memory with names.
    """

    def __init__(self, num_waiting: Callable[[], int]) -> None:
        """Begin at zero; `num_waiting` is asked when the counts are read."""
        self.paths: set[str] = set()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "lstm_requests", "Requests answered.", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "lstm_request_seconds",
            "From the head of a request to the end of its answer.",
            ("path",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "lstm_batch_inputs",
            "Inputs computed together.",
            buckets=_INPUTS,
            registry=self._registry,
        )
        waiting = Gauge("lstm_queue_inputs", "Inputs that wait.", registry=self._registry)
        waiting.set_function(num_waiting)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        known = path if path in self.paths else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def batch(self, num: int) -> None:
        """Count a batch."""
        self._batches.observe(num)

    def shown(self) -> tuple[bytes, str]:
        """Return the counts, and the type of that text."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
