"""What all models of a server share: threads, queues, and memory for the bodies of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lstm_cli.serve.batch_workers import BatchWorkers
from lstm_cli.serve.errors import too_many_requests
from lstm_cli.serve.request_body import BodyReader
from lstm_cli.serve.settings import Limits

_MAX_EXPLANATIONS = 8


class SharedCompute:
    """Threads and queues of a server; the limits count the requests of all models together.

    Attributes:
        workers: Threads that compute batches of predictions.
        bodies: Receives the bodies of requests.
    """

    def __init__(self, limits: Limits) -> None:
        """Make the queues; threads start with the first request."""
        self.workers = BatchWorkers(limits.max_queue)
        self.bodies = BodyReader(limits)
        # One thread: an explanation is hundreds of predictions and uses all cores.
        self._explain_pool = ThreadPoolExecutor(1, "lstm-explain")
        self._num_explanations = 0

    async def explain(self, compute: Callable[[], bytes]) -> bytes:
        """Compute an explanation after those before it.

        If the client disconnects, the protocol cancels this coroutine, and an explanation that has
        not started is not computed.

        Raises:
            ApiError: Too many explanations are in the queue (429).
        """
        if self._num_explanations >= _MAX_EXPLANATIONS:
            raise too_many_requests(f"{_MAX_EXPLANATIONS} explanations are in the queue.")
        self._num_explanations += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._explain_pool, compute)
        finally:
            self._num_explanations -= 1

    def close(self) -> None:
        """Stop the threads."""
        self.workers.close()
        self._explain_pool.shutdown(wait=True, cancel_futures=True)
