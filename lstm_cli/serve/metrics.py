"""Metrics of a server, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from lstm_cli.serve.request_record import RequestRecord

_SECONDS_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class ServerMetrics:
    """Counts of requests, their durations, batch sizes and the length of the queues.

    Args:
        models: Names of the models.
        num_waiting: Returns the number of inputs of a model in the queue; called when metrics are
            rendered.
    """

    def __init__(self, models: Iterable[str], num_waiting: Callable[[str], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "lstm_requests",
            "Answered requests.",
            ("path", "model", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "lstm_request_seconds",
            "Seconds from the head of a request to the end of its response.",
            ("path", "model"),
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        batches = Histogram(
            "lstm_batch_inputs",
            "Inputs in a batch.",
            ("model",),
            buckets=_BATCH_BUCKETS,
            registry=self._registry,
        )
        queue = Gauge(
            "lstm_queue_inputs", "Inputs in the queue.", ("model",), registry=self._registry
        )
        self._runs = Info(
            "lstm_model", "The run that answers.", ("model",), registry=self._registry
        )
        self._reloads = Counter(
            "lstm_reloads",
            "Runs that were found to replace the one before.",
            ("model", "result"),
            registry=self._registry,
        )
        # By route, model and status.
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._batches = {name: batches.labels(name) for name in models}
        for name in self._batches:
            queue.labels(name).set_function(partial(num_waiting, name))
            for result in ("taken", "refused"):
                self._reloads.labels(name, result)

    def observe_request(self, record: RequestRecord) -> None:
        """Count an answered request."""
        key = record.route, record.model, record.status
        if key not in self._answered:
            # To look labels up takes several times as long as to count.
            self._answered[key] = (
                self._requests.labels(record.route, record.model, str(record.status)),
                self._seconds.labels(record.route, record.model),
            )
        requests, seconds = self._answered[key]
        requests.inc()
        seconds.observe(record.seconds)

    def observe_batch(self, model: str, num_inputs: int) -> None:
        """Count a batch of a model."""
        self._batches[model].observe(num_inputs)

    def observe_run(self, model: str, run: str) -> None:
        """Name the run that answers for a model."""
        self._runs.labels(model).info({"run": run})

    def observe_reload(self, model: str, is_taken: bool) -> None:
        """Count a run that was taken or refused."""
        self._reloads.labels(model, "taken" if is_taken else "refused").inc()

    def render(self) -> bytes:
        """Return all metrics as text of type `CONTENT_TYPE`."""
        return generate_latest(self._registry)
