"""Metrics of a server, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class ServerMetrics:
    """Counts of requests, their durations, batch sizes and the length of the queue.

    Args:
        paths: Paths with a label of their own. All other paths share the label "other", so that
            clients cannot fill the memory with labels.
        num_waiting: Returns the number of inputs in the queue; called when metrics are rendered.
    """

    def __init__(self, paths: Iterable[str], num_waiting: Callable[[], int]) -> None:
        self._paths = frozenset(paths)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "lstm_requests", "Answered requests.", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "lstm_request_seconds",
            "Seconds from the head of a request to the end of its response.",
            ("path",),
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "lstm_batch_inputs",
            "Inputs in a batch.",
            buckets=_BATCH_BUCKETS,
            registry=self._registry,
        )
        queue = Gauge("lstm_queue_inputs", "Inputs in the queue.", registry=self._registry)
        queue.set_function(num_waiting)

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        label = path if path in self._paths else "other"
        self._requests.labels(label, str(status)).inc()
        self._seconds.labels(label).observe(seconds)

    def observe_batch(self, num_inputs: int) -> None:
        """Count a batch."""
        self._batches.observe(num_inputs)

    def render(self) -> bytes:
        """Return all metrics as text of type `CONTENT_TYPE`."""
        return generate_latest(self._registry)
